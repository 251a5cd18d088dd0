# Two commands do all the set-up: `make run` and `make test`; `make install` does it alone. They need Python 3.11 to 3.13 (with venv), git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := 2.13.0
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SEEDS ?= 0,1,2
# Processes that share the tests, a file at a time.
JOBS ?= 2

.PHONY: help install install-dev run test test-kernels lint docs digests bench lock clean

help:
	@echo "make install       set up $(VENV): torch, then the locked packages, then finecomb"
	@echo "make install-dev   the same, with all extras (web, tensorboard, ...) and what the targets below need"
	@echo "make run           install, then train and compare full, head and lora on film-review sentences"
	@echo "make test          install-dev, then run the tests"
	@echo "make test-kernels  the tests of training with other kernels of Intel's MKL, which sum in another order"
	@echo "make lint          formatting, lint, types, import rules"
	@echo "make docs          build docs/_build/html from the docstrings, the schemas and docs/; warnings are errors"
	@echo "make digests REASON='...'  record changed code that computes numbers (CONTRIBUTING.md)"
	@echo "make bench         measurements side by side"
	@echo "make lock          renew the two lock files (maintainers; needs uv)"
	@echo "make clean         remove $(VENV), build output, built documentation and the caches of the tools"

# Built again when the lock or the project file changes. torch comes first: its CPU and GPU builds need different packages.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "finecomb needs Python 3.11, 3.12 or 3.13; this is %d.%d. Name one: make PYTHON=python3.12 ..." % v)'
	@echo "Setting up $(VENV): torch $(TORCH) (0.2 GB for a CPU build; over 2 GB where pip offers CUDA builds), then about 0.3 GB of packages. One to ten minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) torch==$(TORCH)
	@$(PIP) --require-hashes --no-deps -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(READY_DEV): $(READY) requirements-dev.lock
	@echo "Adding the extras and what tests and documentation need. One to five minutes."
	@$(PIP) --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

install: $(READY)

install-dev: $(READY_DEV)

run: $(READY)
	@echo "Downloads once: film-review sentences (2.4 MB) and MiniLM-L6 weights (84 MB). Then 9 runs, together about 20 minutes on 2 cores without bf16."
	@$(BIN)/finecomb train -m experiment=main_job output_dir=runs/main_job logger.group=main_job tuning=full,lora seed=$(SEEDS)
	@$(BIN)/finecomb train -m experiment=main_job output_dir=runs/main_job logger.group=main_job tuning=head trainer.max_epochs=5 seed=$(SEEDS) --yes
	@$(BIN)/finecomb compare runs/main_job --references majority,tfidf_logistic

test: $(READY_DEV)
	@$(BIN)/python -m pytest -m "not clock" --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest -m clock

# The order of sums depends on the processor; a green run on one hides what fails on another.
test-kernels: $(READY_DEV)
	@MKL_CBWR=COMPATIBLE $(BIN)/python -m pytest -m "not clock" --numprocesses $(JOBS) --dist loadfile tests/learning tests/training tests/invariance
	@MKL_ENABLE_INSTRUCTIONS=AVX2 $(BIN)/python -m pytest -m "not clock" --numprocesses $(JOBS) --dist loadfile tests/learning tests/training tests/invariance

lint: $(READY_DEV)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# Nothing is fetched, neither here nor by a page when it is read.
docs: $(READY_DEV)
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# The reason reaches Python by the environment, whatever quotes are in it.
digests: export REASON := $(value REASON)
digests: $(READY_DEV)
	@$(BIN)/python tests/digests.py

bench: $(READY_DEV)
	@$(BIN)/python -m benchmarks

# Everything is resolved first; what finecomb itself needs is then resolved to the same versions.
LOCK := --universal --python-version 3.11 --generate-hashes --override .lock/override.txt --no-header --no-annotate --quiet

lock:
	@mkdir -p .lock && printf 'torch==$(TORCH) ; sys_platform == "never"\n' > .lock/override.txt
	@uv pip compile pyproject.toml --group build --group dev --group docs --all-extras $(LOCK) --output-file .lock/everything.txt
	@uv pip compile pyproject.toml --group build --constraint .lock/everything.txt $(LOCK) --output-file .lock/needed.txt
	@$(PYTHON) scripts/split_lock.py .lock/everything.txt .lock/needed.txt
	@rm -r .lock

clean:
	@rm -rf $(VENV) .lock build dist .mypy_cache .ruff_cache docs/_build docs/reference/config docs/notebooks docs/experiments docs/benchmarks
