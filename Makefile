# Everything runs from .venv, which `make setup` builds and each target below asks for.
# `make PYTHON=/path/to/python3.12 setup` chooses the Python it is built with.

.DEFAULT_GOAL := help
SHELL := /bin/sh

PY := .venv/bin/python
LOCK := requirements-dev.lock
PROJECTS := $(wildcard shared/pyproject.toml services/*/pyproject.toml deploy/*/pyproject.toml)
STAMP := .venv/.up-to-date

# Passed on: `make test ARGS="-k ride -x"`, `make demo ARGS="--bikes 200"`.
ARGS ?=

.PHONY: help setup demo report check test test-kafka bench lint types format lock audit clean
.PHONY: tableau-files tableau-publish tableau-extract

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Build .venv with everything in it, from the hash-locked requirements

$(STAMP): $(LOCK) $(PROJECTS) tools/setup-venv
	@PYTHON="$(PYTHON)" tools/setup-venv

# A plain command, so that make starts it itself: when make is killed, the demo sees it.
demo: $(STAMP) ## Run everything here: database, broker, services, a simulated fleet
	@$(PY) -m demo --stop-with-parent $(ARGS)

# Where the database is: the demo's, unless the environment says otherwise.
report: export DATABASE_URL ?= postgresql://deloton:deloton@127.0.0.1:15432/deloton
report: $(STAMP) ## Draw a day's report as PDF from the demo's database: make report DATE=2026-03-10
	@$(PY) -m reporter --dry-run $(if $(DATE),--date $(DATE)) $(ARGS)

check: ## All that CI runs: lint, types, test, test-kafka
	@for target in lint types test test-kafka; do \
		echo "==> make $$target"; $(MAKE) --no-print-directory $$target || exit; \
	done

# Two at a time: half of the time tests wait, for servers, silence and rebalances.
test: $(STAMP) ## Run the whole test suite on embedded servers
	@tools/setup-chromium >/dev/null
	@tools/fetch-tableau-schema >/dev/null
	$(PY) -m pytest -n 2 --dist loadfile $(ARGS)

test-kafka: $(STAMP) ## Run the broker-facing tests and the crash tests on a real Apache Kafka
	@tests/kafka/fetch-jars
	$(PY) -m pytest --broker=kafka $(ARGS)

bench: $(STAMP) ## Measure on this machine: the ingestor, alerts, reports, API, star, pages
	$(PY) -m benchmarks.ingest $(ARGS)
	$(PY) -m benchmarks.bikes
	$(PY) -m benchmarks.latency
	$(PY) -m benchmarks.alerts
	$(PY) -m benchmarks.memory
	$(PY) -m benchmarks.mutated_lines
	$(PY) -m benchmarks.report
	@if command -v wrk >/dev/null; then $(PY) -m benchmarks.api; else echo "wrk is not installed: the API is not measured"; fi
	$(PY) -m benchmarks.tableau
	$(PY) -m benchmarks.dashboard

lint: $(STAMP) ## Check style and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/hadolint services/*/Dockerfile tests/compose/stand_ins/*Dockerfile
	.venv/bin/cfn-lint --regions eu-west-2 -- deploy/ecs/templates/*.yaml

policies: ## Check the templates against checkov's rules; deploy/ecs/policies.yaml says which are waived
	tools/check-policies

audit: ## Ask for known vulnerabilities of what the images hold (the advisory service must answer)
	PYTHON="$(PYTHON)" tools/audit

types: $(STAMP) ## Check types
	$(PY) -m mypy

format: $(STAMP) ## Format, and mend what can be mended
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

tableau-files: $(STAMP) ## Write Tableau's data source, its workbook and the data dictionary anew
	$(PY) tools/tableau-files

tableau-publish: $(STAMP) ## Publish data source and workbook (.env.example: TABLEAU_…)
	$(PY) -m deloton_tableau publish

tableau-extract: $(STAMP) ## Write the analysts' star as deloton.hyper (ARGS=another name)
	$(PY) -m deloton_tableau extract $(ARGS)

lock: $(STAMP) ## Resolve all requirements anew, to current versions
	tools/lock

# Images: one a service, tagged alike. `make image SERVICE=api TAG=1.4.0`.
TAG ?= dev
IMAGES := $(patsubst services/%/Dockerfile,%,$(wildcard services/*/Dockerfile))
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
# Passed on to every build: `BUILD_ARGS="--build-arg PYTHON_IMAGE=…"` for a base of your own.
BUILD_ARGS ?=
COMPOSE := docker compose

.PHONY: image images up down logs test-compose policies prepare deploy deploy-all run ask destroy

image: ## Build the image of one service: SERVICE=api TAG=dev
	@test -f "services/$(SERVICE)/Dockerfile" || { echo "SERVICE= one of: $(IMAGES)" >&2; exit 2; }
	DOCKER_BUILDKIT=1 docker build --file services/$(SERVICE)/Dockerfile \
		--build-arg VERSION=$(TAG) --build-arg REVISION=$(REVISION) $(BUILD_ARGS) \
		--tag deloton/$(SERVICE):$(TAG) .

images: $(addprefix image-,$(IMAGES)) ## Build the images of all services, and show their sizes
	@docker images --filter 'reference=deloton/*:$(TAG)' --format '{{.Repository}}:{{.Tag}}  {{.Size}}'

image-%:
	@$(MAKE) --no-print-directory image SERVICE=$*

up: ## Start the whole system in containers, and print where to look
	DOCKER_BUILDKIT=1 $(COMPOSE) up --build --detach --wait $(ARGS)
	@$(COMPOSE) ps --format 'table {{.Service}}\t{{.Status}}\t{{.Ports}}'

down: ## Stop the containers; ARGS=--volumes forgets the data too
	$(COMPOSE) --profile '*' down --remove-orphans $(ARGS)

logs: ## Follow the containers' logs: ARGS=ingestor for one
	$(COMPOSE) logs --follow --tail 100 $(ARGS)

# Where to: a file of deploy/ecs/environments/. MIGRATE=no for going back to an older image.
ENVIRONMENT ?= production
MIGRATE ?= yes
ECS := $(PY) -m deploy.ecs

deploy: $(STAMP) ## Deploy one service: SERVICE=api TAG=1.4.0 ENVIRONMENT=production
	@$(ECS) deploy "$(SERVICE)" --environment $(ENVIRONMENT) --tag $(TAG) \
		$(if $(filter no,$(MIGRATE)),--no-migrate)

deploy-all: $(STAMP) ## Deploy network, data, cluster, then each service: TAG=1.4.0
	@$(ECS) deploy-all --environment $(ENVIRONMENT) --tag $(TAG)

run: $(STAMP) ## Run a command in a task of a service: SERVICE=api COMMAND="python -m api.keys list"
	@$(ECS) run "$(SERVICE)" --environment $(ENVIRONMENT) -- $(COMMAND)

ask: $(STAMP) ## Ask an environment's database: QUERY="SELECT state, count(*) FROM reports GROUP BY 1"
	@$(ECS) run migrate --environment $(ENVIRONMENT) -- python -m deloton.ask "$(QUERY)"

prepare: $(STAMP) ## Make or update network, data and cluster alone
	@$(ECS) prepare --environment $(ENVIRONMENT)

destroy: $(STAMP) ## Remove an environment: ENVIRONMENT=staging YES_DESTROY=staging
	@$(ECS) destroy --environment $(ENVIRONMENT) --yes-destroy "$(YES_DESTROY)"

test-compose: $(STAMP) ## Walk through the whole system in containers, kill each service; STAND_INS=yes without registry
	$(if $(STAND_INS),COMPOSE_FILE=docker-compose.yml:tests/compose/stand_ins.yaml) \
		$(PY) -m pytest tests/compose/walk_through.py $(ARGS)

clean: ## Remove .venv, caches and what the demo left
	rm -f deloton-*-report-*.pdf
	rm -rf .venv .demo .policies .audit .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
