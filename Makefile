# The shop's commands; `make help` lists them. All of them work in a fresh clone
# on a machine with Python 3.11 to 3.14 and nothing else prepared.

# The first of these that runs and is supported; PYTHON=… names another one. The virtual
# environment stays with the Python that made it. A shim of pyenv's can be there and fail.
PYTHONS := .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11
PROBE := import sys; v = sys.version_info[:2]; print("%d.%d" % v); sys.exit(not (3, 11) <= v <= (3, 14))
first = $(shell for python in $(1); do \
	version=$$($$python -c '$(PROBE)' 2> /dev/null) && echo $$python $$version && exit; done)
FOUND := $(call first,$(or $(PYTHON),$(PYTHONS)))
CHOSEN := $(or $(firstword $(FOUND)),$(PYTHON),python3)
VERSION := $(lastword $(FOUND))
VENV := .venv/bin/python
LOCAL := $(VENV) -m agents.ops.local

# make would expand the $ of a setting on its command line, as in WEBHOOK_URL='https://…$…'.
$(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),\
	$(eval override export $(name) := $$(value $(name)))))

.DEFAULT_GOAL := help
.PHONY: help run-all demo kafka-ui audit ps scale repartition logs down clean test chaos two-machines planted fuzz recovery bench growth \
	compose-test fresh asyncapi clients check ready-to-test

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

run-all: .venv/.base ## start the whole shop, in containers or as processes; again is harmless
	@$(LOCAL) up

demo: .venv/.base ## walk through the whole story against the running shop
	@$(LOCAL) demo

kafka-ui: .venv/.base ## show Kafka in a browser: topics, records, and a form to send some; Ctrl-C ends it
	@$(LOCAL) ui

audit: .venv/.base ## replay all logs and compare them with the state: AUDIT="--quiet", AUDIT="--checkpoint /backup"
	@$(LOCAL) audit

ps: .venv/.base ## show the processes: NAME PID STATE
	@$(LOCAL) ps

scale: .venv/.base ## change the numbers of processes: make scale LOMS_WORKERS=3 (CHECKOUT_WORKERS, GATEWAYS)
	@$(LOCAL) scale

repartition: .venv/.base ## change the number of partitions of a stopped or running shop: make repartition PARTITIONS=64
	@$(LOCAL) repartition

logs: .venv/.base ## follow the logs of all processes
	@$(LOCAL) logs

down: .venv/.base ## stop everything; the state stays
	@$(LOCAL) down

clean: .venv/.base ## stop everything and delete all state
	@$(LOCAL) clean

# Tests wait more than they compute. In sequence the longest ones (chaos) begin first.
IN_PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder

test: ready-to-test ## run all tests, on a broker of their own
	$(VENV) -m pytest -q $(IN_PARALLEL)

chaos: ready-to-test ## play a campaign of faults against a shop of its own: CHAOS="--rounds 10 --seed 1"
	$(VENV) -m tests.chaos $(CHAOS)

two-machines: ready-to-test ## play MACHINES.md in network namespaces: three brokers, two machines, one of which dies (Linux)
	unshare --map-root-user --net --mount sh -euc 'mount -t tmpfs run /run; ip link set lo up; \
		exec $(VENV) -m pytest -q -rs tests/e2e/test_machines.py'

planted: ready-to-test ## plant bugs, one by one, into a copy of the shop: PLANTED="--only rows"
	$(VENV) -m tests.planted $(PLANTED)

bench: ready-to-test ## measure the shop beside its floors: BENCH="--rounds 3"; beside Kafka Streams too (Maven): PEER=streams
	$(VENV) -m tests.benchmarks $(if $(PEER),--peer $(PEER)) $(BENCH)

growth: ready-to-test ## measure how cost grows, and draw it: GROWTH="load state" (all: 10 minutes)
	$(VENV) -m tests.benchmarks.growth --plots tests/benchmarks/plots $(GROWTH)

fuzz: ready-to-test ## send 100,000 broken records through router and rules: FUZZ="--seed 7"
	$(VENV) -m tests.fuzz $(FUZZ)

recovery: ready-to-test ## disturb shops, and probe every key: RECOVERY="back --repetitions 3 --orders 0"
	$(VENV) -m tests.benchmarks.recovery $(RECOVERY)

ready-to-test: .venv/.dev
	@$(VENV) -m topics.broker fetch > /dev/null

# These mark an environment with the packages that run the shop, that test it, and that check
# its files. Another version of Python makes the environment again.
STAMPS := .venv/.base .venv/.dev .venv/.check
.venv/.dev: EXTRAS := dev
.venv/.check: EXTRAS := dev check
ifneq ($(VERSION),$(lastword $(call first,$(VENV))))
.PHONY: $(STAMPS)
endif

REQUIREMENTS := import sys, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	extras = [project["optional-dependencies"][name] for name in sys.argv[1:]]; \
	print(*project["dependencies"], *sum(extras, []))
# The pip of Python 3.11 takes twice as long for these packages.
PIP := install -q --disable-pip-version-check --no-input --retries 2 pip==26.3

# Only one make at a time has the lock: the shell keeps file 9 open until its end.
$(STAMPS): pyproject.toml .ci/constraints.txt
	@[ "$(VERSION)" ] || { echo "Python 3.11 to 3.14 is needed, and $(CHOSEN) is" \
		"$$($(CHOSEN) --version 2>&1): make PYTHON=/path/to/python3.14 …" >&2; exit 1; }
	@mkdir -p .cache; exec 9>> .cache/venv.lock; \
	$(CHOSEN) -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'; \
	made_by=$$($(VENV) -c '$(PROBE)' 2> /dev/null); \
	if [ "$$made_by" = "$(VERSION)" ]; then \
		[ $@ -nt pyproject.toml ] && [ $@ -nt .ci/constraints.txt ] && exit; \
	elif [ "$$made_by" ] && [ -e "$(or $(RUN_DIR),.run)/shop.json" ]; then \
		echo "the shop runs on Python $$made_by, and this is $(VERSION):" \
			"run make down without PYTHON=… first" >&2; exit 1; \
	else \
		$(CHOSEN) -m venv --without-pip --clear .venv || exit; \
	fi; \
	echo "  Python packages …" >&2; \
	$(VENV) -m pip --version > /dev/null 2>&1 \
		|| $(CHOSEN) -m pip --python $(VENV) $(PIP) > /dev/null 2>&1 \
		|| $(VENV) -m ensurepip > /dev/null \
		|| { echo ".venv has no pip (Debian: apt install python3-venv)" >&2; exit 1; }; \
	$(VENV) -m pip $(PIP) -c .ci/constraints.txt $$($(VENV) -c '$(REQUIREMENTS)' $(EXTRAS)) \
		|| { echo "packages can't be installed (is there a network?)" >&2; exit 1; }; \
	touch .venv/.base $@

compose-test: .venv/.check ## start docker-compose.yml with a Docker engine of its own (or print why not)
	@tests/compose/run.sh

fresh: ## run both README commands in a bare Debian of its own: FRESH="run-all" DEBIAN=forky
	@tests/fresh/run.sh

asyncapi: ready-to-test ## have AsyncAPI's parser, Spectral and Redocly read the documents (needs npm)
	$(VENV) -m pytest -q -rs tests/contract/test_asyncapi.py tests/contract/test_linters.py

clients: ready-to-test ## have curl, kcat, Spring, NestJS, Chromium and openapi-python-client try the shop, where they are
	$(VENV) -m pytest -q -rs tests/clients

check: .venv/.check ## what CI runs: format, lint, types, compose file, Dockerfile, and all tests
	@$(VENV) -m topics.broker fetch > /dev/null
	$(VENV) -m ruff format --check .
	$(VENV) -m ruff check .
	$(VENV) -m mypy --strict agents gateway schemas topics
	.venv/bin/docker-compose config -q
	.venv/bin/hadolint agents/ops/local/Dockerfile
	$(VENV) -m pytest -q -rs $(IN_PARALLEL)
