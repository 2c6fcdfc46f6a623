PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := 2.13.0
CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: help setup demo test lint docs lock locked sbom clean

help:
	@echo "make setup   everything the project needs, in $(VENV)"
	@echo "make demo    the whole road on a part of TREC, in a few minutes; writes runs/demo"
	@echo "make test    what tests need, then ruff, mypy and pytest"
	@echo "make lint    ruff and mypy alone"
	@echo "make docs    the documentation as pages in site/, index.html first"
	@echo "make lock    requirements.lock: every package of $(VENV) with its hash"
	@echo "make locked  $(VENV) from requirements.lock, as make test does where it fits"
	@echo "make sbom    build/sbom.json: what $(VENV) holds, as CycloneDX"
	@echo "make clean   remove $(VENV), caches and build outputs; runs/ stays"

setup: $(VENV)/.setup

demo: setup
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python -m experiments.demo

# Chromium is installed meanwhile
test:
	@sh .ci/chromium & $(MAKE) lint; status=$$?; wait; exit $$status
	@$(BIN)/python -c 'from spt.assets import fetch; [fetch(name) for name in ("minilm-l6", "trec")]' \
		|| echo "Tests on real weights will be skipped."
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 3 --dist loadgroup

lint: $(VENV)/.setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# a warning ends it; the notice about MkDocs itself is none
docs: $(VENV)/.setup-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: $(VENV)/.setup-test
	$(BIN)/python .ci/lock.py > requirements.lock.partial
	mv requirements.lock.partial requirements.lock

# pip refuses every file that has another hash; what is imported compiles itself, which is less than half
locked: LOCKED := $(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes -r requirements.lock
locked:
	$(PYTHON) -m venv $(VENV)
	$(LOCKED) || $(LOCKED) --extra-index-url $(CPU_INDEX)
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $(VENV)/.torch $(VENV)/.setup $(VENV)/.setup-test

# its tool would add packages to what it describes, and so has an environment of its own
sbom: $(VENV)/.setup-test
	$(PYTHON) -m venv build/sbom
	build/sbom/bin/python -m pip install --quiet "cyclonedx-bom>=7,<8"
	build/sbom/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --of JSON -o build/sbom.json

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: what is installed is up to date while pyproject.toml has not changed since.

$(VENV)/.setup: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

# Tests run in the locked environment on machines that it was made for; on others pip chooses.
$(VENV)/.setup-test: pyproject.toml requirements.lock
	@if $(PYTHON) .ci/lock.py --fits; then $(MAKE) locked; else $(MAKE) unlocked; fi

.PHONY: unlocked
unlocked: $(VENV)/.setup
	$(BIN)/python -m pip install --quiet -e ".[test,bench,backbones,serve,ray,onnx,docs,tensorboard]"
	@touch $(VENV)/.setup-test

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
