# The shop's commands; `make help` tells what each does. All of them work in a fresh clone
# on a machine with Python 3.11 to 3.14 and nothing else prepared.

# The first of these that runs and is supported; PYTHON=… names another one. The virtual
# environment stays with the Python that made it. A shim of pyenv's can be there and fail.
PYTHONS := .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11
CHOSEN := $(or $(PYTHON),$(shell for python in $(PYTHONS); do \
	$$python agents/ops/local/interpreter.py 2> /dev/null && echo $$python && exit; \
	done; echo python3))
LOCAL := $(CHOSEN) -m agents.ops.local
VENV := .venv/bin/python

# make would expand the $ of a setting on its command line, as in WEBHOOK_URL='https://…$…'.
$(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),\
	$(eval override export $(name) := $$(value $(name)))))

.DEFAULT_GOAL := help
.PHONY: help run-all demo kafka-ui audit ps scale logs down clean test chaos planted fuzz recovery bench growth \
	compose-test fresh asyncapi clients check ready-to-test

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

run-all: ## start the whole shop, in containers or as processes; again is harmless
	@$(LOCAL) up

demo: ## walk through the whole story against the running shop
	@$(LOCAL) demo

kafka-ui: ## show Kafka to a browser: topics, records, and a form to send some; Ctrl-C ends it
	@$(LOCAL) ui

audit: ## fold all logs anew and compare with what is kept: AUDIT="--questions 1000 --quiet"
	@$(LOCAL) audit

ps: ## show the processes: NAME PID STATE
	@$(LOCAL) ps

scale: ## change how many there are: make scale LOMS_WORKERS=3 (CHECKOUT_WORKERS, GATEWAYS)
	@$(LOCAL) scale

logs: ## follow what all processes say
	@$(LOCAL) logs

down: ## stop everything; state is kept
	@$(LOCAL) down

clean: ## stop everything and forget all state
	@$(LOCAL) clean

test: ready-to-test ## run all tests, on a broker of their own
	$(VENV) -m pytest -q

chaos: ready-to-test ## play a campaign of faults against a shop of its own: CHAOS="--rounds 10 --seed 1"
	$(VENV) -m tests.chaos $(CHAOS)

planted: ready-to-test ## plant bugs, one by one, into a copy of the shop: PLANTED="--only rows"
	$(VENV) -m tests.planted $(PLANTED)

# A broker that is measured may have more than one that shares a machine with all else.
bench growth: export KAFKA_HEAP = 512m
bench growth: export KAFKA_JVM_OPTIONS = -XX:+UseSerialGC

bench: ready-to-test ## measure the shop beside its floors, in one run: BENCH="--rounds 3 --seconds 4"
	$(VENV) -m tests.benchmarks $(BENCH)

growth: ready-to-test ## measure how cost grows, and draw it: GROWTH="load state" (all: 10 minutes)
	$(VENV) -m tests.benchmarks.growth --plots tests/benchmarks/plots $(GROWTH)

fuzz: ready-to-test ## send 100,000 broken records through router and rules: FUZZ="--seed 7"
	$(VENV) -m tests.fuzz $(FUZZ)

recovery: ready-to-test ## kill workers 20 times each way: seconds without an answer, nothing lost
	$(VENV) -m tests.benchmarks.recovery

ready-to-test:
	@$(CHOSEN) -m agents.ops.local.environment dev
	@$(VENV) -m topics.broker fetch > /dev/null

compose-test: ## bring docker-compose.yml up for real, with an engine of its own (or say why not)
	@PYTHON=$(CHOSEN) tests/compose/run.sh

fresh: ## run both README commands in a bare Debian of its own: FRESH="run-all" DEBIAN=forky
	@tests/fresh/run.sh

asyncapi: ready-to-test ## have AsyncAPI's parser, Spectral and Redocly read the documents (needs npm)
	$(VENV) -m pytest -q -rs tests/contract/test_asyncapi.py tests/contract/test_linters.py

clients: ready-to-test ## have curl, kcat, Spring, NestJS, Chromium and openapi-python-client try the shop, where they are
	$(VENV) -m pytest -q -rs tests/clients

check: ## what CI runs: format, lint, types, compose file, Dockerfile, and all tests
	@$(CHOSEN) -m agents.ops.local.environment dev,check
	@$(VENV) -m topics.broker fetch > /dev/null
	$(VENV) -m ruff format --check .
	$(VENV) -m ruff check .
	$(VENV) -m mypy --strict agents gateway schemas topics
	.venv/bin/docker-compose config -q
	.venv/bin/hadolint agents/ops/local/Dockerfile
	$(VENV) -m pytest -q -rs
