# Everything runs from .venv, which each target below asks for: `make demo` for what the demo runs,
# the others, as `make setup`, for all there is.
# `make PYTHON=/path/to/python3.12 setup` chooses the Python it is built with.

.DEFAULT_GOAL := help
SHELL := /bin/sh
# What Python compiles is kept, whatever the environment says: tests and demo start hundreds of
# programs, and each would compile anew all that it imports.
export PYTHONDONTWRITEBYTECODE :=

PY := .venv/bin/python
PROJECTS := $(wildcard shared/pyproject.toml services/*/pyproject.toml deploy/*/pyproject.toml)
SETUP := tools/setup-venv tools/installing.sh
STAMP := .venv/.dev-up-to-date
DEMO_STAMP := .venv/.demo-up-to-date

# Passed on: `make test ARGS="-k ride -x"`, `make demo ARGS="--bikes 200"`.
ARGS ?=

.PHONY: help setup demo report check test test-system coverage mutants bench lint types format lock audit clean
.PHONY: tableau-files tableau-publish tableau-refresh tableau-extract

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Build .venv with everything in it, from the hash-locked requirements

$(STAMP): requirements-dev.lock requirements-demo.lock $(PROJECTS) $(SETUP)
	@PYTHON="$(PYTHON)" tools/setup-venv dev

$(DEMO_STAMP): requirements-demo.lock $(PROJECTS) $(SETUP)
	@PYTHON="$(PYTHON)" tools/setup-venv demo

# A plain command, so that make starts it itself: when make is killed, the demo sees it.
demo: $(DEMO_STAMP) ## Run everything here: database, broker, services, a simulated fleet
	@$(PY) -m demo --stop-with-parent $(ARGS)

# Where the database is: the demo's, unless the environment says otherwise.
report: export DATABASE_URL ?= postgresql://deloton:deloton@127.0.0.1:15432/deloton
report: $(DEMO_STAMP) ## Draw a day's report as PDF from the demo's database: make report DATE=2026-03-10
	@$(PY) -m reporter --dry-run $(if $(DATE),--date $(DATE)) $(ARGS)

CHECKS := lint types policies test test-system

check: ## All that CI runs, one after the other
	@for target in $(CHECKS); do \
		echo "==> make $$target"; $(MAKE) --no-print-directory $$target || exit; \
	done

# Four at a time: half of the time tests wait, for servers, silence and rebalances. What waits most
# comes first. Files that are named run without, and so at once. Each that meets a real Kafka has one
# of its own: two of them are enough.
WORKERS = $(if $(findstring tests/,$(ARGS)),,-n $(1) --dist loadfile --no-loadscope-reorder)

test: $(STAMP) ## Run the test suite on embedded servers
	@tools/fetch-tableau-schema >/dev/null
	@tools/make-client >/dev/null
	$(PY) -m pytest $(call WORKERS,4) $(ARGS)

test-system: $(STAMP) ## Run the walks: the whole system, its pages in Chromium, all that meets a broker on a real Apache Kafka, crashes
	@tools/setup-chromium >/dev/null
	@tools/fetch-asyncapi-schema >/dev/null
	@tests/kafka/fetch-jars
	$(PY) -m pytest --broker=kafka $(call WORKERS,2) $(ARGS)

coverage: $(STAMP) ## Run the whole suite and tell which branches it does not take
	@tools/setup-chromium >/dev/null
	@tools/fetch-tableau-schema >/dev/null
	@tools/make-client >/dev/null
	$(PY) -m pytest $(call WORKERS,4) --cov --cov-report=term:skip-covered --cov-report=html $(ARGS)

mutants: $(STAMP) ## Put mistakes into CORE, and tell which of them no test notices: ARGS='deloton.rules*'
	@tools/mutants $(ARGS)

bench: $(STAMP) ## Measure on this machine: the ingestor, alerts, reports, API, star, pages
	$(PY) -m benchmarks.ingest $(ARGS)
	$(PY) -m benchmarks.bikes
	$(PY) -m benchmarks.series
	$(PY) -m benchmarks.latency
	$(PY) -m benchmarks.alerts
	$(PY) -m benchmarks.alert_quality
	$(PY) -m benchmarks.memory
	$(PY) -m benchmarks.streams
	$(PY) -m benchmarks.mutated_lines
	$(PY) -m benchmarks.report
	@if command -v wrk >/dev/null; then $(PY) -m benchmarks.api; else echo "wrk is not installed: the API is not measured"; fi
	$(PY) -m benchmarks.live_stream
	$(PY) -m benchmarks.tableau
	$(PY) -m benchmarks.dashboard

lint: $(STAMP) ## Check style, formatting, and which room imports which
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/lint-imports --no-logo
	.venv/bin/hadolint services/*/Dockerfile deploy/tableau/Dockerfile tests/compose/stand_ins/*Dockerfile
	.venv/bin/cfn-lint --regions eu-west-2 -- deploy/ecs/templates/*.yaml
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

policies: ## Check the templates against checkov's rules; deploy/ecs/policies.yaml says which are waived
	PYTHON="$(PYTHON)" tools/check-policies

sbom: ## Say what a service's image holds of others' packages, as CycloneDX: SERVICE=api
	@tools/sbom "$(SERVICE)"

audit: ## Ask for known vulnerabilities of what the images hold (the advisory service must answer)
	PYTHON="$(PYTHON)" tools/audit

types: $(STAMP) ## Check types
	$(PY) -m mypy

format: $(STAMP) ## Format, and mend what can be mended
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

tableau-files: $(STAMP) ## Write Tableau's data source, its workbook and the data dictionary anew
	$(PY) tools/tableau-files

tableau-publish: $(STAMP) ## Publish a live data source and the workbook (.env.example: TABLEAU_…)
	$(PY) -m deloton_tableau publish

tableau-refresh: $(STAMP) ## Publish the data source with an extract of now: what the scheduled task does
	$(PY) -m deloton_tableau refresh

tableau-extract: $(STAMP) ## Write the analysts' star as deloton.hyper (ARGS=another name)
	$(PY) -m deloton_tableau extract $(ARGS)

lock: $(STAMP) ## Resolve all requirements anew, to current versions
	tools/lock

# Images: one a service, tagged alike. `make image SERVICE=api TAG=1.4.0`.
TAG ?= dev
DOCKERFILES := $(wildcard services/*/Dockerfile deploy/*/Dockerfile)
IMAGES := $(notdir $(patsubst %/Dockerfile,%,$(DOCKERFILES)))
DOCKERFILE = $(filter %/$(SERVICE)/Dockerfile,$(DOCKERFILES))
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
# What the tasks run on (deploy/ecs/templates: X86_64), whatever the machine that builds is.
PLATFORM := linux/amd64
# Passed on to every build: `BUILD_ARGS="--build-arg PYTHON_IMAGE=…"` for a base of your own.
BUILD_ARGS ?=
COMPOSE := docker compose

.PHONY: image images up down logs test-compose policies templates sbom prepare deploy deploy-all status changed run api-key ask destroy

image: ## Build the image of one service: SERVICE=api TAG=dev
	@test -n "$(DOCKERFILE)" || { echo "SERVICE= one of: $(IMAGES)" >&2; exit 2; }
	DOCKER_BUILDKIT=1 docker build --platform $(PLATFORM) --file $(DOCKERFILE) \
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

status: $(STAMP) ## Say which image runs of each service, how many tasks, which alarms stand
	@$(ECS) status --environment $(ENVIRONMENT)

changed: $(STAMP) ## Print the services whose inputs differ between what runs and this checkout
	@$(ECS) changed --environment $(ENVIRONMENT)

run: $(STAMP) ## Run a command in a task of a service: SERVICE=api COMMAND="python -m api.keys list"
	@$(ECS) run "$(SERVICE)" --environment $(ENVIRONMENT) -- $(COMMAND)

api-key: $(STAMP) ## Make a key of an environment's API and print it: NAME=partner SCOPES=read SANDBOX=
	@$(ECS) api-key "$(NAME)" --scopes "$(or $(SCOPES),read)" $(if $(SANDBOX),--sandbox) \
		--environment $(ENVIRONMENT)

ask: $(STAMP) ## Ask an environment's database: QUERY="SELECT state, count(*) FROM reports GROUP BY 1"
	@$(ECS) run migrate --environment $(ENVIRONMENT) -- python -m deloton.ask "$(QUERY)"

templates: $(STAMP) ## Write deploy/ecs/templates anew from deploy/ecs/sources
	@$(ECS) templates

prepare: $(STAMP) ## Show what would change of what services stand on, ask, and make it so: YES=yes asks nothing
	@$(ECS) prepare --environment $(ENVIRONMENT) $(if $(YES),--yes)

destroy: $(STAMP) ## Remove an environment: ENVIRONMENT=staging YES_DESTROY=staging
	@$(ECS) destroy --environment $(ENVIRONMENT) --yes-destroy "$(YES_DESTROY)"

test-compose: $(STAMP) ## Walk through the whole system in containers, kill each service; STAND_INS=yes without registry
	$(if $(STAND_INS),COMPOSE_FILE=docker-compose.yml:tests/compose/stand_ins.yaml) \
		$(PY) -m pytest tests/compose/walk_through.py $(ARGS)

clean: ## Remove .venv, caches and what the demo left
	rm -f deloton-*-report-*.pdf
	rm -rf .venv .demo .policies .audit .client-generator .mutants .coverage htmlcov .mypy_cache .import_linter_cache .grimp_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
