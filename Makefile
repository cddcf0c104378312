# `make` alone prints what can be made. Everything builds what it lacks; the second time is quick.

.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# The stamp bears the checkout's place: a venv that was moved or copied along would run the code it came from.
STAMP := $(VENV)/.made-$(shell pwd | cksum | cut -d' ' -f1)
# PYTHON=/path/to/python3 chooses another; otherwise the first that is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && exit; \
	done; echo python3)
# Prints the path of the Temporal server; says on stderr what it is doing.
WITH_TEMPORAL := TEMPORAL_CLI="$$($(BIN)/python tools/temporal_server.py)" || exit 1; export TEMPORAL_CLI

# Most of a test's time is waiting, for servers and for clocks. Those of a folder stay in one process (tests/conftest.py).
AT_ONCE := -n auto --maxprocesses 4 --dist loadgroup

##@ See it
.PHONY: demo
demo: $(STAMP) ## retire a few made-up people from real services, on a real Temporal server (KEEP=1 keeps it running; PLAN=openedx: an Open edX site)
	@$(WITH_TEMPORAL); $(BIN)/retire demo $(if $(PLAN),--plan $(PLAN))

##@ Check it
.PHONY: test
test: $(if $(T),,lint) $(STAMP) ## every check, cheapest first, then the tests (T=tests/unit/test_x.py: that one alone)
	@$(WITH_TEMPORAL); echo "▸ tests"; \
	$(BIN)/python -m pytest $(if $(T),$(T),-m "not every_boundary" $(AT_ONCE)) $(PYTEST_ARGS)

.PHONY: test-crash
test-crash: $(STAMP) ## kill -9 at every single boundary (minutes)
	@$(WITH_TEMPORAL); echo "▸ crash tests, every boundary"; \
	$(BIN)/python -m pytest tests/crash $(PYTEST_ARGS)

.PHONY: lint
lint: $(STAMP) ## ruff (rules, then format), import contracts, mypy
	@echo "▸ ruff check"; $(BIN)/ruff check --quiet --output-format concise .
	@echo "▸ ruff format --check"; $(BIN)/ruff format --check --quiet . || \
		{ echo "✗ not formatted; run: $(BIN)/ruff format ." >&2; exit 1; }
	@echo "▸ import contracts"; $(BIN)/lint-imports >$(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@echo "▸ mypy --strict"; $(BIN)/mypy --no-error-summary

.PHONY: bench
bench: $(STAMP) ## retirements a second next to a bare workflow, on the same server
	@$(WITH_TEMPORAL); $(BIN)/python -m benchmarks

.PHONY: bench-openedx
bench-openedx: $(STAMP) ## learners a second, of a stand-in LMS, and what a learner costs
	@$(WITH_TEMPORAL); $(BIN)/python -m benchmarks.openedx

##@ Keep it in order
.PHONY: requirements
requirements: $(VENV)-pin/bin/uv ## pin the newest releases that pyproject.toml allows, with hashes
	@echo "▸ requirements/dev.txt"; $(PIN) --upgrade --extra sandbox --extra dev --output-file requirements/dev.txt
	@echo "▸ requirements/run.txt"; $(PIN) --constraints requirements/dev.txt --output-file requirements/run.txt
	@for extra in postgresql s3 sandbox; do echo "▸ requirements/$$extra.txt"; \
		$(PIN) --upgrade --extra $$extra --constraints requirements/dev.txt --output-file requirements/$$extra.txt || exit 1; done
	@if grep -nE '^ *-(i|f|-index|-extra-index|-find-links|-trusted)|://' requirements/*.txt; \
		then echo "✗ the lines above name an index; pins must install from any" >&2; exit 1; fi

.PHONY: clean
clean: ## remove what was made here (the Temporal server in the cache stays)
	rm -rf $(VENV) $(VENV)-pin build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "%s%s\n", (n++ ? "\n" : ""), substr($$0, 5) } \
		/^[a-z-]+:.*## / { name = $$1; sub(/:.*/, "", name); printf "  make %-14s%s\n", name, $$2 }' $(MAKEFILE_LIST)

# pyproject.toml is the one list of what the project needs; build.in adds the build backend.
PIN = $(VENV)-pin/bin/uv pip compile pyproject.toml requirements/build.in --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet

$(VENV)-pin/bin/uv:
	@echo "▸ a venv for uv, which pins"
	@"$(PYTHON)" -m venv $(VENV)-pin
	@$(VENV)-pin/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

$(STAMP): requirements/dev.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "✗ Python 3.11 or newer is needed; $(PYTHON) is $$("$(PYTHON)" --version 2>/dev/null || echo not there)." >&2; \
		echo "  Install one, or name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "▸ creating $(VENV) with $$("$(PYTHON)" --version)"
	@rm -f $(VENV)/.made-*
	@"$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "✗ no venv could be made; Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@total=$$(grep '^[a-z].*==' requirements/dev.txt | grep -vc win32); echo "▸ installing $$total pinned packages"; n=0; \
	{ $(BIN)/python -m pip install --disable-pip-version-check --no-input --require-hashes --progress-bar off \
		-r requirements/dev.txt 2>&1 || touch $(VENV)/.failed; } | tee $(VENV)/install.log | \
	while read -r word package _; do \
		case $$word in \
			Collecting) n=$$((n + 1)); echo "  $$n/$$total $$package" ;; \
			WARNING:) echo "  no answer from the package index, trying again" ;; \
			Installing) echo "  unpacking" ;; \
		esac; \
	done; \
	test ! -e $(VENV)/.failed || { tail -n 15 $(VENV)/install.log >&2; \
		echo "✗ the packages could not be installed: see above, and $(VENV)/install.log. Is a package index in reach?" >&2; \
		exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@
