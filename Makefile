# Each target makes its own virtual environment first, from a lock file with hashes.
# PYTHON=/path/to/python3.12 chooses the interpreter; without it .ci/python finds one.
.DEFAULT_GOAL := help
.PHONY: help demo run test test-newer lint bench chaos fuzz
export PYTHON
# A foreign module path, or none, would keep the rooms from being found.
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH

py := .venv/bin/python
newer := .venv-newer/bin/python
# Without what runs the whole house for long: it tells little about the interpreter.
quick := -m "not campaign and not material" \
    --ignore=tests/end_to_end --ignore=tests/chaos --ignore=tests/bench

help: ## list the targets
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## send a mail to the house on this machine and read its answer
	@bash .ci/venv requirements.lock </dev/null
	@exec $(py) server.py demo </dev/null

run: ## the same, and keep it up for mails of your own, until Ctrl-C
	@bash .ci/venv requirements.lock </dev/null
	@exec $(py) server.py demo --keep </dev/null

test: ## format, lint, types, all tests (as root: installs the servers they start)
	@bash .ci/packages </dev/null
	@$(MAKE) --no-print-directory lint
	@exec $(py) -m pytest </dev/null

test-newer: ## the quick tests on a newer Python, where there is one
	@if newer=$$(bash .ci/python --newer); then \
	    PYTHON="$$newer" bash .ci/venv requirements-dev.lock .venv-newer </dev/null && \
	    exec $(newer) -m pytest -q -p no:cacheprovider $(quick) </dev/null; \
	else \
	    echo "No Python newer than 3.11 here: the tests run on the one of .venv only."; \
	fi

lint: ## ruff and mypy
	@bash .ci/venv requirements-dev.lock </dev/null
	@$(py) -m ruff format --check .
	@$(py) -m ruff check .
	@$(py) -m mypy

bench: ## measure, and compare with the budgets
	@bash .ci/venv requirements-dev.lock </dev/null
	@exec $(py) -m tests.bench </dev/null

chaos: ## kill the house thirty times on each database, and balance the accounts
	@bash .ci/venv requirements-dev.lock </dev/null
	@exec $(py) -m tests.chaos </dev/null

fuzz: ## random input for everything that reads strangers' bytes, ten seconds each
	@bash .ci/venv requirements-dev.lock </dev/null
	@exec $(py) -m tests.fuzz </dev/null
