# Bare `make` shows this help. Each recipe is a line or two; what is longer lives in scripts/.
SHELL := /bin/sh
PYTHON ?= python3
DOOR := ./scripts/run_automations.sh
ENV := .venv/.made
DEV := .venv/.made-dev

.DEFAULT_GOAL := help
.PHONY: help env up down start stop restart status serve run-brief run-selfheal check-jobs verify \
	tui test storms check acceptance bench pictures requirements clean

help: ## show this help
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

env: $(ENV) ## make the virtual environment
$(ENV): requirements.txt
	@sh scripts/make_env.sh "$(PYTHON)" requirements.txt $@
$(DEV): requirements-dev.txt $(ENV)
	@sh scripts/make_env.sh "$(PYTHON)" requirements-dev.txt $@

tui: $(ENV) ## the terminal dashboard
	@$(DOOR) tui
up: $(ENV) ## environment, key, scheduler and API; then says what to do next
	@$(DOOR) up
down: ## take the API and the scheduler down
	@$(DOOR) down
start: $(ENV) ## bring the scheduler up
	@$(DOOR) start
stop: ## take the scheduler down
	@$(DOOR) stop
restart: $(ENV) ## stop, then start
	@$(DOOR) restart
status: ## is it running?
	@$(DOOR) status || [ $$? -eq 3 ]
serve: $(ENV) ## the control API in this terminal
	@$(DOOR) serve
run-brief: $(ENV) ## run the brief now, through the API; without a server, through the script
	@$(DOOR) trigger brief
run-selfheal: $(ENV) ## run selfheal now, likewise
	@$(DOOR) trigger selfheal
check-jobs: $(ENV) ## is automations.toml good?
	@$(DOOR) check
verify: $(ENV) ## check the journal line by line
	@$(DOOR) verify

test: $(DEV) ## the ordinary tests
	@.venv/bin/python -m pytest -q -n 4 --dist loadfile -m "not storm"
storms: $(DEV) ## hundreds of kills, starts and stops (minutes)
	@.venv/bin/python -m pytest -q -m storm --timeout 900
check: $(DEV) ## format, lint, types, shell and tests: what CI runs
	@sh scripts/check.sh
acceptance: $(ENV) ## the user's own list, with real processes, and the evidence
	@.venv/bin/python tests/acceptance.py
bench: $(DEV) ## the figures of docs/figures.md, measured here
	@for file in benchmarks/bench_*.py; do .venv/bin/python "$$file" || exit 1; done
pictures: $(DEV) ## the pictures of docs/, from a sample home
	@.venv/bin/python docs/make_pictures.py && .venv/bin/python docs/make_page_pictures.py
requirements: $(DEV) ## pin the newest versions that fit pyproject.toml, with hashes
	@sh scripts/pin_requirements.sh
clean: ## remove the environment and caches; never the journal, the key or the jobs
	@! $(DOOR) status >/dev/null || { echo "the scheduler runs from .venv; next: make down" && exit 1; }
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
