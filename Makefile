# `make demo` and `make test` install what they need into .venv from requirements.lock; a second run fetches nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_ARGS ?=
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help env demo test lint kernels unit compose-test bench lock clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

env: $(READY)  ## the virtual environment, from requirements.lock

$(READY): requirements.lock setup.cfg
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON) here; install Python 3.11, 3.12 or 3.13, or call make PYTHON=/path/to/python"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "make: $(PYTHON) is $$($(PYTHON) --version); Python 3.11 to 3.13 is needed: call make PYTHON=python3.12, say"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## the whole loop on this machine, to watch (DEMO_ARGS="--exit --data FILE")
	$(BIN)/oryx demo $(DEMO_ARGS)

test: $(READY)  ## everything that CI runs
	$(MAKE) --no-print-directory --jobs 2 lint kernels
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

lint: $(READY)  ## import contracts, ruff, mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

kernels: $(READY)  ## what is compiled at a first call, once for all tests
	$(BIN)/python -m tests.support.kernels

unit: $(READY)  ## the fast tests alone
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup tests/unit tests/property

compose-test: $(READY)  ## docker compose up, down and up again on the engine that answers
	$(BIN)/python -m pytest tests/e2e/test_compose.py

bench: $(READY)  ## freshness and fold-in, with quality beside speed
	$(BIN)/python -m tests.bench.fold_in
	$(BIN)/python -m tests.bench.freshness

lock: $(READY)  ## requirements.lock anew from setup.cfg
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra dev \
	  setup.cfg deploy/build-requirements.in --output-file requirements.lock

clean:  ## the environment and what tools left
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache oryx-data
