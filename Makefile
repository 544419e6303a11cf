# `make install`: the program. `make run`: install, then the whole chain on the embedded data set. `make test`: every check.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run
.PHONY: install run test test-quick test-long weights format config rulegraph lock unlock clean-results

CORES ?= $(shell nproc)
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RULES := Snakefile rules

install: $(STAMP)

run: $(STAMP)
	@$(BIN)/snakemake --cores $(CORES) --quiet host reason $(ARGS)
	@$(BIN)/occlufacediff summary results/synthetic

# One thread a process: tests run in as many processes as there are cores.
test: export OMP_NUM_THREADS = 1
test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check $(RULES)
	$(BIN)/snakemake --lint
	$(BIN)/mypy
	$(BIN)/pytest -m "" -n $(CORES) --dist loadgroup $(ARGS)

# All but the whole workflows, for while one works.
test-quick: export OMP_NUM_THREADS = 1
test-quick: $(STAMP)
	$(BIN)/pytest -n $(CORES) --dist loadgroup $(ARGS)

# Whole workflows alone: faulty archives and servers, full disks, kills of every training, SLURM where it is installed.
test-long: export OMP_NUM_THREADS = 1
test-long: $(STAMP)
	$(BIN)/pytest -m long -n $(CORES) --dist loadgroup $(ARGS)

# The open weights from seeds alone, into the package; results keep the networks as they were trained.
weights: $(STAMP)
	@$(BIN)/snakemake --cores $(CORES) --quiet host reason $(ARGS) -- open_weights
	cp -r results/open_weights/weights/. occlufacediff/weights/

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt $(RULES)

# default.yaml, schema.json and the tables of config/README.md come from the schema.
config: $(STAMP)
	$(BIN)/python -m occlufacediff.config.document

# The picture of all rules; needs Graphviz. Drawn in an empty folder, where every rule still has something to do.
rulegraph: $(STAMP)
	@folder=$$(mktemp -d); trap 'rm -r "$$folder"' EXIT; touch "$$folder/talk.mp4"; \
	$(BIN)/snakemake --rulegraph dot --directory "$$folder" --config video=talk.mp4 benchmark_videos=. \
	  'download={assets: [flame2020], accept_terms: [flame]}' -- all fetch predict benchmark open_weights | \
	  sed 's/color = "[^"]*"/color = "#4c6a92"/' | dot -Tsvg > "$$folder/rulegraph.svg"; \
	cp "$$folder/rulegraph.svg" docs/rulegraph.svg

# The stamp is touched last: an install that was cut off is done again. uv comes from the lock too, by its hash.
# Compiled once here: every job is a new Python, and where it may not write bytecode it would compile all it imports.
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
	@$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --require-hashes --no-deps -r requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The index is the machine's own choice and stays out of the file.
lock:
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	  --custom-compile-command 'make lock' --output-file requirements.lock requirements.in

unlock: $(STAMP)
	$(BIN)/snakemake --unlock

# Downloads, licensed files and their checksums too.
clean-results:
	rm -rf results resources logs .snakemake
