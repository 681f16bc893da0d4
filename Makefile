# One virtual environment, .venv, made by whichever target runs first.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test check bench test-extras results clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

# The main job: a binarized network on real digits, beside its float twin and the same with BatchNorm on its logits.
DEMO := digits-mdtanhs digits-float digits-mdtanhs-bn --attacks 'pgd[steps=40],pgd_plus_hns[steps=40],standard'

demo: .venv/ready
	$(BIN)/quantattack evaluate $(DEMO) --out runs/demo
	$(BIN)/quantattack report runs/demo

# Two processes of one thread each, a file to a process.
test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Ratios, measured side by side in one run.
bench: .venv/ready
	$(BIN)/python benchmarks/overhead.py

# What needs more than Python: the report in a real browser.  A missing browser is a failure here.
test-extras: .venv/ready
	sh scripts/browser.sh
	QUANTATTACK_BROWSER=required $(BIN)/python -m pytest -m browser

# The records that the README's numbers are built from, and the README built from them.
results: .venv/ready
	$(BIN)/quantattack evaluate $(DEMO) --out results/demo
	$(BIN)/python scripts/readme.py

clean:
	rm -rf .venv runs
