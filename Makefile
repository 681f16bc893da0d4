# One virtual environment, .venv, made by whichever target runs first.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test check bench test-extras test-peers test-ray test-openvino test-executorch bench-peers results clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,deployed]'
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
	$(BIN)/python benchmarks/particles.py

# What needs more than Python and the test extra: the report in a real browser, and other libraries' attacks and models.
# What is missing is a failure here.
test-extras: test-peers test-ray test-openvino .venv/ready
	sh scripts/browser.sh
	QUANTATTACK_BROWSER=required $(BIN)/python -m pytest -m browser

# Environments of their own: the attacks' libraries bring a torchvision that spoils the models' ones.
# Workers open deployed files too.
.venv-ray/ready: EXTRAS := ray,deployed
.venv-%/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	.venv-$*/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,$(or $(EXTRAS),$*)]'
	touch $@

test-peers: .venv-peers/ready .venv-models/ready
	QUANTATTACK_PEERS=required OMP_NUM_THREADS=1 .venv-peers/bin/python -m pytest -n 2 tests/attacks/adapters tests/cli/test_peers.py
	QUANTATTACK_MODELS=required .venv-models/bin/python -m pytest tests/attacks/adapters/test_models.py
	QUANTATTACK_MODELS=required OMP_NUM_THREADS=1 .venv-models/bin/python -m pytest tests/deployed/torch_programs

test-ray: .venv-ray/ready
	QUANTATTACK_RAY=required OMP_NUM_THREADS=1 .venv-ray/bin/python -m pytest tests/evaluation/test_cluster.py tests/evaluation/test_shards.py

test-openvino: .venv-openvino/ready
	QUANTATTACK_JUDGES=openvino OMP_NUM_THREADS=1 .venv-openvino/bin/python -m pytest tests/deployed/judges

# Left out of test-extras: its environment is 1.6 GB.
test-executorch: .venv-executorch/ready
	QUANTATTACK_JUDGES=executorch OMP_NUM_THREADS=1 .venv-executorch/bin/python -m pytest tests/deployed/judges

# The README built from its records, the index of the papers' tables, and the pages of all records that it opens;
# nothing is run but a record that is missing.
results: results/demo/record.sqlite
	$(BIN)/quantattack reproduce --pages --networks zoo --out results
	$(BIN)/python scripts/readme.py
	$(BIN)/python scripts/deployed.py
	$(BIN)/python scripts/pixels.py
	$(BIN)/python scripts/certify.py

results/demo/record.sqlite: | .venv/ready
	$(BIN)/quantattack evaluate $(DEMO) --out results/demo

# Other libraries' attacks beside ours: strength, passes, seconds; hours on a CPU, continued where it was left.
bench-peers: .venv-peers/ready
	.venv-peers/bin/python benchmarks/strength.py
	.venv-peers/bin/python benchmarks/parity.py
	.venv-peers/bin/python benchmarks/speed_against_peers.py

clean:
	rm -rf .venv .venv-peers .venv-models .venv-ray .venv-openvino .venv-executorch runs
