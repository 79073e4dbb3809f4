"""Compiles csrc/ into `mpctensor._C`; all the rest about the package is in pyproject.toml."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from shlex import split
from shutil import which
from sysconfig import get_path, get_platform

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

try:
    import pybind11
except ImportError:
    sys.exit("Building mpctensor needs pybind11: run `pip install pybind11 ninja` and build again.")

CXX = os.environ.setdefault("CXX", "g++")
FLAGS = "-std=c++17 -O3 -fPIC -pthread -fvisibility=hidden -Wall -Wextra -iquote csrc"
INCLUDES = f"-isystem '{pybind11.get_include()}' -isystem '{get_path('include')}'"
SOURCES = sorted(str(path) for path in Path("csrc").rglob("*.cpp"))
RULES = f"""
rule compile
  command = {CXX} {FLAGS} {INCLUDES} -MMD -MF $out.d -c $in -o $out
  depfile = $out.d
  deps = gcc
rule link
  command = {CXX} -shared -pthread $in -o $out
"""


class NinjaBuild(build_ext):
    """Parallel, incremental compilation with ninja; without ninja, setuptools' own."""

    def build_extension(self, ext: Extension) -> None:
        if not which(CXX.split()[0]):
            sys.exit(f"mpctensor needs a C++17 compiler (`apt install g++`): `{CXX}` not found.")
        ninja = which("ninja", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        if ninja is None:
            return super().build_extension(ext)
        folder = Path("build", f"{get_platform()}-{sys.implementation.cache_tag}")
        folder.mkdir(parents=True, exist_ok=True)
        objects = {f"{folder / source}.o": source for source in SOURCES}
        rules = [f"builddir = {folder}{RULES}build {folder}/_C.so: link {' '.join(objects)}"]
        rules += [f"build {target}: compile {source}\n" for target, source in objects.items()]
        with open(folder / "lock", "w") as lock:  # two builds of one tree wait for each other
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "build.ninja").write_text("\n".join(rules))
            if subprocess.call([ninja, "--quiet", "-f", folder / "build.ninja"]):
                sys.exit("Compiling csrc/ failed; the compiler's message is above.")
            self.mkpath(os.path.dirname(self.get_ext_fullpath(ext.name)))
            self.copy_file(str(folder / "_C.so"), self.get_ext_fullpath(ext.name))


flags = split(f"{FLAGS} {INCLUDES}")
module = Extension("mpctensor._C", SOURCES, extra_compile_args=flags, extra_link_args=["-pthread"])
setup(ext_modules=[module], cmdclass={"build_ext": NinjaBuild})
