# make run: set up and run the four stages offline.  make shell: a shell that knows lsmseg-prompts.
# make test: set up, lint and test.  make test-slow: what takes long, killed processes above all.
# make test-all: both.
# make fuzz: the property tests with new examples for MINUTES, until one fails.
PYTHON ?= python3
VENV ?= .venv
# Which build of PyTorch: PyPI's (nothing), or a folder of PyTorch's own index: cpu, cu128, ...
TORCH ?=
INDEX = https://download.pytorch.org/whl/$(TORCH)
BIN := $(VENV)/bin
# Two workers; each takes from the other what is left, so that they end together.
# Bytecode is kept even where the shell says otherwise: each worker and each process that a test
# starts would compile all files anew.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal --durations=10
MINUTES ?= 10

.DEFAULT_GOAL := run
.PHONY: run shell test test-slow test-all fuzz lint store weights clean torch

$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	  echo "Python 3.11 or newer is needed: make $(or $(MAKECMDGOALS),run) PYTHON=python3.12, say."; \
	  exit 1; } >&2
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || { \
	  echo "$(PYTHON) lacks venv: on Debian and Ubuntu install python3-venv."; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)

# What is installed stays, unless another TORCH is asked for.
torch:
	@test -z "$(TORCH)" || test ! -e $(VENV)/.installed || \
	  test "$(TORCH)" = "$$(cat $(VENV)/.torch 2>/dev/null)" || { \
	  echo "$(VENV) holds another PyTorch than TORCH=$(TORCH): run make clean first."; exit 1; } >&2

# With TORCH, no other index counts (pip takes the newest build that any of them has).
# torch and torchvision are asked for together so that pip takes a matching pair.
# cli.py too: an editable install holds a copy of it.
$(VENV)/.installed: pyproject.toml cli.py | $(BIN)/python torch
	$(BIN)/python -m pip install --quiet --upgrade pip
ifneq ($(TORCH),)
	PIP_EXTRA_INDEX_URL=$(INDEX) $(BIN)/python -m pip install --quiet torch torchvision --index-url $(INDEX)
	echo $(TORCH) > $(VENV)/.torch
endif
	$(BIN)/python -m pip install --quiet torch torchvision -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e ".[test]"
	touch $@

run: $(VENV)/.installed
	$(BIN)/lsmseg-prompts run
	@echo "From now on: . $(BIN)/activate (or make shell), then lsmseg-prompts --help" >&2

shell: $(VENV)/.installed
	@. $(BIN)/activate && echo "lsmseg-prompts is known here; exit leaves." >&2; $${SHELL:-sh}; true

test: lint
	$(PYTEST)

test-slow: $(VENV)/.installed-test
	$(PYTEST) -m slow

test-all: test test-slow

# Each round has another seed; under what failed stands how to repeat it.
fuzz: $(VENV)/.installed-test
	@end=$$(($$(date +%s) + 60 * $(MINUTES))); while [ $$(date +%s) -lt $$end ]; do \
	  $(PYTEST) -m "hypothesis and not slow" --hypothesis-profile=fuzz \
	    --hypothesis-seed=$$(date +%s) || exit 1; \
	done

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Rebuild the shipped attribute store from lsmseg_prompts/descriptions/bundled/*.jsonl, byte for byte.
store: $(VENV)/.installed
	$(BIN)/python benchmarks/shipped_store.py

# Train lsmseg-tiny again from scratch (docs/lsmseg-tiny.md says how long it takes).
weights: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e ".[words]"
	$(BIN)/lsmseg-prompts pretrain --config lsmseg-tiny --data ministuff --token-table minilm \
		--out runs/lsmseg-tiny \
		$(if $(wildcard runs/lsmseg-tiny/last.pt),--resume)
	cp runs/lsmseg-tiny/lsmseg-tiny.safetensors lsmseg_model/weights/

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
