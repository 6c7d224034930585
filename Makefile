# make run    install, then optimize the digits study: figures, scores, report
# make test   install, then test
# make peek   how far a run has come: trials.csv and the report so far; it may be at work
# make apply  classes, angles and figures of new images, by the model that a study keeps: STUDY=mine IMAGES=folder
# Another study, or one value changed:  make run STUDY=mnist SET="search.iterations=40"
# The paper's studies cut down to minutes:  make run STUDY="mnist nanoparticles-3" SCALE=reduced

STUDY ?= digits
SCALE ?= paper
SET ?=
IMAGES :=
NAME :=
COORDINATES :=
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
ifneq ($(origin TORCH),undefined) # another build of torch: kept for the next time
$(shell mkdir -p .venv && [ "$$(cat .venv/torch 2>&1)" = "$(TORCH)" ] || echo "$(TORCH)" >.venv/torch)
endif
TORCH ?= $(or $(shell cat .venv/torch 2>/dev/null),torch==2.13.0)
# Installs in a fraction of pip's time, and the build of torch that suits the machine's GPU, or its having
# none. What it cannot reach pip installs.
UV := uv==0.13.9
# A C compiler, installed where the machine has none: 0.4 GB.
COMPILER := ziglang==0.17.1
UV_INSTALL = $(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python
# Imports once what the steps will, so that a broken installation shows now. This compiles, too, which uv leaves
# to the first import: where Python is told to keep no bytecode, each start would take six seconds more.
IMPORT := from importlib import import_module as load; import zbo.base.warm as warm; \
    [load(name) for name in (*warm.LIBRARIES, 'pandas', 'snakemake.cli')]
LOCKED := --no-deps --require-hashes -r envs/requirements.txt -r envs/workflow.txt
APPTAINER ?= apptainer
IMAGE ?= containers/zbo.sif
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
export PYTHONNOUSERSITE := 1

CONFIG := --config studies="$(STUDY)" scale=$(SCALE) set="$(SET)"

.PHONY: run report peek apply install microscopes image test test-cluster lint format lock bench bench-orchestration clean

run: TARGETS := all report
report: TARGETS := report
run report: $(VENV)/installed
	@snakemake --nolock $(TARGETS) $(CONFIG)
	@echo "Look at results/report.html; figures and scores.csv of each study are in its folder, results/NAME/"

peek: $(VENV)/installed
	@python scripts/peek.py $(STUDY) --scale $(SCALE) --set "$(SET)"

# A name of the new images' results, and where patches lie in them: NAME=monday COORDINATES=places.csv
apply: $(VENV)/installed
	@snakemake --nolock apply $(CONFIG) images="$(IMAGES)" name="$(NAME)" coordinates="$(COORDINATES)"
	@echo "Look at classes.csv and figures/ in results/NAME/apply/"

install: $(VENV)/installed

# Readers of microscopes' own formats. RosettaSciIO is GPL, so that each installs it for oneself.
microscopes: $(VENV)/installed
	@python -m pip install --quiet --no-deps --require-hashes -r envs/microscopes.txt

test: $(VENV)/installed
	@python -m pytest tests -m "not cluster" -n logical --maxprocesses 8 --dist worksteal

test-cluster: $(VENV)/installed
	@python -m pytest tests/workflow/test_cluster.py

lint: $(VENV)/installed
	@ruff check scripts tests
	@ruff format --check scripts tests
	@lint-imports
	@mypy
	@snakefmt --check Snakefile rules
	@snakemake --lint

format: $(VENV)/installed
	@ruff check --fix scripts tests
	@ruff format scripts tests
	@snakefmt Snakefile rules

bench: $(VENV)/installed
	@python scripts/bench/trainer.py --output results/bench/trainer.csv
	@python scripts/bench/stages.py --output results/bench/stages.csv

# On a machine without Slurm, in the local layout alone; tests/cluster/slurm.sh starts one for tests.
bench-orchestration: $(VENV)/installed
	@python scripts/bench/orchestration.py --output results/bench/orchestration.csv

# Unprivileged. Other builds of torch, another base: IMAGE_OPTIONS, see containers/zbo.def.
image:
	@$(APPTAINER) build --force --build-arg version=$$(sed -n 's/^version: //p' CITATION.cff) \
	    --build-arg commit=$$(git describe --always --dirty) $(IMAGE_OPTIONS) $(IMAGE) containers/zbo.def
	@ls -lh $(IMAGE) | awk '{print $$NF ": " $$5}'

lock:
	envs/lock.sh

clean:
	rm -rf results logs benchmarks .snakemake .zbo.lock

# The lock first, by hash; then torch by version alone, since its build is the machine's choice.
$(VENV)/installed: Makefile pyproject.toml envs/requirements.txt envs/workflow.txt $(wildcard $(VENV)/torch)
	@echo "Installing into $(VENV): a few minutes the first time"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet "$(UV)" || true
	@$(UV_INSTALL) $(LOCKED) 2>$(VENV)/uv.log || $(BIN)/pip install --quiet $(LOCKED)
	@$(UV_INSTALL) --torch-backend auto "$(TORCH)" 2>>$(VENV)/uv.log || $(BIN)/pip install --quiet "$(TORCH)"
	@$(BIN)/pip install --quiet --no-deps --editable .
	@command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || \
	    $(BIN)/pip install --quiet "$(COMPILER)"
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c "$(IMPORT)"
	@touch $@
