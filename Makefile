# Everything a person does here. Two commands on a fresh machine: make demo, make test.

PYTHON ?= python3
VENV := .venv
BIN := $(if $(filter Windows_NT,$(OS)),$(VENV)/Scripts,$(VENV)/bin)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test faults check format docs book site screenshots bench wheel clean help

help:       ## show this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/  /'

demo: $(VENV)/installed       ## train on 1,797 handwritten digits, judge, predict, show the way on
	$(BIN)/mirante demo

test: $(VENV)/installed-dev       ## install what the tests need, and run them all
	$(BIN)/python tests/browser.py
	$(BIN)/python tests/firefox.py
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

faults: $(VENV)/installed-dev       ## break everything that can break, for an hour or two; the figures go into docs/reliability.md
	cd tests && ../$(BIN)/python faults.py

check: $(VENV)/installed-dev       ## style, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev       ## put the code in its usual form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed-dev       ## write again what is generated: docs/command-line.md, the pictures of the README
	$(BIN)/python docs/generate.py

book: $(VENV)/installed-dev       ## build the guides and the course, in both languages, into build/book
	$(BIN)/python docs/book/build.py

site: $(VENV)/installed-dev       ## write the learning pages as static files, into build/site
	rm -rf build/site
	$(BIN)/mirante studio --as-site build/site

screenshots: $(VENV)/installed-dev       ## take a picture of every page of the studio, into build/studio; those of the documents into docs/images
	$(BIN)/python tests/browser.py
	$(BIN)/python docs/screenshots.py

bench: $(VENV)/installed-dev       ## measure; results are appended to benchmarks/RESULTS.md
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/predict.py

wheel: $(VENV)/installed-dev       ## build dist/*.whl
	$(BIN)/python -m build --wheel

clean:       ## remove what was made here, the environment included
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "Installing Mirante and PyTorch into $(VENV): two to five minutes, once."
	$(PIP) --editable '.[train]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing Mirante, PyTorch and the tests' tools into $(VENV): two to five minutes, once."
	$(PIP) --editable '.[dev]'
	@touch $(VENV)/installed $@
