# make run: the flagship, end to end. make test: everything that must be true. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test fast slow lint setup filter bench clean

run: filter
	$(BIN)/nbkit run params/flights.yaml
	$(BIN)/nbkit monitor params/flights.yaml

test: lint fast slow

setup: $(VENV)/.test
	@$(MAKE) --no-print-directory filter

# what is run at the desk keeps its outputs in the working copy, and git sees none of them
filter: $(VENV)/.run
	@if git rev-parse --git-dir >/dev/null 2>&1; then \
	  $(BIN)/nbstripout --install || echo "the nbstripout filter is not installed: outputs would enter git"; \
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

clean:
	rm -rf $(VENV) runs registry notebooks/artifacts
