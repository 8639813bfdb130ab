# `make` lists the targets. Each target installs what it needs first.
SHELL := /bin/bash
BIN := .venv/bin
# Without compiled files each Python process compiles what it imports anew: a start takes twice the time, the tests 1.4
# times.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-drift ray-demo up down test nightly mutation simulate soak test-kubernetes test-ray test-bentoml lint format bench bench-ablation bench-autoscaler bench-drawn bench-kubernetes-faults bench-live bench-stack render render-check kustomize screenshots lock clean

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## Install the locked packages and Prometheus.
	@scripts/setup prometheus

demo: setup  ## Train a model, start the stack, send load, watch it scale, find a request.
	@$(BIN)/tidegate demo

demo-drift: setup  ## Replay March to December of the flights, with late labels; check drift, accuracy and alerts against the rows sent.
	@$(BIN)/tidegate demo-drift

ray-demo: setup  ## Serve the model on Ray Serve, send load, watch Tidegate scale it (about four minutes).
	@deploy/ray/demo

up: setup artefacts/flights/manifest.json  ## Start the stack on this machine, in the foreground.
	@$(BIN)/tidegate up

down:  ## Stop the stack.
	@$(BIN)/tidegate down

artefacts/flights/manifest.json:
	@$(BIN)/tidegate train

test:  ## Install everything and run all tests on all cores; ARGS='tests/unit -k drain' selects tests.
	@scripts/setup prometheus elasticsearch ruby chromium
	@$(MAKE) --no-print-directory lint
	@$(if $(ARGS),$(BIN)/pytest $(ARGS),scripts/test)

nightly:  ## Run what CI runs (all tests, every component required), with all examples of the property tests, and measure coverage.
	@TIDEGATE_NIGHTLY=1 .ci/run

mutation: setup  ## List the faults that the unit tests of a package do not notice (hours); ARGS="--rooms store" is shorter.
	@$(BIN)/python -m tools.mutation $(ARGS)

simulate: setup  ## Run seeds of faults against the event pipeline in a simulated world; ARGS="--seeds 100000 --jobs 2", "--world loop" for the control loop.
	@$(BIN)/python -m tests.simulation $(ARGS)

soak: setup artefacts/flights/manifest.json  ## Break a real stack under load in every way, and account for each request and event (root, 30 minutes); ARGS="--parts memory" runs a part.
	@scripts/setup prometheus elasticsearch && PYTHONPATH=tests $(BIN)/python -m soak $(ARGS)

test-kubernetes: setup  ## Test on a real Kubernetes of this machine (needs root; the first build takes half an hour or more).
	@scripts/docker images kubernetes && scripts/kubernetes build && scripts/kubernetes images && $(BIN)/pytest -n 3 tests/e2e/kubernetes $(ARGS)

test-ray: setup  ## Test an application on Ray Serve, scaled by Tidegate.
	@scripts/environment install ray && $(BIN)/pytest tests/e2e/ray $(ARGS)

test-bentoml: setup  ## Test an application in BentoML, scaled by Tidegate.
	@scripts/environment install bentoml && $(BIN)/pytest tests/e2e/bentoml $(ARGS)

lint:  ## Check style, types, layers and generated files.
	@scripts/setup
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check . && { $(BIN)/mypy --num-workers auto || { [ $$? = 2 ] && $(BIN)/mypy; }; } && $(BIN)/lint-imports --no-logo && $(MAKE) --no-print-directory render-check

format:  ## Format the code.
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

bench: setup  ## Run the short benchmarks, also of comparable projects.
	@for bench in $(filter-out $(LONG_BENCHES),$(patsubst bench/%.py,%,$(wildcard bench/*.py))); do echo "== $$bench"; $(BIN)/python -m bench.$$bench || exit 1; done

# A quarter of an hour and more each; evidently_psi installs Evidently, console needs a folder.
LONG_BENCHES := live daily_rises evidently_psi kubernetes_faults console reaction
bench-live: setup  ## Live scaling for a quarter of an hour, compared with the simulator.
	@$(BIN)/python -m bench.live $(ARGS)

bench-engines: setup artefacts/flights/manifest.json  ## Compare serving engines on the same model and load, as root; ARGS=--quick is shorter.
	@for name in bentoml mlserver ray; do scripts/environment install $$name || exit 1; done
	@$(BIN)/python -m bench.engines $(ARGS)

bench-stack: setup artefacts/flights/manifest.json  ## CPU of a request in the whole stack, by part, beside a plain handler and the usual packages (8 minutes); ARGS="--rows 1 --rounds 3" is shorter.
	@$(BIN)/python -m bench.stack $(ARGS)

bench-autoscaler: setup  ## Compare scaling policies on all traces, including ../shared/data/traces or TRACES=folder; SEEDS=1 is shorter.
	@$(BIN)/python -m bench.autoscaler $(if $(TRACES),--traces $(TRACES)) $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

bench-drawn: setup  ## SLOQ and the better HPA on traffic and services drawn from wide ranges; ARGS="--draws 40" is shorter.
	@$(BIN)/python -m bench.autoscaler.drawn $(ARGS)

bench-ablation: setup  ## The same on the other half of the draws, with each mechanism of SLOQ off alone.
	@$(BIN)/python -m bench.autoscaler.drawn --part even --ablation $(ARGS)

bench-kubernetes-faults: setup  ## What each way of scaling in Kubernetes does when a part of it fails (root; 25 minutes).
	@scripts/kubernetes build && scripts/kubernetes prometheus-adapter && $(BIN)/python -m bench.kubernetes_faults $(ARGS)

render:  ## Write the generated files.
	@$(BIN)/python -m tools.generate

render-check:  ## Check that the generated files are current.
	@$(BIN)/python -m tools.generate --check

kustomize:  ## Write deploy/kustomize from the Helm chart (needs helm).
	@$(BIN)/python -m tools.kustomize

COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --quiet \
  --no-header --no-emit-index-url --no-emit-find-links --prerelease if-necessary-or-explicit
screenshots: setup  ## Take the documentation's pictures: that of the console from the running stack under load; ARGS="demo tune" takes these.
	@scripts/setup chromium && PYTHONPATH=. $(BIN)/python tools/screenshots.py $(ARGS)

lock:  ## Resolve the dependencies into requirements.lock, and those of the images into locks/.
	@$(COMPILE) --all-extras -o requirements.lock
	@$(COMPILE) -c requirements.lock --extra build --extra service --extra train -o locks/service.lock
	@$(COMPILE) -c requirements.lock --extra build --extra stack --extra store --extra monitor --extra kubernetes -o locks/tidegate.lock
	@$(COMPILE) -c requirements.lock --extra build --extra loadgen -o locks/loadgen.lock
	@echo setuptools | $(BIN)/uv pip compile - -c requirements.lock --universal --python-version 3.11 --generate-hashes --quiet \
	  --no-header --no-emit-index-url --no-emit-find-links -o locks/build.lock
	@$(COMPILE) deploy/ray/requirements.in -c requirements.lock --extra build --extra service -o locks/ray.lock
	@$(COMPILE) deploy/bentoml/requirements.in --extra build --extra service -o locks/bentoml.lock
	@$(BIN)/uv pip compile bench/engines/mlserver.in --universal --python-version 3.11 --generate-hashes --quiet \
	  --no-header --no-emit-index-url --no-emit-find-links -o locks/mlserver.lock

clean:  ## Remove the environment, data, runs and caches.
	@$(BIN)/tidegate down 2>/dev/null || true
	@rm -rf .venv .tidegate artefacts runs .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
