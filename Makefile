# `make demo` needs only python3 (3.10 to 3.13). `make test` also uses ngircd, prosody and PostgreSQL where they are installed.

PYTHON ?= python3
ENVIRONMENT := .cache/environment
RUN := $(ENVIRONMENT)/bin/python
ARGS ?=

.PHONY: help demo test lint check bench clean

help:
	@echo "make demo         a crash, its issue, the alert and '!sentry resolve #1', with a real Bugsink"
	@echo "make demo TOUR=1  the same without a keyboard, each step checked"
	@echo "make test         every test (ARGS='-k name' for some)"
	@echo "make check        lint, types and every test"
	@echo "make bench        the benchmarks, against their floors and peers (ARGS=name for one)"
	@echo "make clean        remove everything that was built"

$(ENVIRONMENT)/ready: requirements-floors.txt requirements-dev.txt
	@echo "Building the environment for tests in $(ENVIRONMENT) (once, about a minute) …"
	@rm -rf $(ENVIRONMENT)
	@$(PYTHON) -m venv $(ENVIRONMENT)
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-floors.txt -r requirements-dev.txt
	@touch $@

demo:
	@TOUR=$(TOUR) $(PYTHON) -m demo

test: $(ENVIRONMENT)/ready
	$(RUN) -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(ENVIRONMENT)/ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

check: lint test

bench: $(ENVIRONMENT)/ready
	$(RUN) -m benchmarks $(ARGS)

clean:
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
