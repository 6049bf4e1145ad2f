# Everything runs in .venv, made from requirements.lock; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .venv-bench
EXPERIMENT ?= embedded
OUTPUT ?= explained
SEEDS ?= 1 2 3 4
AS_IN_JOBS := MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483648
CHECKS ?= scale or conda or faults or slurm

.PHONY: help setup extras photographs explain reproduce seeds networks test check bench costs applies pages lint format lock clean

help: ## show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## make the pinned environment in .venv

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python {v.major}.{v.minor} is too old; 3.11 or newer is needed (make PYTHON=python3.12)")'
	@test ! -L $(VENV) || { echo "$(VENV) is a link: to another's environment, which this would empty; remove the link" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: --requirement requirements-uv.lock
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements.lock
	@touch $@

$(BENCH)/.ready: requirements-bench.lock $(READY)
	$(PYTHON) -m venv --clear $(BENCH)
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BENCH)/bin/python requirements-bench.lock
	@touch $@

extras: $(READY) ## add the libraries of methods that not everyone needs: pytorch-grad-cam, zennit, LXT
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements-extras.lock

photographs: $(READY) ## run the photographs' experiment, with networks trained on ImageNet: figures, findings, report
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all --configfile config/photographs.yaml -- all report

reproduce: $(READY) ## run the embedded experiment: figures, findings, report
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all all report

seeds: $(READY) ## test the claims on networks trained with four other seeds, too, and state in how many verdicts hold
	@for seed in $(SEEDS); do \
	  PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all --configfile config/seeds.yaml \
	    --config experiment=seed$$seed training_seed=$$seed trained=resources/seeds/$$seed -- findings || exit; \
	done
	PATH="$(CURDIR)/$(BIN):$$PATH" python docs/write_pages.py --results=/none --photographs=/none --measures=/none --planted=/none

networks: $(READY) ## train the networks of resources/ anew, hours
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all --configfile config/from_scratch.yaml -- networks
	$(BIN)/python resources/keep_networks.py --results=results/from_scratch
	@for seed in $(SEEDS); do \
	  PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all --configfile config/seeds.yaml config/from_scratch.yaml \
	    --config experiment=from_scratch_seed$$seed training_seed=$$seed -- networks && \
	  $(BIN)/python resources/keep_networks.py --results=results/from_scratch_seed$$seed --folder=resources/seeds/$$seed || exit; \
	done
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all --configfile config/planted.yaml config/from_scratch.yaml \
	  --config experiment=from_scratch_planted -- networks
	$(BIN)/python resources/keep_networks.py --results=results/from_scratch_planted --folder=resources/planted

# names of files and classes reach the script as the shell gave them: they may hold spaces, quotes, $, or begin with -
explain: export EXPLAIN_IMAGE = $(value IMAGE)
explain: export EXPLAIN_NETWORK = $(value NETWORK)
explain: export EXPLAIN_TARGET = $(value TARGET)
explain: export EXPLAIN_OUTPUT = $(value OUTPUT)
explain: $(READY) ## explain a picture: IMAGE=cat.jpg, or a folder; NETWORK=torchvision:resnet50 TARGET=tabby OUTPUT=folder FLAGS="--grid 100"; paths are as the shell gives them
	@test -n "$$EXPLAIN_IMAGE" || { echo 'IMAGE is missing; an example is make explain IMAGE=cat.jpg' >&2; exit 1; }
	@PATH="$(CURDIR)/$(BIN):$$PATH" python scripts/explain_images.py --output="$$EXPLAIN_OUTPUT" \
	  $${EXPLAIN_NETWORK:+--network="$$EXPLAIN_NETWORK"} $${EXPLAIN_TARGET:+--target="$$EXPLAIN_TARGET"} $(FLAGS) -- "$$EXPLAIN_IMAGE"

test: $(READY) ## pass the tests
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest -n 2 --dist loadfile

check: $(READY) ## pass the slow tests: whole networks, conda environments, faults, a Slurm cluster where Slurm is installed
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest -n 2 --dist loadfile --durations 25 -m "$(CHECKS)" || test $$? -eq 5 # none

bench: $(BENCH)/.ready ## time extraction, removal and methods against plain passes, Captum, Quantus and pytorch-grad-cam, and the reading of images; hold curves of removal against Quantus'
	$(BENCH)/bin/python -m pytest -q tests/removal/test_quantus.py
	$(AS_IN_JOBS) $(BENCH)/bin/python -W ignore benchmarks/extraction_cost.py --output docs/extraction_cost.csv
	$(BENCH)/bin/python -W ignore benchmarks/removal.py --output docs/removal_cost.csv
	$(AS_IN_JOBS) $(BENCH)/bin/python -W ignore benchmarks/methods_cost.py --output docs/methods_cost.csv
	$(BENCH)/bin/python -W ignore benchmarks/reading.py

costs: $(READY) ## bring the tables of docs/cost.md up to date
	PATH="$(CURDIR)/$(BIN):$$PATH" python docs/write_cost.py

applies: $(READY) ## try all methods on all networks of the embedded experiment, for the README's table; `make extras` before
	$(BIN)/python -W ignore docs/gather_applies.py
	PATH="$(CURDIR)/$(BIN):$$PATH" python docs/write_pages.py --facts-as-they-are

pages: $(READY) ## bring what the README and docs/ state of a run, and the gallery, up to the runs that `make reproduce` and `make photographs` made
	PATH="$(CURDIR)/$(BIN):$$PATH" python docs/write_pages.py --results=results/$(EXPERIMENT)

lint: $(READY) ## check the style of all code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

format: $(READY) ## put all code in style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt .

lock: ## solve requirements.in anew
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url requirements.in --output-file requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url requirements-uv.in --output-file requirements-uv.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --constraint requirements.lock requirements-extras.in --output-file requirements-extras.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --constraint requirements.lock requirements-bench.in --output-file requirements-bench.lock

clean: ## remove the environment, not the results
	rm -rf $(VENV) $(BENCH)
