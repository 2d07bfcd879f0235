# Everyday commands. Python 3.11 or later and make are all that must be there already.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

# What may be given on the command line, as in `make test ARGS="-k store"`.
ARGS =
CORPUS ?=
# Tests wait about as much as they compute: half as many again as there are CPUs keep all busy.
JOBS = $(shell echo $$(( ($$(nproc) * 3 + 1) / 2 )))

# Compiled files are kept: servers and workers that tests start would else compile all again.
export PYTHONDONTWRITEBYTECODE =

PYTEST = $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: help demo serve test check static format-check lint types contracts coverage torture bench bench-recipes soak gallery hostile fuzz fix clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## show it: a server, two dozen photos, their results in demo-out/
	@$(BIN)/python -m benchmarks.demo $(ARGS)

serve: $(READY) ## start the server on http://127.0.0.1:8080 (ARGS="--port 9000 …")
	@$(BIN)/python -m imgsvc serve $(ARGS)

test: $(READY) ## run the tests (ARGS="-k name", JOBS=0 for one process)
	@$(PYTEST) $(ARGS)

check: static coverage ## everything a change must pass: format, lint, types, contracts, tests

static: format-check lint types contracts ## the parts of check that run no code

format-check: $(READY)
	@$(BIN)/ruff format --check

lint: $(READY)
	@$(BIN)/ruff check

types: $(READY)
	@$(BIN)/mypy

contracts: $(READY)
	@$(BIN)/lint-imports --cache-dir .import_linter_cache

coverage: $(READY) ## run the tests and report the branches that none of them takes
	@$(PYTEST) --cov --cov-report=term:skip-covered $(ARGS)

torture: $(READY) ## kill servers 300 times and see that nothing is lost (ARGS="--kills 50 --seed 2")
	@$(BIN)/python -m tests.torture $(ARGS)

bench: $(READY) ## measure against a bare libvips loop (CORPUS=folder, ARGS="--rounds 5 …")
	@$(BIN)/python -m benchmarks.bench $(if $(CORPUS),--corpus "$(CORPUS)") $(ARGS)

bench-recipes: $(READY) ## measure every operation against libvips alone (CORPUS=photo)
	@$(BIN)/python -m benchmarks.recipes $(if $(CORPUS),--corpus "$(CORPUS)") $(ARGS)

soak: $(READY) ## full load for five minutes: does anything grow? (ARGS="--minutes 60 --workers 8")
	@$(BIN)/python -m benchmarks.soak $(ARGS)

hostile: $(READY) ## thousands of hostile files, then pictures that fill the memory (ARGS="--seed 2 …")
	@$(BIN)/python -m tests.hostile $(ARGS)
	@$(BIN)/python -m tests.hostile.flood

fuzz: $(READY) ## make requests up after /openapi.json (ARGS="--examples 99")
	@$(BIN)/python -m tests.api.openapi $(ARGS)

gallery: $(READY) ## lay out what every operation makes of one photo (CORPUS=photo)
	@$(BIN)/python -m benchmarks.gallery $(if $(CORPUS),--corpus "$(CORPUS)") $(ARGS)

fix: $(READY) ## format, and repair what lint can repair
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean: ## remove what the other commands made, but no data/
	@rm -rf $(VENV) build demo-out .coverage .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache

# The environment is made once, and brought up to date when pyproject.toml changes.
$(READY): pyproject.toml
	@set -e; python=; \
	if [ ! -x $(BIN)/python ]; then \
		for candidate in $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14 python; do \
			if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
			then python=$$candidate; break; fi; \
		done; \
		if [ -z "$$python" ]; then \
			echo "imgsvc needs Python 3.11 or later, and none was found." \
				"Install one, or say where it is: make PYTHON=/path/to/python3.11" >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$($$python --version) …" >&2; \
		if ! $$python -m venv $(VENV); then \
			rm -rf $(VENV); \
			echo "This Python cannot make environments; on Debian and Ubuntu the package" \
				"python3-venv is missing." >&2; \
			exit 1; \
		fi; \
	fi; \
	echo "Installing what pyproject.toml asks for …" >&2; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'; \
	touch $@
