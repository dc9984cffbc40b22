# hpcnn from a checkout. `make` alone lists what there is.
#
# Everything goes into .venv in this folder; delete it (`make clean`) to start anew. What is installed is in
# pyproject.toml, in which versions in constraints.txt. A step leaves its stamp only when it succeeded, and runs
# again only when one of its inputs has changed.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-long test-seconds faults audit check lint docs venv bench release clean testbed testbed-down scale matrix

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The first Python that hpcnn supports (hpcnn/version.py lists them); `make venv PYTHON=/path/to/python` chooses another.
SUPPORTED := import sys; exec(open("hpcnn/version.py").read()); \
	sys.exit("%d.%d" % sys.version_info[:2] not in SUPPORTED_PYTHONS)
PYTHONS := $(strip $(shell sed -n '/^SUPPORTED_PYTHONS/s/[^0-9., ]//gp' hpcnn/version.py))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.10 python3; do \
	$$python -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$python && break; done)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: venv ## Train the scaling study `smoke` (serial and 2 Horovod ranks) and print its scaling table
	$(BIN)/hpcnn study run scaling_studies/smoke.toml --runs runs
	$(BIN)/hpcnn scaling-report runs/smoke
	@echo '==> next: `source $(BIN)/activate` puts hpcnn on your PATH; docs/first-job.md goes on from here'

# Several tests at a time, of groups that do not disturb each other (tests/tiers.py): two workers that compute, and one
# that waits for the cluster most of its time. WORKERS=5 for a larger machine.
# -rs: what is skipped is listed with its reason.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest -rs
IN_PARALLEL := -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

test: $(VENV)/.dev $(VENV)/.horovod ## Run all tests; one of them is `make lint`
	$(PYTEST) $(IN_PARALLEL)

test-long: $(VENV)/.dev $(VENV)/.horovod ## Run the tests that compute for minutes, which `make test` skips
	HPCNN_TEST_LONG=1 $(PYTEST) -m 'long or examples'

test-seconds: $(VENV)/.dev $(VENV)/.horovod ## Run all tests and note which files are slow: `make check` leaves them out
	rm -f $(VENV)/seconds
	HPCNN_TEST_SECONDS=$(CURDIR)/$(VENV)/seconds $(PYTEST) $(IN_PARALLEL) -p tests.seconds
	$(BIN)/python -m tests.seconds $(VENV)/seconds >tests/slow_files.txt

MINUTES ?= 60
faults: $(VENV)/.dev ## Kill, fill, damage and deceive hpcnn for an hour (MINUTES=N): nothing may be lost or run
	$(BIN)/python -m tests.faults --minutes $(MINUTES)

AUDIT := build/audit
audit: ## Look up the versions of constraints.txt in a database of known weaknesses (needs the internet)
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) \
	  && $(AUDIT)/bin/python -m pip --disable-pip-version-check install --quiet 'pip-audit>=2.10,<3'; }
	$(AUDIT)/bin/python .ci/audit.py $(AUDIT)/bin/pip-audit constraints.txt

check: lint ## Check style and types, then run the pure tests: no ranks, no cluster, no documents
	$(PYTEST) $(IN_PARALLEL) -m 'not integration and not mpi and not slurm and not slow'

lint: $(VENV)/.dev ## Check the style, the types and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.docs ## Build the documents as a site, build/site/index.html
	$(BIN)/python -m sphinx --builder html --conf-dir docs --fail-on-warning --keep-going --quiet . build/site

venv: $(VENV)/.cpu $(VENV)/.horovod ## Make .venv with TensorFlow (CPU), Horovod and hpcnn

BENCH_RESULTS := benchmarks/results
NODES ?= 3
testbed: $(VENV)/.dev ## Start a real Slurm cluster on this machine (root; Debian's packages; NODES=64)
	$(BIN)/python -m tests.testbed.cluster up --nodes $(NODES)

testbed-down: $(VENV)/.dev ## Stop it; nothing is left behind
	$(BIN)/python -m tests.testbed.cluster down

POINTS ?= 1000
scale: $(VENV)/.dev ## Take a study of 1,000 jobs through loss and resumption on 64 nodes (root; minutes; POINTS=1000)
	PYTHONPATH=. $(BIN)/python benchmarks/study_scale.py --points $(POINTS) --json $(BENCH_RESULTS)/study_scale.json

RELEASE ?= trixie
matrix: ## make demo and make test in a chroot of another Debian (root; hours; RELEASE=trixie)
	.ci/matrix $(RELEASE)

# Peers are measured beside hpcnn where an environment has them: PEERS (torchx, submitit) and TORCH (PyTorch).
BENCH_REPEATS ?= 3
PEERS ?=
TORCH ?=
BENCH_ALL := --repeats $(BENCH_REPEATS) --json $(BENCH_RESULTS)

bench: venv ## Measure hpcnn beside its peers (long; BENCH_REPEATS=N, PEERS=ENV, TORCH=ENV)
	$(BIN)/python benchmarks/login_node.py $(BENCH_ALL)/login_node.json $(if $(PEERS),--peers $(PEERS))
	$(BIN)/python benchmarks/rendering.py $(BENCH_ALL)/rendering.json $(if $(PEERS),--peers $(PEERS))
	$(BIN)/python benchmarks/report_load.py --repeats 1 --json $(BENCH_RESULTS)/report_load.json --runs 400
	$(BIN)/python benchmarks/intervals.py --json $(BENCH_RESULTS)/intervals.json $(if $(EXTRAP),--extrap $(EXTRAP))
	$(BIN)/python benchmarks/start.py $(BENCH_ALL)/start.json
	$(BIN)/python benchmarks/horovod.py $(BENCH_ALL)/horovod.json
	$(BIN)/python benchmarks/input.py $(BENCH_ALL)/input.json
	$(BIN)/python benchmarks/training.py $(BENCH_ALL)/training.json $(if $(TORCH),--torch $(TORCH))
	$(BIN)/python benchmarks/steps.py --json $(BENCH_RESULTS)/steps.json $(if $(TORCH),--torch $(TORCH))
	$(BIN)/python benchmarks/operations.py $(BENCH_ALL)/operations.json $(if $(TORCH),--torch $(TORCH))
	$(BIN)/python benchmarks/time_to_accuracy.py $(BENCH_ALL)/time_to_accuracy.json

release: $(VENV)/.dev ## Build the source distribution and the wheel into dist/, and check both
	$(BIN)/python .ci/release.py dist

clean: ## Remove .venv and what tools left behind; runs/ and built Horovod wheels are kept
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find hpcnn tests -name __pycache__ -type d -exec rm -rf {} +

# A .venv whose Python has gone (an upgrade of the system) is made anew, so its stamps must not count.
$(shell test -x $(BIN)/python || rm -f $(VENV)/.cpu $(VENV)/.dev $(VENV)/.docs $(VENV)/.horovod)

$(BIN)/python:
	@rm -rf $(VENV)
	@test -n '$(PYTHON)' || { echo 'make: no Python $(PYTHONS) on PATH: install or load one,' \
	  'or name it with make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c '$(SUPPORTED)' || { echo 'make: PYTHON=$(PYTHON) is not a Python $(PYTHONS)' >&2; exit 1; }
	@echo '==> a virtual environment in $(VENV), $(PYTHON) (seconds)'
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m virtualenv --version >/dev/null 2>&1; then $(PYTHON) -m virtualenv --quiet $(VENV); \
	elif command -v uv >/dev/null; then uv venv --quiet --seed --python $(PYTHON) $(VENV); \
	else echo "make: $(PYTHON) has no ensurepip, so it cannot make virtual environments. Debian, Ubuntu:" \
	  "'apt-get install python3-venv' as root; without root: install uv or virtualenv" >&2; exit 1; fi

# Order-only, because $(BIN)/python is a link to the system's Python and has its date.
$(VENV)/.cpu: pyproject.toml constraints.txt | $(BIN)/python
	@echo '==> hpcnn, TensorFlow and what they need (400 MB to download the first time, then a minute)'
	$(PIP) install --quiet -c constraints.txt -e '.[cpu,report]'
	@touch $@

$(VENV)/.dev: $(VENV)/.cpu
	@echo '==> what the tests need (half a minute)'
	$(PIP) install --quiet -c constraints.txt -e '.[cpu,report,dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.cpu
	@echo '==> what builds the site (seconds)'
	$(PIP) install --quiet -c constraints.txt -e '.[cpu,report,docs]'
	@touch $@

$(VENV)/.horovod: $(VENV)/.cpu containers/build-horovod.sh
	@echo '==> Horovod (about 5 minutes on 2 cores the first time, seconds when its wheel is in the cache)'
	containers/build-horovod.sh --python $(BIN)/python
	@touch $@
