# Every target does its own set-up: a bare Debian as root, or any Linux or macOS with Python 3.11 and a Docker Engine.
PYTHON := .venv/bin/python
ARGS ?=
NAME ?= console
NEEDS_sftp := sftp
NEEDS_alerts := mariadb
# four processes, a file each; a test that fails is run again twice and, when it then passes, listed as RERUN in the summary
PARALLEL ?= -n 4 --dist loadfile --reruns 2 --reruns-delay 1

.PHONY: help demo tour test check bench venv venv-dev clean

help:  ## what can be done here
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | expand -t 12

demo: venv  ## a local Discord, MariaDB, Redis, a bot, two nodes and three real game servers; one address to open
	@exec $(PYTHON) -m aerie demo $(ARGS)

tour: venv  ## the demo, driven by scripted people; exits 0 when every step was seen to happen
	@exec $(PYTHON) -m aerie tour $(ARGS)

test: venv-dev  ## every test, against a real Docker Engine, MariaDB and Redis
	@exec $(PYTHON) -m setup.test_services -- $(PYTHON) -m pytest -q $(PARALLEL) $(ARGS)

check: venv-dev  ## lint, types, import contracts, fast tests
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	$(PYTHON) -m pytest -q -n 4 --dist loadfile -m "not real" $(ARGS)

bench: venv-dev  ## one benchmark: make bench NAME=console
	@exec $(PYTHON) -m setup.test_services --only $(or $(NEEDS_$(NAME)),docker) -- $(PYTHON) -m benchmarks.$(NAME) $(ARGS)

venv:
	@sh setup/bootstrap.sh runtime

venv-dev:
	@sh setup/bootstrap.sh dev

clean:  ## forget everything that was made here: environment, demo, private engine
	@python3 -m setup.clean
