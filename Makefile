# Everything that one does with the collection, one command each. `make` lists them.
PYTHON ?= python3
VENV ?= .venv
CONTAINER_VENV ?= .venv-container
CHECKOV_VENV ?= .venv-checkov
DOCS_VENV ?= .venv-docs
# tests side by side: half of their time is waiting; who gets which is said in tests/conftest.py
WORKERS ?= 2
export MLOPS_CONTAINER_PYTHON = $(abspath $(CONTAINER_VENV))/bin/python

TEMPLATE := model-build/{{cookiecutter.project_slug}}
SERVING := serverless-inference/{{cookiecutter.project_slug}}
BATCH := batch-inference/{{cookiecutter.project_slug}}
PARTS := shared/parts/everywhere
SDK := shared/parts/pipeline/requirements
ENVIRONMENT := $(PYTHON) $(PARTS)/tools/environment.py
# our own Python, as ruff sees it
PYTHON_CODE := hooks */checkout.py shared tests tools benchmarks '$(TEMPLATE)/model_build' '$(TEMPLATE)/steps' \
	'$(TEMPLATE)/serving_image' '$(TEMPLATE)/tests' \
	'$(SERVING)/serverless_inference' '$(SERVING)/examples' '$(SERVING)/tests' \
	'$(BATCH)/batch_inference' '$(BATCH)/examples' '$(BATCH)/functions' '$(BATCH)/steps' '$(BATCH)/tests'

# where the parts are that a template gets when it is generated
export MYPYPATH = $(abspath shared/parts/everywhere):$(abspath shared/parts/release):$(abspath shared/parts/pipeline):$(abspath shared/parts/pipeline/steps):$(abspath shared/workbench/src)
# caches stay out of the template, whose files are copied
export RUFF_CACHE_DIR = $(abspath .ruff_cache)
MYPY := $(abspath $(VENV))/bin/mypy --cache-dir $(abspath .mypy_cache)

# where imports are looked up when their layers are checked: a repository as generating puts it together
LINT_IMPORTS = $(abspath $(VENV))/bin/lint-imports --no-cache --no-logo
SHARED_PARTS := $(PARTS):shared/parts/release:shared/parts/pipeline

.PHONY: help setup setup-build setup-container setup-toolkit demo demo-model test test-changed check check-layers check-terraform docs screenshots format bench clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

setup: setup-build setup-container  ## create both Python environments (the other commands do it when needed)

setup-build:
	@command -v git >/dev/null || { echo "git is needed: see https://git-scm.com/downloads" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: see https://python.org/downloads" >&2; exit 1; }
	@$(ENVIRONMENT) $(VENV) -r $(SDK)/build.txt -r requirements/dev.txt -r $(PARTS)/requirements/dev.txt -e shared/workbench \
		--no-deps $(SDK)/sdk.txt --no-deps '$(TEMPLATE)/requirements/model.txt'

setup-container: setup-build
	@$(ENVIRONMENT) $(CONTAINER_VENV) -r $(PARTS)/requirements/container.txt \
		--no-deps $(PARTS)/requirements/container-toolkit.txt

setup-toolkit: setup-container
	@test -x $(CONTAINER_VENV)/bin/train || $(CONTAINER_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		-r requirements/training-toolkit.txt

demo: setup  ## the whole story on this machine, two accounts included: runs docs/tutorials/email-routing.md
	@PYTHONPATH=tools $(VENV)/bin/python -m demo $(ARGS)

demo-model: setup  ## the short form: generate a repository, train, evaluate, register and ask a real classifier
	@$(VENV)/bin/python tools/demo_model.py $(ARGS)

test: setup $(if $(SLOW),setup-toolkit)  ## run the tests; SLOW=1 runs all of them, as CI does
	@$(VENV)/bin/python -m pytest -n $(WORKERS) --no-loadscope-reorder --durations 12 $(if $(SLOW),,-m "not slow")

test-changed: setup  ## the quick tests that a change to Python reaches, steps included; the first time all of them
	@PYTHONPATH=tools $(VENV)/bin/python -m pytest --testmon --testmon-forceselect -m "not slow" -p unseen_changes $(ARGS)
	@cd '$(TEMPLATE)' && PYTHONPATH=$(abspath shared/parts/pipeline/steps) TESTMON_DATAFILE=$(abspath .testmondata-steps) \
		$(MLOPS_CONTAINER_PYTHON) -m pytest --testmon tests/steps

check: setup-build check-layers check-terraform docs  ## format, lint, types, layers, Terraform, documentation
	@$(VENV)/bin/ruff format --check $(PYTHON_CODE)
	@$(VENV)/bin/ruff check $(PYTHON_CODE)
	@$(MYPY)/collection
	@cd shared/workbench && $(MYPY)/workbench
	@cd '$(TEMPLATE)' && $(MYPY)/model-build
	@cd '$(SERVING)' && $(MYPY)/serverless-inference
	@cd '$(BATCH)' && $(MYPY)/batch-inference

check-layers: setup-build  ## imports go down only: of the workbench, the steps and the packages
	@cd shared/workbench && $(LINT_IMPORTS)
	@PYTHONPATH='$(TEMPLATE)/steps:shared/parts/pipeline/steps' $(LINT_IMPORTS) model-build/layers.toml
	@PYTHONPATH='$(SHARED_PARTS):$(TEMPLATE):$(TEMPLATE)/steps:$(SERVING):$(BATCH)' $(LINT_IMPORTS) shared/parts/layers.toml

check-terraform: setup-build  ## Terraform: format, validity, and checkov with every exception explained
	@$(ENVIRONMENT) $(CHECKOV_VENV) -r requirements/checkov.txt
	@$(VENV)/bin/python tools/terraform_checks.py --checkov $(CHECKOV_VENV)/bin/checkov

docs: setup-build  ## build the documentation into build/site, strictly: a link that leads nowhere ends it
	@$(ENVIRONMENT) $(DOCS_VENV) -r requirements/docs.txt
	@PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/python tools/docs_reference.py
	@NO_MKDOCS_2_WARNING=1 PYTHONDONTWRITEBYTECODE=1 $(DOCS_VENV)/bin/mkdocs build --strict
	@echo "open build/site/index.html"

screenshots: docs setup-container  ## make docs/images anew with a headless Chromium (minutes)
	@$(VENV)/bin/python tools/screenshots.py

format:  ## put the code into the agreed form
	@$(VENV)/bin/ruff format $(PYTHON_CODE)
	@$(VENV)/bin/ruff check --fix $(PYTHON_CODE)

bench: setup  ## measure ours beside what one would use instead; hours, or minutes with ARGS=--quick
	@$(VENV)/bin/python benchmarks/run.py $(ARGS)

clean:  ## remove environments, caches and the demo
	rm -rf $(VENV) $(CONTAINER_VENV) $(CHECKOV_VENV) $(DOCS_VENV) docs/reference build .pytest_cache .mypy_cache .ruff_cache .hypothesis .testmondata*
