# The two commands of the README: `make demo` and `make test`. Both set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PHOTOS ?=
DATA ?=

.PHONY: help demo test test-slow test-lowest lint format bench clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/demo  ## find photos by words, by picture and by both (PHOTOS=folder: your own)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo.sh "$(PHOTOS)"

test: lint  ## lint, types, import rules, then every test but the slow ones
	$(BIN)/pytest

test-slow: $(VENV)/dev  ## the slow proofs
	$(BIN)/pytest -m slow

test-lowest: .venv-lowest/dev  ## the tests with the lowest versions that pyproject.toml allows
	.venv-lowest/bin/pytest

lint: $(VENV)/dev  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev  ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev  ## print the figures of docs/benchmarks.md (DATA=folder of the data sets)
	@test -n "$(DATA)" || { echo 'say where the data sets lie: make bench DATA=folder'; exit 2; }
	@for script in benchmarks/*.py; do \
	    echo "== $$script"; $(BIN)/python $$script --data "$(DATA)" || exit 1; \
	done

clean:  ## remove the environments and what the demo wrote
	rm -rf $(VENV) .venv-lowest demo-output

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/demo

.venv-lowest/dev: pyproject.toml scripts/lowest.py
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python scripts/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --editable '.[dev]' --constraint .venv-lowest/constraints.txt
	@touch $@
