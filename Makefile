# Every target does its own set-up; Python 3.11 with venv and pip, and make, are all it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CUSTOMERS ?= 200000

.DEFAULT_GOAL := help
.PHONY: help setup demo check test prove bench protos

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make the virtual environment with all dependencies

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

demo: $(READY) ## run the main job on a made-up store: who gets a campaign, what a buyer sees
	$(BIN)/segengine demo --customers $(CUSTOMERS)

check: $(READY) ## style, types, imports, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY) ## the tests, long properties in a seeded, reduced tier
	$(BIN)/python -m pytest -m "not prove" -n auto --maxprocesses 4 --dist loadfile -p no:benchmark

prove: $(READY) ## the properties at the sizes that the issues name
	$(BIN)/python -m pytest -m prove

bench: $(READY) ## kernels alone, then every engine side by side, rivals installed first
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e ".[bench]"
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-columns=median,min,rounds
	$(BIN)/segengine bench --customers 1000000

protos: $(READY) ## make the wire code anew from proto/
	$(BIN)/python -m grpc_tools.protoc -Isegengine_server/wire=proto --python_out=server \
		--grpc_python_out=server --pyi_out=server proto/segengine.proto
