# One virtual environment, .venv, made by whichever target runs first.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test check dist test-wheel bench test-extras test-peers test-runtimes test-executorch bench-peers docs gallery results clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,deployed]'
	touch $@

# The main job: a binarized network on real digits, beside its float network and the same with BatchNorm on its logits.
DEMO_ATTACKS := --attacks 'pgd[steps=40],pgd_plus_hns[steps=40],standard'
DEMO := digits-mdtanhs digits-float digits-mdtanhs-bn $(DEMO_ATTACKS)

demo: .venv/ready
	$(BIN)/quantattack evaluate $(DEMO) --out runs/demo
	$(BIN)/quantattack report runs/demo

# Two processes of one thread each, a file to a process; test-extras looks at pages in a browser.
test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not browser'

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The source distribution and the wheel, as an index would get them.
dist: .venv-dist/ready
	rm -rf dist
	.venv-dist/bin/python -m build --outdir dist
	.venv-dist/bin/twine check --strict dist/*

.venv-dist/ready: pyproject.toml
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/pip install --quiet --disable-pip-version-check 'build>=1.2' 'twine>=6'
	touch $@

# The wheel in an environment that holds nothing else, outside of the checkout: the README's first commands.
test-wheel: dist
	sh scripts/wheel.sh $(PYTHON)

# Ratios, measured side by side in one run.
bench: .venv/ready
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/particles.py

# What needs more than Python and the test extra: the report in a real browser, and other libraries' attacks and models.
# What is missing is a failure here.
test-extras: test-peers test-runtimes .venv/ready
	sh scripts/browser.sh
	QUANTATTACK_BROWSER=required $(BIN)/python -m pytest -m browser

# Environments of their own on top of .venv, whose packages they see and do not install again: the attacks' libraries bring
# a torchvision that spoils the models' ones.  Workers open deployed files too.
PACKAGES := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
.venv-runtimes/ready: EXTRAS := ray,openvino,deployed
.venv-%/ready: .venv/ready
	$(PYTHON) -m venv --without-pip .venv-$*
	$(BIN)/python $(PACKAGES) > "$$(.venv-$*/bin/python $(PACKAGES))/below.pth"
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,$(or $(EXTRAS),$*)]'
	touch $@

test-peers: .venv-peers/ready .venv-models/ready
	QUANTATTACK_PEERS=required OMP_NUM_THREADS=1 .venv-peers/bin/python -m pytest -n 2 tests/attacks/adapters tests/cli/test_peers.py
	OMP_NUM_THREADS=1 .venv-peers/bin/python -m pytest tests/test_gallery.py -k beside_autoattack
	QUANTATTACK_MODELS=required .venv-models/bin/python -m pytest tests/attacks/adapters/test_models.py tests/models tests/data/test_tables.py
	OMP_NUM_THREADS=1 .venv-models/bin/python -m pytest tests/test_gallery.py -k huggingface_vit
	QUANTATTACK_MODELS=required OMP_NUM_THREADS=1 .venv-models/bin/python -m pytest -m peers tests/deployed/torch_programs

# Ray and OpenVINO, which get along with each other.
test-runtimes: .venv-runtimes/ready
	QUANTATTACK_RAY=required QUANTATTACK_JUDGES=openvino OMP_NUM_THREADS=1 .venv-runtimes/bin/python -m pytest tests/evaluation/test_cluster.py tests/evaluation/test_shards.py tests/deployed/judges

# The site, with warnings as errors; its programs are run by the tests. The environment holds no torch: the reference is
# read from the source.
.venv-docs/ready: pyproject.toml scripts/docs_packages.py
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check $$($(PYTHON) scripts/docs_packages.py)
	touch $@

docs: .venv-docs/ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --clean

# Left out of test-extras: its environment is 1.6 GB.
test-executorch: .venv-executorch/ready
	QUANTATTACK_JUDGES=executorch OMP_NUM_THREADS=1 .venv-executorch/bin/python -m pytest tests/deployed/judges

# The README built from its records, the index of the papers' tables, and the pages of all records that it opens;
# nothing is run but a record that is missing.
results: results/demo/record.sqlite results/mnist/record.sqlite
	$(BIN)/quantattack reproduce --pages --networks zoo --out results
	$(BIN)/python scripts/listing.py
	$(BIN)/python scripts/readme.py
	$(BIN)/python scripts/deployed.py
	$(BIN)/python scripts/pixels.py
	$(BIN)/python scripts/leaderboard.py
	$(BIN)/python scripts/certify.py
	$(BIN)/python scripts/thousand.py

# The gallery's page from its programs: those of other libraries keep the output that the page has.
gallery: .venv/ready
	$(BIN)/python scripts/gallery.py own_model resnet_normalized deployed_onnx deployed_tflite adversarial_training new_attack release_gate read_record

results/demo/record.sqlite: | .venv/ready
	$(BIN)/quantattack evaluate $(DEMO) --out results/demo

results/mnist/record.sqlite: | .venv/ready
	$(BIN)/quantattack evaluate mnist-lenet-mdtanhs --radius 0.2 --images 500 $(DEMO_ATTACKS) --out results/mnist

# Other libraries' attacks beside ours: strength, passes, seconds; hours on a CPU, continued where it was left.
bench-peers: .venv-peers/ready
	.venv-peers/bin/python benchmarks/strength.py
	.venv-peers/bin/python benchmarks/parity.py
	.venv-peers/bin/python benchmarks/speed_against_peers.py

clean:
	rm -rf .venv .venv-dist .venv-wheel .venv-peers .venv-models .venv-runtimes .venv-executorch .venv-docs build dist runs
