# The one entry for every habit; the work is done in scripts/ and by isc-dev (tests/src/bin/isc-dev).

.PHONY: help demo up down status test upgrade-test test-quick chaos overload lint check-deploy check-observability compose-test fmt gen bench bench-quick bench-latency bench-policy build setup clean
.DEFAULT_GOAL := help

RELEASE_BUILD := cargo build --release -p isc-watcher -p isc-worker -p isc-tests --bins
ISC_DEV := target/release/isc-dev

help: ## what there is
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

demo: setup ## everything from nothing: real requests of two teams, results verified, nothing left running
	@echo "==> building (release)" && $(RELEASE_BUILD)
	@$(ISC_DEV) demo

up: setup ## the demo's surroundings, kept running; prints what to try
	@echo "==> building (release)" && $(RELEASE_BUILD)
	@$(ISC_DEV) up

down: ## ends what `make up` started
	@if [ -x $(ISC_DEV) ]; then $(ISC_DEV) down; else echo "Nothing runs."; fi

status: ## what `make up` started: memory, readiness, logs
	@$(ISC_DEV) status

test: setup build ## all tests, end to end against a real kcp and a real RabbitMQ
	@target/debug/isc-dev test -- cargo test --workspace --no-fail-fast

chaos: setup ## the fault suite: everything is broken while thousands of requests run (SEED=n REQUESTS=n)
	@echo "==> building (release)" && $(RELEASE_BUILD)
	@echo "==> simulating 100,000 seeds" && ISC_SEEDS=100000 ISC_FROM=$(or $(SEED),0) cargo test -q --release -p isc-core sim
	@$(ISC_DEV) chaos $(if $(SEED),--seed $(SEED)) $(if $(REQUESTS),--requests $(REQUESTS))

overload: setup ## 50,000 waiting requests, 5,000 large ones, 500 workspaces, 10,000 finished ones: memory, order, watches, idle load
	@echo "==> building (release)" && $(RELEASE_BUILD)
	@for scene in crowd bulk wide idle; do $(ISC_DEV) chaos --scene $$scene || exit 1; done

soak: setup ## half an hour at half of what can be done at most: memory, files, tasks, channels (SCALE=n)
	@echo "==> building (release)" && $(RELEASE_BUILD)
	@$(ISC_DEV) chaos --scene soak --scale $(or $(SCALE),1)

upgrade-test: setup build ## an upgrade from an earlier version under load, and the way back (OLD=commit, default the one before)
	@scripts/upgrade-test.sh $(OLD)

test-quick: ## the tests that need no servers
	@cargo test --workspace --exclude isc-tests

lint: ## formatting, clippy, docs, honest manifests, generated files, scripts, dependencies
	@scripts/lint.sh

check-deploy: ## what helm, kubectl and docker-compose say of deploy/; the chart's tests and schemas
	@scripts/check-deploy.sh

check-observability: ## what promtool says of the alert rules
	@scripts/check-observability.sh

compose-test: ## docker-compose.yml as it is, in a Docker daemon of its own: images, start, kills, restarts (root)
	@scripts/compose-test.sh

fmt: ## format the code
	@cargo fmt --all

gen: ## write the generated files in deploy/
	@cargo run -q -p isc-watcher --bin crdgen -- deploy
	@scripts/render-base.sh

bench: setup ## throughput, latency and growth, beside what kcp allows at most and beside others; about an hour
	@echo "==> building (release)" && $(RELEASE_BUILD) -p isc-bench
	@ISCBENCH_CELERY=$$(scripts/celery.sh) && export ISCBENCH_CELERY && target/release/isc-bench full $(if $(TOGETHER),--together) $(if $(ONLY),--only $(ONLY))
	@echo "==> steps of the core" && cargo bench -q -p isc-core --bench steps

bench-quick: setup ## the main ratios of the product as it is, in less than five minutes: target/bench/quick.json
	@echo "==> building (release)" && $(RELEASE_BUILD) -p isc-bench
	@target/release/isc-bench quick $(if $(TOGETHER),--together)

bench-latency: setup ## time from created to Succeeded for 50 short requests, one after the other
	@echo "==> building (release)" && $(RELEASE_BUILD)
	@$(ISC_DEV) bench-latency

bench-policy: ## microseconds that policy (100 rules) and schemas take for a request; at most 100
	@cargo test -q --release -p isc-watcher --lib microseconds -- --ignored --nocapture

build: ## all programs and tests
	@cargo build --workspace --all-targets

setup: ## install or build what is missing: RabbitMQ, openssl, kcp
	@scripts/setup.sh

clean: down ## remove what was built here (kcp's cache stays)
	@cargo clean
