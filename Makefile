# Everything runs in .venv, which `make build` creates. Stamp files keep finished steps finished.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install -qq --disable-pip-version-check
TORCH := torch==2.13.0

.PHONY: build test demo bench bench-peers check clean
build: $(VENV)/.kernels

test: $(VENV)/.dev $(VENV)/.kernels
	$(PY) -m pytest -q

demo: $(VENV)/.demo $(VENV)/.kernels
	$(PY) examples/digits.py

bench: $(VENV)/.kernels
	$(PY) -m benchmarks

# Beside CrypTen and SPU, which get environments of their own outside of this folder.
bench-peers: $(VENV)/.bench $(VENV)/.kernels
	$(PY) -m benchmarks.peers

check: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/clang-format --dry-run --Werror $(shell find csrc -name '*.h' -o -name '*.cpp')

clean:
	rm -rf $(VENV) build dist *.egg-info mpctensor/_C*.so .pytest_cache .mypy_cache .ruff_cache

# torch comes first: everything after it is satisfied by this version.
$(VENV)/.torch:
	@echo "installing $(TORCH) into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	@touch $@

$(VENV)/.tools: $(VENV)/.torch
	$(PIP) "setuptools>=77" wheel pybind11 ninja numpy
	@touch $@

$(VENV)/.package: $(VENV)/.tools pyproject.toml
	$(PIP) --no-build-isolation -e .
	@touch $@

# The stamp is dated by the start of the build, so that an edit made meanwhile is not lost.
$(VENV)/.kernels: $(VENV)/.package setup.py $(shell find csrc)
	@start=$$(mktemp); $(PY) setup.py -q build_ext --inplace && mv $$start $@

$(VENV)/.demo $(VENV)/.bench $(VENV)/.dev: $(VENV)/.%: $(VENV)/.package
	$(PIP) --no-build-isolation -e ".[$*]"
	@touch $@
