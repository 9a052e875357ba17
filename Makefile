# make run: the flagship, end to end. make test: everything that must be true. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-oldest test-newest fast slow lint setup filter bench clean

run: filter
	$(BIN)/nbkit run params/flights.yaml
	$(BIN)/nbkit monitor params/flights.yaml

test: lint fast slow

setup: $(VENV)/.test
	@$(MAKE) --no-print-directory filter

# what is run at the desk keeps its outputs in the working copy, and git sees none of them
filter: $(VENV)/.run
	@if git rev-parse --git-dir >/dev/null 2>&1; then \
	  $(BIN)/nbstripout --install && git config filter.nbstripout.extrakeys metadata.language_info || echo "the nbstripout filter is not installed: outputs would enter git"; \
	fi

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify notebooks/*.ipynb

fast: $(VENV)/.test
	$(BIN)/pytest -q -n 2 -m "not slow"

slow: $(VENV)/.test
	$(BIN)/pytest -q -n 3 --dist loadfile -m slow --durations 10
	@$(BIN)/python -c "from nbkit.report import find_browser as find; find() or print('no Chromium or Chrome here: left out were JupyterLab in a browser and the report as PDF')"

# the fast tests with the oldest versions that pyproject.toml allows, and with the newest there are
test-oldest test-newest: test-%: .venv-%/.test
	.venv-$*/bin/pytest -q -n 2 -m "not slow"

bench: $(VENV)/.run
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[desk]'
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[desk,test]'
	touch $(VENV)/.run $@

.venv-oldest/.test: pyproject.toml tests/oldest.py
	$(PYTHON) -m venv --clear .venv-oldest
	$(PYTHON) tests/oldest.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install -q -c .venv-oldest/constraints.txt -e '.[desk,test]'
	touch $@

.venv-newest/.test: pyproject.toml
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install -q -e '.[desk,test]'
	touch $@

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest runs registry notebooks/artifacts
