# Everything runs from .venv, which `make setup` builds and each target below asks for.
# `make PYTHON=/path/to/python3.12 setup` chooses the Python it is built with.

.DEFAULT_GOAL := help
SHELL := /bin/sh

PY := .venv/bin/python
LOCK := requirements-dev.lock
PROJECTS := $(wildcard shared/pyproject.toml services/*/pyproject.toml)
STAMP := .venv/.up-to-date

# Passed on: `make test ARGS="-k ride -x"`, `make demo ARGS="--bikes 200"`.
ARGS ?=

.PHONY: help setup demo test test-kafka bench lint types format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Build .venv with everything in it, from the hash-locked requirements

$(STAMP): $(LOCK) $(PROJECTS) tools/setup-venv
	@PYTHON="$(PYTHON)" tools/setup-venv

# A plain command, so that make starts it itself: when make is killed, the demo sees it.
demo: $(STAMP) ## Run everything here: database, broker, services, a simulated fleet
	@$(PY) -m demo --stop-with-parent $(ARGS)

# Two at a time: half of the time tests wait, for servers, silence and rebalances.
test: $(STAMP) ## Run the whole test suite on embedded servers
	@tools/setup-chromium >/dev/null
	$(PY) -m pytest -n 2 --dist loadfile $(ARGS)

test-kafka: $(STAMP) ## Run the broker-facing tests and the crash tests on a real Apache Kafka
	@tests/kafka/fetch-jars
	$(PY) -m pytest --broker=kafka $(ARGS)

bench: $(STAMP) ## Measure on this machine: ingest, fleets of all sizes, live latency, a report's figures, pages
	$(PY) -m benchmarks.ingest $(ARGS)
	$(PY) -m benchmarks.bikes
	$(PY) -m benchmarks.latency
	$(PY) -m benchmarks.memory
	$(PY) -m benchmarks.mutated_lines
	$(PY) -m benchmarks.report
	$(PY) -m benchmarks.dashboard

lint: $(STAMP) ## Check style and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(STAMP) ## Check types
	$(PY) -m mypy

format: $(STAMP) ## Format, and mend what can be mended
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

lock: $(STAMP) ## Resolve all requirements anew, to current versions
	tools/lock

clean: ## Remove .venv, caches and what the demo left
	rm -rf .venv .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
