PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := 2.13.0
CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: help setup demo test lint clean

help:
	@echo "make setup   everything the project needs, in $(VENV)"
	@echo "make demo    the whole road on a part of TREC, in about ten minutes; writes runs/demo"
	@echo "make test    what tests need, then ruff, mypy and pytest"
	@echo "make lint    ruff and mypy alone"
	@echo "make clean   remove $(VENV), caches and build outputs; runs/ stays"

setup: $(VENV)/.setup

demo: setup
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python -m experiments.demo

test: lint
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: what is installed is up to date while pyproject.toml has not changed since.

$(VENV)/.setup: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.setup-test: $(VENV)/.setup
	$(BIN)/python -m pip install --quiet -e ".[test,bench,backbones]"
	@touch $@

# A plain torch brings gigabytes of CUDA on Linux, so a machine without a GPU gets the CPU build.
$(VENV)/.torch:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "Python 3.10 or newer is needed, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
			"Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@if [ "$$(uname)" != Linux ] || nvidia-smi >/dev/null 2>&1; then \
		$(BIN)/python -m pip install "torch==$(TORCH)"; \
	else \
		$(BIN)/python -m pip install "torch==$(TORCH)+cpu" || { \
			echo "Trying PyTorch's own index."; \
			$(BIN)/python -m pip install "torch==$(TORCH)+cpu" --extra-index-url $(CPU_INDEX); }; \
	fi
	@touch $@
