# The commands of this repository; `make` alone lists them. None needs root, Docker or protoc.

# Passed on to the program or to cargo: `make run ARGS=--help`, `make test ARGS='-p tragen-domain'`.
ARGS ?=
# How `make run` builds: `dev` starts soonest and shares its work with `make test`, `release` is for figures.
PROFILE ?= dev
# How often `make chaos-ledger` makes each fault.
ROUNDS ?= 20
# How many random sequences `make properties` plays.
CASES ?= 1000000

# cargo schedules its own jobs. Told of make's, which it may not use from here, it warns in every recipe of `make -j`.
CARGO := env -u MAKEFLAGS -u MFLAGS cargo

# For recipes that start servers: finds or installs them, see tools/fetch.
SERVERS = nats=$$(tools/fetch nats) && valkey=$$(tools/fetch valkey) && postgres=$$(tools/fetch postgres) && \
	export TRAGEN_NATS_SERVER="$$nats" TRAGEN_VALKEY_SERVER="$$valkey" TRAGEN_POSTGRES_BIN="$$postgres"

# Reference figures and prices, where they lie beside the checkout; without them tests say what they leave out.
REFERENCE = if [ -z "$$TRAGEN_REFERENCE_DIR" ] && [ -d ../shared/vectors ] && [ -d ../shared/data ]; then \
	TRAGEN_REFERENCE_DIR=$$(cd ../shared && pwd) && export TRAGEN_REFERENCE_DIR; fi

# $(call need,a program,what to do when it is missing)
need = @command -v $(1) >/dev/null 2>&1 || { echo "make: $(1) was not found on the PATH. $(2)" >&2; exit 1; }

.PHONY: help run test fmt lint bench proto-lint compose-check tools-test deny ci rust python chaos chaos-ledger properties
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: rust python ## build and start everything in one process, trading on paper (ARGS for `tragen up`)
	@[ -n "$$TRAGEN_NATS_URL" ] || { nats=$$(tools/fetch nats) && export TRAGEN_NATS_SERVER="$$nats"; } && \
	exec $(CARGO) run --profile $(PROFILE) -p tragen --bin tragen -- up $(ARGS)

# Tests wait for servers, disks and clocks more than they compute.
TEST_THREADS = export RUST_TEST_THREADS="$${RUST_TEST_THREADS:-$$((2 * $$(getconf _NPROCESSORS_ONLN)))}"

test: rust python ## fetch the servers that the tests need, then run all tests (ARGS for cargo test)
	@$(REFERENCE); $(TEST_THREADS); $(SERVERS) && $(CARGO) test --workspace $(ARGS)

fmt: rust ## format the Rust code
	@$(CARGO) fmt --all

lint: rust ## what a review would only waste time on
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: rust python ## measure: the load test against a release build (ARGS for the load test)
	@$(SERVERS) && $(CARGO) build --release -p tragen --bin tragen && \
	exec $(CARGO) run --release -p tragen-loadtest -- $(ARGS)

chaos: rust python ## the whole platform under load and faults, for long (SEED, MINUTES, ARGS for the load test)
	@$(SERVERS) && $(CARGO) build --profile chaos -p tragen --bin tragen -p tragen-loadtest --bin tragen-loadtest && \
	exec target/chaos/tragen-loadtest chaos --seed "$${SEED:-$$(date +%s)}" --minutes "$${MINUTES:-60}" --every-secs 60 \
		--folder "target/chaos-$$(date +%Y%m%d-%H%M%S)" $(ARGS)

chaos-ledger: rust python ## kill, freeze, starve and cut off the ledger for long (SEED, ROUNDS, ARGS for part of a scenario's name)
	@$(SERVERS) && export TRAGEN_CHAOS_SEED="$${SEED:-$$(date +%s)}" TRAGEN_CHAOS_ROUNDS="$(ROUNDS)" TRAGEN_CHAOS_ONLY="$(ARGS)" && \
	exec $(CARGO) test -p tragen --test chaos

properties: rust ## play CASES random sequences at the gate's rules (SEED for the same ones again)
	@export PROPTEST_CASES="$(CASES)" PROPTEST_RNG_SEED="$${SEED:-$$(date +%s)}" && echo "seed $$PROPTEST_RNG_SEED" && \
	exec $(CARGO) test --release -p tragen-domain --test risk_properties --test limit_properties $(ARGS)

proto-lint: python ## check style and format of proto/
	@buf=$$(tools/fetch buf) && "$$buf" lint && "$$buf" format --diff --exit-code && echo "proto: ok"

compose-check: python ## check docker-compose.yml, deploy/Dockerfile and the configuration of the bus
	@schemas=$$(tools/fetch check-jsonschema) && export PYTHONPATH="$$schemas" && \
	python3 -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml && \
	tools/check-compose docker-compose.yml
	@hadolint=$$(tools/fetch hadolint) && "$$hadolint" deploy/Dockerfile && echo "deploy/Dockerfile: ok"
	@nats=$$(tools/fetch nats) && "$$nats" -t -c deploy/nats/nats.conf

tools-test: python ## test the scripts in tools/
	@tools/test

deny: rust ## check licences and sources of all dependencies (needs cargo-deny)
	$(call need,cargo-deny,Install it: cargo install --locked cargo-deny)
	@$(CARGO) deny --locked check bans licenses sources

ci: ## everything that a change must pass
	@.ci/run

rust:
	$(call need,cargo,Install Rust 1.95 or newer (https://rustup.rs); if it is installed: add ~/.cargo/bin to the PATH.)
	$(call need,cc,Install a C compiler (Debian: apt install gcc libc6-dev): SQLite and the TLS library are written in C.)

python:
	$(call need,python3,Install Python 3.8 or newer with pip (Debian: apt install python3 python3-pip): tools/fetch needs it.)
