"""Files of corrections that are not as they should be, or cannot be made."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from mpctensor.errors import SessionError
from mpctensor.provider.spool import Spool, check_new

TRIED = pytest.mark.parametrize("tried", [check_new, Spool])


@TRIED
def test_a_folder_that_does_not_exist(tmp_path, tried):
    with pytest.raises(SessionError, match="folder that does not exist: make it"):
        tried(tmp_path / "nowhere" / "ahead.bin")


@TRIED
@pytest.mark.parametrize("name", ["there", ".", "broken"])
def test_what_is_there_is_not_overwritten(tmp_path, name, tried):
    (tmp_path / "there").write_text("kept")
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(SessionError, match="which exists: name a new file"):
        tried(tmp_path / name)
    assert (tmp_path / "there").read_text() == "kept"


@TRIED
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/proc/ahead.bin", r"'/proc/ahead.bin', where .* \(no such file or directory\)"),
        ("/dev/null/ahead.bin", r"'/dev/null/ahead.bin', where .* \(not a directory\)"),
        ("a" * 300, r"'a{300}', where .* \(file name too long\)"),
        ("ahead\0.bin", r"'ahead\\x00.bin', where .* \(embedded null byte\)"),
        ("ahead\udfff.bin", r"'ahead\\udfff.bin', where .*surrogates not allowed"),
        ("", r"'', where .* \(no such file or directory\)"),
        ("ahead/", r"'ahead/', where .* \(is a directory\)"),
        (3, r"'3', where .*should be string"),
    ],
)
def test_a_path_where_no_file_can_be_made(tmp_path, monkeypatch, path, said, tried):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SessionError, match=said) as caught:
        tried(path)
    assert str(caught.value).endswith(
        ": name a new file, in a folder that this process may write to"
    )
    assert not list(tmp_path.iterdir())


@contextmanager
def without_rights_of_root() -> Iterator[None]:
    """Whoever runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@TRIED
def test_a_folder_that_may_not_be_written_to(tmp_path, tried):
    tmp_path.chmod(0o555)
    said = r"where no file can be made \(permission denied\): name a new file"
    with without_rights_of_root(), pytest.raises(SessionError, match=said):
        tried(tmp_path / "ahead.bin")


def test_a_check_leaves_nothing(tmp_path):
    check_new(tmp_path / "ahead.bin")
    assert not list(tmp_path.iterdir())


def test_a_file_goes_even_where_the_script_has_moved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spool = Spool("ahead.bin")
    assert (tmp_path / "ahead.bin").exists()
    monkeypatch.chdir("/")
    spool.close()
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_cut(tmp_path):
    spool = Spool(tmp_path / "ahead.bin")
    kept = spool.keep([torch.arange(100)])
    os.truncate(spool.path, 80)
    with pytest.raises(SessionError, match="shorter than what was written"):
        kept()
    spool.close()
    assert not spool.path.exists()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that is full then."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


def test_a_disk_that_is_full(tmp_path):
    spool = Spool(tmp_path / "ahead.bin")
    said = r"ahead\.bin cannot be written: file too large; make room"
    with files_of_at_most(80), pytest.raises(SessionError, match=said):
        spool.keep([torch.arange(100)])
    kept = spool.keep([torch.arange(100)])
    assert torch.equal(kept()[0], torch.arange(100)), "what came through in part is written over"
    spool.close()


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    spool = Spool(tmp_path / "ahead.bin")
    kept = spool.keep([torch.arange(100)])
    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(SessionError, match=r"cannot be read: input/output error; .* start again"):
        kept()
    spool.close()
