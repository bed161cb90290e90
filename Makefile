# Every target does its own set-up in .venv; PYTHON picks the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The tests start hundreds of processes: where it is set, each would compile all of pdctl, and each run all tests, anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check-mutations test-slow test-all real-test lab lab-test lint format lock clean bench-check bench-loadgen bench-tui bench-bringup bench-fanout bench-fit-real-vllm bench-fleet-vs-model demo-auto moves-soak bench-moves

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(STAMP)  ## make .venv with the locked, hash-checked dependencies

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "pdctl needs Python 3.11 or newer: $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## five simulated nodes as 2P3D under load: live in a terminal, else a fixed load and a summary
	@if test -t 0 && test -t 1; then $(BIN)/pdctl demo; else $(BIN)/pdctl demo --headless; fi

# Most tests wait for processes more than they compute. tests/conftest.py says what begins first, and xdist would undo it.
PARALLEL := --numprocesses 3 --dist loadfile --no-loadscope-reorder

test: setup  ## every test that needs no root and no network beyond loopback
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: setup  ## what `make test` leaves out: costlier variants, and 300 examples of every property
	PDCTL_HYPOTHESIS_EXAMPLES=300 $(BIN)/python -m pytest $(PARALLEL) -m 'slow or property'

test-all: test test-slow  ## both

real-test: setup  ## real vLLM on CPU as 1P2D with NIXL: a gigabyte to download, up to 20 minutes on two cores
	PYTHON=$(PYTHON) tests/real/install.sh .venv-vllm
	$(BIN)/python -m pytest -m real tests/real

lab: setup  ## as root: tests on hosts of their own, with systemd, sshd and docker, and their faults
	@test "$$(id -u)" = 0 || { echo "the lab makes namespaces and mounts: run it as root, on a machine for tests" >&2; exit 1; }
	$(BIN)/python -m pytest -m lab tests/lab

lab-test: setup  ## as root: install what the lab needs (Debian), then `make lab`
	tests/lab/install.sh
	$(MAKE) lab

check-mutations: setup  ## 10,000 damaged outputs of GPU, NIC and host tools: no crash, and nothing passes that did not
	PDCTL_HEALTH_EXAMPLES=10000 $(BIN)/python -m pytest --timeout 3600 tests/property/test_tool_output_mutations.py \
	  tests/property/test_gpu_check_mutations.py tests/property/test_health_mutations.py

lint: setup  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/*.py
	$(BIN)/lint-imports

format: setup  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: setup  ## resolve pyproject.toml again into requirements-dev.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra demo --extra serve --extra dev pyproject.toml -o requirements-dev.lock

bench-check: setup  ## as root: `pdctl check` on 64 hosts of the lab: what it adds, and its CPU a host
	$(BIN)/python benchmarks/check.py

bench-loadgen: setup  ## what the load client of `pdctl bench` can take, and what it adds, beside aiohttp and httpx
	$(BIN)/python benchmarks/loadgen.py

bench-tui: setup  ## what the terminal costs over 256 nodes: CPU, bytes, first paint, key to paint
	$(BIN)/python benchmarks/tui.py

bench-bringup: setup  ## what pdctl adds to the start of 1, 5 and 32 engines
	$(BIN)/python benchmarks/bringup.py

moves-soak: setup  ## 100 moves under load, READ and WRITE, none of 5,000 requests lost: half an hour
	$(BIN)/python benchmarks/moves_soak.py --moves 100 --out docs/moves-soak.txt

bench-moves: setup  ## how long a move takes, and how much of that is pdctl
	$(BIN)/python benchmarks/moves.py --moves 6

demo-auto: setup  ## traffic turns from 8K/1K to 1K/8K, and the pools of a simulated fleet follow it by themselves
	$(BIN)/pdctl demo --headless --auto

bench-fleet-vs-model: setup  ## the simulated fleet beside the model that paces it
	$(BIN)/python benchmarks/fleet_vs_model.py

bench-fit-real-vllm: setup  ## the performance model on real vLLM, on CPU: half of the loads are fitted to, the rest predicted
	$(BIN)/python -m benchmarks.fit_real_vllm --runs bench/fit-real-vllm --report docs/fit-real-vllm.txt

bench-fanout: setup  ## `pdctl exec` against ansible, pyinfra and pdsh on 16, 64 and 256 SSH servers
	benchmarks/install_fanout_tools.sh .venv-fanout
	$(BIN)/python benchmarks/ssh_fanout.py --venv .venv-fanout

clean:  ## remove .venv and caches
	rm -rf $(VENV) .venv-vllm .venv-fanout .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
