# Everything a fresh machine needs is set up by the first of these that runs (Python 3.11 or newer).

PYTHON ?= python3
BIN := .venv/bin

.PHONY: sweep test slow clean

sweep: .venv/installed  ## sweep imc_vae on its embedded data, in minutes
	$(BIN)/python sweeps/run.py imc_vae

test: .venv/installed  ## lint, check types and test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile

slow: .venv/installed  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf .venv build *.egg-info

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test]'
	touch $@
