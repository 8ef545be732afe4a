PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
MUTANTS ?= .venv-mutants
ARGS ?=

BIN := $(VENV)/bin
LOCK := .ci/constraints.txt
# Where Python is told to write no bytecode, each process that a test starts would compile it all again.
COMPILE = $(BIN)/python -m compileall -q durproj
PIP = python -m pip -qq --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help demo test check proof mutants bench bench-peers fmt clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed ## crash a projection at event 5, resume it, look into its history
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && PATH="$(abspath $(BIN)):$$PATH" && \
	unset DURPROJ_STORE DURPROJ_EVENTS && cd "$$dir" && \
	show() { \
		want=$$1; shift; code=0; \
		echo "$$ durproj $$*"; durproj "$$@" || code=$$?; \
		if [ $$code -ne $$want ]; then echo "(exit $$code, expected $$want)"; return 1; fi; \
		if [ $$code -ne 0 ]; then echo "(exit $$code, as planned)"; fi; \
		echo; \
	} && \
	show 3 run --crash 5 && \
	show 0 resume && \
	show 0 inspect projection/u1 && \
	show 0 inspect projection/u1 --step 4 && \
	show 0 log projection/u1 --path activeOrders && \
	show 0 blame projection/u1 && \
	show 1 diff 'projection/u1#4'

test: $(VENV)/.developing ## run the tests (ARGS='-k word' to choose)
	@$(COMPILE)
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.developing ## everything CI asks: format, lint, types, import rules, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(COMPILE)
	@$(BIN)/python -m pytest $(ARGS)

proof: $(VENV)/.developing ## every kind of fault at nightly counts with a fresh seed (ARGS='--list', '--seed S', '--only WORDS')
	@$(COMPILE)
	@cd tests && $(abspath $(BIN))/python -m proof $(ARGS)

mutants: $(MUTANTS)/.installed ## change the code in a thousand ways and see which the tests notice (ARGS='durproj.stores.packing.*')
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	PYTEST_DEBUG_TEMPROOT="$$dir" HYPOTHESIS_PROFILE=ci PYTHONDONTWRITEBYTECODE=1 \
		$(MUTANTS)/bin/mutmut run --max-children 1 $(ARGS)
	@$(MUTANTS)/bin/mutmut results | grep -v ': not checked' || true

bench: $(VENV)/.developing ## measure durproj beside plain loops (ARGS='--quick' to see it work, '--list' for its rows)
	@$(COMPILE)
	@cd tests && $(abspath $(BIN))/python -m bench $(ARGS)

bench-peers: $(VENV)/.developing $(PEERS)/.installed ## the same beside DBOS, eventsourcing and jq, in an environment of their own
	@cd tests && $(abspath $(BIN))/python -m bench --peers $(abspath $(PEERS))/bin/python $(ARGS)

fmt: $(VENV)/.developing ## format the code and fix what ruff can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove environments, caches and built files
	@rm -rf .venv .venv-* build dist mutants .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in "$(PYTHON)" python3.13 python3.12 python3.11 ""; do \
		if [ -z "$$python" ]; then \
			found=$$("$(PYTHON)" --version 2>&1) || found="not there"; \
			echo "durproj needs Python 3.11 or newer. '$(PYTHON)' is: $$found;" >&2; \
			echo "python3.13, python3.12 and python3.11 were tried too. Name one: make PYTHON=/path/to/python3" >&2; \
			exit 1; \
		fi; \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
	done; \
	echo "making $(VENV) with $$("$$python" --version)" >&2; \
	"$$python" -m venv --clear "$(VENV)" >&2 || { \
		rm -rf "$(VENV)"; \
		echo "'$$python -m venv' failed. On Debian and Ubuntu it needs: apt-get install python3-venv" >&2; \
		exit 1; \
	}

# The build backend is installed by name first, so that its version is a constrained one as well.
$(VENV)/.installed: pyproject.toml $(LOCK) | $(BIN)/python
	@$(BIN)/$(PIP) install -c $(LOCK) hatchling
	@$(BIN)/$(PIP) install -c $(LOCK) --no-build-isolation -e .
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	@$(BIN)/$(PIP) install -c $(LOCK) --no-build-isolation -e '.[dev]'
	@touch $@

$(PEERS)/.installed: tests/bench/peers.txt pyproject.toml $(LOCK) | $(BIN)/python
	@$(BIN)/python -m venv --clear $(PEERS)
	@$(PEERS)/bin/$(PIP) install -c $(LOCK) hatchling
	@$(PEERS)/bin/$(PIP) install -c $(LOCK) \
		--no-build-isolation -r tests/bench/peers.txt -e .
	@touch $@

$(MUTANTS)/.installed: tests/mutants/mutants.txt pyproject.toml $(LOCK) | $(BIN)/python
	@$(BIN)/python -m venv --clear $(MUTANTS)
	@$(MUTANTS)/bin/$(PIP) install -c $(LOCK) hatchling
	@$(MUTANTS)/bin/$(PIP) install -c $(LOCK) \
		--no-build-isolation -r tests/mutants/mutants.txt -e '.[jq,parquet]'
	@touch $@
