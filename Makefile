# Everything runs in .venv, made from requirements.lock; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXPERIMENT ?= embedded
CHECKS ?= scale or conda or faults or slurm

.PHONY: help setup reproduce test check bench costs times lint format gallery lock clean

help: ## show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## make the pinned environment in .venv

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python {v.major}.{v.minor} is too old; 3.11 or newer is needed (make PYTHON=python3.12)")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: --requirement requirements-uv.lock
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements.lock
	@touch $@

reproduce: $(READY) ## run the embedded experiment: figures, findings, report
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all all report

test: $(READY) ## pass the tests
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest -n 2 --dist loadfile

check: $(READY) ## pass the slow tests: whole networks, conda environments, faults, a Slurm cluster where Slurm is installed
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest -m "$(CHECKS)"

bench: $(READY) ## time the extraction against a plain pass and against Captum, and the reading of images
	MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483648 $(BIN)/python -W ignore benchmarks/extraction_cost.py
	$(BIN)/python -W ignore benchmarks/reading.py

costs: $(READY) ## bring the tables of docs/cost.md up to date
	PATH="$(CURDIR)/$(BIN):$$PATH" python docs/write_cost.py

times: $(READY) ## bring the times in README.md and docs/cluster.md up to the run that `make reproduce` made
	PATH="$(CURDIR)/$(BIN):$$PATH" python docs/write_times.py

lint: $(READY) ## check the style of all code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

format: $(READY) ## put all code in style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt .

gallery: ## copy the experiment's figures into docs/
	mkdir -p docs/gallery
	cp results/$(EXPERIMENT)/figures/*.png docs/gallery/

lock: ## solve requirements.in anew
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url requirements.in --output-file requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url requirements-uv.in --output-file requirements-uv.lock

clean: ## remove the environment, not the results
	rm -rf $(VENV)
