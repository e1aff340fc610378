# The contributor's menu. `make demo` and `make test` are all that a fresh machine needs.
# The first Python on PATH that runs and is new enough; a name on PATH may be a shim that does not run.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := karl producers workers

.DEFAULT_GOAL := help
.PHONY: help demo train-demo eval-lift test check bench torture fuzz clean docs

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "KARL needs Python 3.11 or newer on PATH; or say make PYTHON=/path/to/python3"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## run a scripted agent through the whole line and show its scored sessions
	$(BIN)/karl demo

train-demo: $(STAMP) ## train an adapter of a small model, and try it (six minutes on two cores)
	$(BIN)/python -m karl.demo.learning train

eval-lift: $(STAMP) ## train many, and say whether the reward's choice helped (84 minutes on two cores)
	$(BIN)/python -m karl.demo.learning lift

# Tests start processes by the hundred, and four that collect tests: each compiles every module that it loads,
# unless one has before. That one runs while mypy leaves a core idle; what it finds wrong, the tests say.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(STAMP) ## everything CI runs: lint, types, import contracts, tests
	@{ $(BIN)/python -m compileall -q $(PACKAGES); $(BIN)/python -m pytest --collect-only -q; } >/dev/null 2>&1 & \
		$(MAKE) --no-print-directory check; checked=$$?; wait; exit $$checked
	$(BIN)/python -m pytest -q -n 4 --dist worksteal

check: $(STAMP) ## lint, types and import contracts alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(STAMP) ## measure the hook, the shipper, the line and the ledger (benchmarks/README.md)
	$(BIN)/python -m benchmarks

torture: $(STAMP) ## harm the line 500 times and check every promise (SEED=n repeats a run; FAULTS=n, FSYNC=everysec)
	$(BIN)/python -m tests.faults.torture $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS)) \
		$(if $(FSYNC),--fsync $(FSYNC))

fuzz: $(STAMP) ## give every reader hostile bytes, for a minute each (SECONDS=n for another time)
	$(BIN)/python -m tests.fuzz.run $(if $(SECONDS),--seconds $(SECONDS))

docs: $(STAMP) ## write docs/commands.md, settings.md and metrics.md anew from the code
	$(BIN)/python -m karl.cli.reference

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
