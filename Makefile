# Each target sets up what it needs first. Settings of the server are SANDQL_* variables, in the environment or after the target:
#   make serve SANDQL_PORT=9000        make serve PYTHON=python3.12 (chooses the interpreter of .venv)
SHELL := /bin/sh
PYTHON ?=
VENV ?= .venv
RUN := env -u PYTHONPATH -u PYTHONHOME -u VIRTUAL_ENV PATH="$(abspath $(VENV))/bin:$$PATH"
# Whether tests may apt-get what they lack: 1 or 0; left empty it is 1 for root. It is no setting of the server, so the server does not get it.
SANDQL_TEST_APT ?=
unexport SANDQL_TEST_APT
export PYTHON VENV

.DEFAULT_GOAL := help
.PHONY: help serve test check coverage bench web lock clean

help: ## Say what there is.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

serve: ## Start the server on http://127.0.0.1:8000/
	@scripts/venv.sh serve
	@exec $(RUN) sandql serve

test: ## Run all tests (ARGS="-k word" chooses some).
	@scripts/test_needs.sh "$(SANDQL_TEST_APT)" test
	@scripts/venv.sh dev
	@$(RUN) python -m pytest $(ARGS)

check: ## Lint, types, import rules, house tests.
	@scripts/test_needs.sh "$(SANDQL_TEST_APT)" check
	@scripts/venv.sh dev
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) pyright --pythonpath "$(VENV)/bin/python"
	@$(RUN) lint-imports
	@$(RUN) python -m pytest -q tests/house $(ARGS)

coverage: ## Run all tests and say which lines none of them reached.
	@scripts/test_needs.sh "$(SANDQL_TEST_APT)" test
	@scripts/venv.sh dev
	@$(RUN) coverage erase
	@$(RUN) coverage run -m pytest $(ARGS)
	@$(RUN) coverage combine -q
	@$(RUN) coverage report

bench: ## Measure this machine (ARGS are passed on).
	@scripts/test_needs.sh "$(SANDQL_TEST_APT)" bench
	@scripts/venv.sh dev
	@$(RUN) sandql bench $(ARGS)

web: ## Build the GraphiQL page anew into src/sandql/server/graphiql.
	@scripts/test_needs.sh "$(SANDQL_TEST_APT)" web
	@scripts/web.sh

lock: ## Write requirements*.txt anew from pyproject.toml.
	@scripts/venv.sh dev
	@scripts/lock.sh $(ARGS)

clean: ## Remove what the other targets made.
	rm -rf $(VENV) dist build web/graphiql/node_modules tests/*/node_modules tests/*/*/node_modules .coverage* .pytest_cache .ruff_cache .hypothesis
