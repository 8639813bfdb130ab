# `make` shows what there is. Every target sets up what it needs first.
SHELL := /bin/bash
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help setup demo up down test lint format bench bench-autoscaler render lock clean

help:  ## Show this.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## Install the locked packages and Prometheus.
	@scripts/setup prometheus

demo: setup  ## The main job: train, start, send load, watch it scale, find a request.
	@$(BIN)/tidegate demo

up: setup artefacts/flights/manifest.json  ## Start the stack on this machine and stay with it.
	@$(BIN)/tidegate up

down:  ## Stop the stack.
	@$(BIN)/tidegate down

artefacts/flights/manifest.json:
	@$(BIN)/tidegate train

test:  ## Set everything up and run every test, with coverage; ARGS='tests/unit -k drain' for some.
	@scripts/setup prometheus elasticsearch
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest $(or $(ARGS),--cov --cov-report=term --cov-fail-under=90)

lint:  ## Style, types and the freshness of generated files.
	@scripts/setup
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check . && $(BIN)/mypy && $(BIN)/tidegate render --check

format:  ## Bring the code into form.
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

bench: setup  ## Measure ourselves beside the peers.
	@for bench in bench/*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

bench-autoscaler: setup  ## Compare scaling policies on all traces; TRACES=folder adds its CSV files.
	@$(BIN)/python bench/autoscaler.py $(if $(TRACES),--traces $(TRACES))

render:  ## Write the generated files.
	@$(BIN)/tidegate render

lock:  ## Resolve the dependencies anew into requirements.lock.
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --quiet \
	  --no-header --no-emit-index-url --no-emit-find-links --prerelease if-necessary-or-explicit -o requirements.lock

clean:  ## Remove what was made here: environment, data, runs, caches.
	@$(BIN)/tidegate down 2>/dev/null || true
	@rm -rf .venv .tidegate artefacts runs .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
