# make run: set up and run the four stages offline.  make test: set up, lint and test.
# make test-slow: what takes long, killed processes above all.  make test-all: both.
# make fuzz: the property tests with new examples for MINUTES, until one fails.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two workers; each takes from the other what is left, so that they end together.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal --durations=10
MINUTES ?= 10

.PHONY: run test test-slow test-all fuzz lint store weights clean

# torch and torchvision are asked for together so that pip takes a matching pair.
# cli.py too: an editable install holds a copy of it.
$(VENV)/.installed: pyproject.toml cli.py
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch torchvision -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e ".[test]"
	touch $@

run: $(VENV)/.installed
	$(BIN)/lsmseg-prompts run

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
	$(BIN)/lsmseg-prompts pretrain --config lsmseg-tiny --data ministuff --out runs/lsmseg-tiny --resume
	cp runs/lsmseg-tiny/lsmseg-tiny.safetensors lsmseg_model/weights/

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
