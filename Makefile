# Everything a newcomer needs; `make help` lists it.

PYTHON ?= python3
VENV ?= .venv
DATA_DIR ?= .microlith
HOST ?= 127.0.0.1
PORT ?= 8000

# Which torch: the version that results were measured with, from the package index pip is set up with.
# For a small CPU build on Linux:   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# For CUDA:                         make demo TORCH_INDEX=https://download.pytorch.org/whl/cu130
TORCH ?= torch==2.13.0
TORCH_INDEX ?=

# How many examples of everything the long form of the fuzz tests tries.
FUZZ ?= 2000

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev

# One thread per process in tests: two busy processes with two threads each wait for one another.
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

.PHONY: help demo serve test fuzz browser screenshots test-quick test-faults soak bench bench-service bench-recompose bench-sizes bench-tries bench-quality docs \
	docs-serve style check format snapshots lock release clean

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

demo: $(RUNTIME) ## Run the main job on the demo model, through the real service, and open what comes out
	@$(BIN)/microlith-server demo --data-dir $(DATA_DIR)

serve: $(RUNTIME) ## Leave the service running at 127.0.0.1:8000 (HOST, PORT, DATA_DIR)
	@$(BIN)/microlith-server serve --host $(HOST) --port $(PORT) --data-dir $(DATA_DIR)

test: $(DEV) ## Run the whole test suite; it starts the real servers it needs
	$(TEST_ENV) $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --ignore tests/faults
	$(TEST_ENV) $(BIN)/python -m pytest --numprocesses 3 --dist worksteal tests/faults

browser: ## Install Chromium, which the tests of the pages use (Debian and Ubuntu)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }

screenshots: $(DEV) ## Take the pictures of the documentation: a real job's results, in Chromium
	$(TEST_ENV) $(BIN)/python -m tests.web.screenshots

fuzz: $(DEV) ## Send the service whatever may be sent, for a long time (FUZZ=2000 examples of everything)
	MICROLITH_FUZZ=$(FUZZ) $(TEST_ENV) $(BIN)/python -m pytest --timeout 0 tests/app/fuzz tests/security \
		tests/worker/test_strange_files.py

test-quick: $(DEV) ## The suite without the end-to-end tests
	$(TEST_ENV) $(BIN)/python -m pytest --ignore tests/e2e

test-faults: $(DEV) ## Inject every fault into real servers and processes, in full: 1,000 kills, 200 jobs raced for
	MICROLITH_FAULTS=full $(TEST_ENV) $(BIN)/python -m pytest --numprocesses 3 --dist worksteal tests/faults

soak: $(DEV) ## Inject faults while many jobs run through real processes; nothing may be lost or doubled (SOAK='--jobs 1000 …')
	$(TEST_ENV) $(BIN)/python -m benchmarks.soak $(SOAK)

bench: $(DEV) ## Measure how fast the engine is beside the seed system's way of working (BENCH='--only growth')
	$(BIN)/python -m benchmarks.speed $(BENCH)

bench-service: $(DEV) ## 250 callers at once, then pages of a million jobs (SERVICE='--seconds 30 …')
	$(BIN)/python -m benchmarks.service $(SERVICE)

bench-recompose: $(DEV) ## Put modules together again and measure them beside their models (needs ../shared, or MICROLITH_SHARED)
	$(BIN)/python -m benchmarks.recompose

docs: $(DEV) ## Build the documentation to build/site; it opens from the disk and fetches nothing
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docs-serve: $(DEV) ## Show the documentation at 127.0.0.1:8001 and follow its changes
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8001

bench-sizes: $(DEV) ## File sizes and latency of every layout, of a BERT-base shape and of the assets (SIZES='--only bert-base')
	$(BIN)/python -m benchmarks.sizes $(SIZES)

bench-quality: $(DEV) ## How good modules are for what they cost, beside what must be beaten (QUALITY='--only neurons --seeds 1')
	$(BIN)/python -m benchmarks.quality $(QUALITY)

bench-tries: $(DEV) ## How long somebody waits who tries a module, or one small job after another (TRIES='--asked 50')
	$(BIN)/python -m benchmarks.tries $(TRIES)

style: $(DEV) ## Measure how the code reads, beside starlette and httpx (benchmarks/reports/style.md)
	@$(BIN)/python -m benchmarks.style

check: $(DEV) ## Style, types, the import rule, the Dockerfile and the compose file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(BIN):$$PATH" $(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile
	$(TEST_ENV) $(BIN)/python -m pytest --quiet tests/docs/test_prose.py
	POSTGRES_PASSWORD=x REDIS_PASSWORD=x S3_SECRET_KEY=x MICROLITH_API_KEY=x $(BIN)/docker-compose --profile gpu config --quiet

format: $(DEV) ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

snapshots: $(DEV) ## Accept the OpenAPI document as it is now
	UPDATE_SNAPSHOTS=1 $(BIN)/python -m pytest --quiet tests/api/test_service.py

lock: $(DEV) ## Write the installed versions to constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable | sed -E 's/\+[a-z0-9.]+$$//' > constraints.txt

release: $(DEV) ## Raise the version, date the change log, commit and tag; pushes nothing (VERSION=x.y.z)
	@$(BIN)/python tools/release.py $(VERSION)

clean: ## Remove the environment and everything the embedded default has kept
	rm -rf $(VENV) $(DATA_DIR)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Microlith needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@echo "Setting everything up in $(VENV), once: two to four minutes, most of them for torch."
	@$(PYTHON) -m venv $(VENV)

# torch comes first and exactly: a range would take the newest build, with gigabytes of CUDA.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$(TORCH)"
	@$(PIP) --editable ".[embedded]"
	@touch $@

$(DEV): $(RUNTIME)
	@$(PIP) --editable ".[dev]"
	@touch $@
