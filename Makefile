# `make install` installs the program, `make run` installs it and runs the workflow on the synthetic data set,
# `make test` runs every check.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run
.PHONY: install run test test-quick test-long weights occlusion-weights reader-weights viewer format config envs rulegraph \
  layers lock unlock clean-results

CORES ?= $(shell nproc)
TEST_PROCESSES ?= $(shell expr $(CORES) + 1)
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RULES := Snakefile rules

install: $(STAMP)

run: $(STAMP)
	@$(BIN)/snakemake --cores $(CORES) --quiet host reason $(ARGS)
	@$(BIN)/occlufacediff summary results/synthetic

# One thread per process. Tests of workflows wait for their jobs, so there is one process more than cores.
test: export OMP_NUM_THREADS = 1
test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check $(RULES)
	$(BIN)/snakemake --lint
	$(BIN)/mypy
	$(BIN)/pytest -m "" -n $(TEST_PROCESSES) --dist loadgroup $(ARGS)

# All tests but those of whole workflows.
test-quick: export OMP_NUM_THREADS = 1
test-quick: $(STAMP)
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadgroup $(ARGS)

# Tests of whole workflows only: faulty archives and servers, full disks, killed trainings, SLURM where it is installed.
test-long: export OMP_NUM_THREADS = 1
test-long: $(STAMP)
	$(BIN)/pytest -m long -n $(TEST_PROCESSES) --dist loadgroup $(ARGS)

# Train the open weights again from seeds only and copy them into the package.
weights: $(STAMP)
	@$(BIN)/snakemake --cores $(CORES) --quiet host reason $(ARGS) -- open_weights
	cp -r results/open_weights/weights/. occlufacediff/weights/

# Build the viewer's program from its sources with the pinned npm packages (needs Node.js and npm).
viewer: $(STAMP)
	@$(BIN)/python -m occlufacediff.viewer.build

# Train the readers of visemes and emotions again and copy them into the package.
reader-weights: $(STAMP)
	@$(BIN)/snakemake --cores $(CORES) --quiet host reason $(ARGS) -- reader_weights
	mkdir -p occlufacediff/weights/readers
	cp results/readers/open-*/MODEL_CARD.md results/readers/open-*/model.safetensors occlufacediff/weights/readers/

# Train the network that finds occlusions again from seeds only and copy it into the package.
occlusion-weights: $(STAMP)
	@$(BIN)/snakemake --cores $(CORES) --quiet host reason $(ARGS) -- occlusion_weights
	mkdir -p occlufacediff/weights/occlusion
	cp results/occlusion_weights/weights/* occlufacediff/weights/occlusion/

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt $(RULES)

# Write config/default.yaml, config/schema.json and the tables of config/README.md from the configuration schema.
config: $(STAMP)
	$(BIN)/python -m occlufacediff.config.document

# Write the conda environments in envs/ from pyproject.toml, requirements.lock and the imports of each rule's script.
envs: $(STAMP)
	$(BIN)/python -m occlufacediff.workflow.environments

# Draw the graph of all rules (needs Graphviz), in an empty folder, where every rule has something to do.
rulegraph: $(STAMP)
	@folder=$$(mktemp -d); trap 'rm -r "$$folder"' EXIT; touch "$$folder/talk.mp4"; \
	$(BIN)/snakemake --rulegraph dot --directory "$$folder" --config video=talk.mp4 benchmark_videos=. \
	  'download={assets: [flame2020], accept_terms: [flame]}' -- all fetch predict benchmark open_weights occlusion_weights \
	  reader_weights | \
	  sed 's/color = "[^"]*"/color = "#4c6a92"/' | dot -Tsvg > "$$folder/rulegraph.svg"; \
	cp "$$folder/rulegraph.svg" docs/rulegraph.svg

# Draw the imports between the packages.
layers: $(STAMP)
	$(BIN)/python tests/draw_layers.py | dot -Tsvg > docs/layers.svg

# The stamp is touched last, so an interrupted installation is repeated. uv itself is installed from the lock, by hash.
# `uv pip sync` removes packages that are not in the lock. Removing opencv-python also removes files that
# opencv-contrib-python shares with it, so both are removed first where an older lock installed both.
# Bytecode is compiled once here; otherwise every job compiles it again where it cannot write to the environment.
$(STAMP): requirements.lock pyproject.toml
	@python=; for name in python3.11 python3 python; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 is needed and neither python3.11, python3 nor python is that version: install it (Debian," \
	    "Ubuntu: python3.11 and python3.11-venv; or pyenv, conda) and run make again." >&2; exit 1; \
	fi; \
	echo "Installing into $(VENV) with $$($$python --version): about 8 GB, some minutes."; \
	$$python -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock
	@if compgen -G "$(VENV)/lib/python3.11/site-packages/opencv_python-*" > /dev/null; then \
	  $(BIN)/uv pip uninstall --quiet --python $(BIN)/python opencv-python opencv-contrib-python; fi
	@$(BIN)/uv pip sync --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q occlufacediff
	@touch $@

# The package index is the machine's choice, so it is not written to the lock.
lock:
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --all-extras --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml

unlock: $(STAMP)
	$(BIN)/snakemake --unlock

# Deletes downloads, licensed files and their checksums too.
clean-results:
	rm -rf results resources logs .snakemake
