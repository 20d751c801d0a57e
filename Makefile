PYTHON ?= python3
VENV := .venv/bin
# Some environments forbid it; each of the thousands of processes that the tests start would compile Zoe again.
export PYTHONDONTWRITEBYTECODE :=
# Most tests wait more than they compute: three at a time, file by file.
AT_ONCE := -n 3 --dist loadfile

.PHONY: help lab test chaos check generate build clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

lab: ## open JupyterLab with the first notebook; ZOE_LAB_ARGS='--port 9999' passes more to it
	@$(PYTHON) scripts/setup.py lab
	@$(VENV)/python scripts/lab.py

test: ## every check, then every test; ZOE_TEST_REQUIRE=browser,docker makes a missing part a failure, ARGS='-k spark' selects
	@$(PYTHON) scripts/setup.py test
	@$(VENV)/python scripts/check.py; checked=$$?; $(VENV)/python -m pytest $(AT_ONCE) $(ARGS) && exit $$checked

chaos: ## every fault test, the long ones included (ARGS=--short: those of `make test`, timed); writes the result into docs/admins/reliability.md, unless ARGS selects
	@$(PYTHON) scripts/setup.py test
	@$(VENV)/python scripts/chaos.py $(ARGS)

check: ## the static checks only
	@$(PYTHON) scripts/setup.py test
	@$(VENV)/python scripts/check.py

generate: ## write again what is generated: OpenAPI document, TypeScript types, JSON Schemas
	@$(PYTHON) scripts/setup.py test
	@$(VENV)/python scripts/generate.py

build: ## sdist and wheel into dist/, with the production labextension
	@$(PYTHON) scripts/setup.py test
	@bash scripts/build.sh

clean: ## remove what was built and installed here
	rm -rf .venv dist build test-artifacts zoe_jupyter/labextension zoe_jupyter/_version.py
	cd labextension && rm -rf node_modules lib tsconfig.tsbuildinfo .eslintcache
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
