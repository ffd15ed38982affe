# Every target makes .venv by itself when it is missing or older than what it is made from.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench format clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(READY)  ## compare six optimizers on handwritten digits; results in runs/demo
	$(BIN)/ravine compare digits-mlp --out runs/demo

test: $(READY)  ## run all tests
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## bring the code into style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## run the benchmarks; they write benchmarks/results
	$(BIN)/python benchmarks/population.py
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/step.py
	$(BIN)/python -m benchmarks.claims
	$(BIN)/python -m benchmarks.deepobs
	$(BIN)/python -m benchmarks.diagnosis_table
	$(BIN)/python -m benchmarks.remedies
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/reproduce.py
	$(BIN)/python -m benchmarks.faults
	$(BIN)/python benchmarks/tuning.py
	$(BIN)/python -m benchmarks.large_report

clean:  ## remove .venv, caches and runs/demo
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache runs/demo

# Where a CPU build of torch is wanted, point pip at one (PIP_INDEX_URL, PIP_FIND_LINKS).
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
