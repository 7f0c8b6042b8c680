# Entry points. Each target installs what it needs; nothing is installed outside the user's cache folder but Debian packages.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export PENSTOCK_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/penstock
# In CI a second clone finds what the first one built.
ifdef CI
export CARGO_TARGET_DIR ?= $(PENSTOCK_CACHE)/target
# It never builds the same sources twice: what would be kept for that fills the disk.
export CARGO_INCREMENTAL ?= 0
endif
target := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
tools := $(PENSTOCK_CACHE)/tools
export PATH := $(tools)/bin:$(PATH)

cargo_deny := 0.20.2
cargo_fuzz := 0.13.2
FUZZ_SECONDS ?= 20

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Build, start the quickstart, request each route, swap a route under load, show what happened
	cargo build --locked --workspace --bin penstock --bin demo
	$(target)/debug/demo $(target)/debug/penstock examples/quickstart

.PHONY: demo-kubernetes
demo-kubernetes: ## A real cluster, two Services, scaled and rolled under load, with what kubectl shows at each step
	tests/e2e.sh -- $(target)/debug/demo_kubernetes

# DRIVER may be several with commas, which share one report; FLAGS=--short is what tests run.
DRIVER ?= builtin
.PHONY: demo-autoscale
demo-autoscale: ## A real cluster of three hosts, a load up to 460/s and back, followed by DRIVER=builtin|keda-prometheus|keda-external|hpa; a report
	case ",$(DRIVER)," in *,keda-*) command -v prometheus >/dev/null || tests/cluster/cluster deps; tests/cluster/cluster build keda ;; esac
	tests/e2e.sh --nodes 3 -- $(target)/debug/demo_autoscale $(DRIVER) $(FLAGS) --report $(target)/autoscale.html

.PHONY: e2e
e2e: ## The scenarios on a real cluster: scaling, rolling, and what breaks, without a lost request
	tests/e2e.sh

.PHONY: generate
generate: ## What is generated from the sources: the resource definitions in deploy/crds
	cargo build --locked --workspace --bin crds
	$(target)/debug/crds deploy/crds

.PHONY: check
check: ## Format, lints, unit tests: seconds, before every commit
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked --workspace --lib --bins

.PHONY: test
test: ## Everything, as CI runs it: installs what it needs
	tests/run.sh

.PHONY: fuzz
fuzz: $(tools)/bin/cargo-fuzz ## Every fuzz target for FUZZ_SECONDS each (default 20)
	cd router/fuzz && for target in $$(RUSTC_BOOTSTRAP=1 cargo fuzz list); do \
	  mkdir -p "$(target)/fuzz/found/$$target"; \
	  RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$(target)/fuzz" cargo fuzz run -s none $$target "$(target)/fuzz/found/$$target" corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1; \
	done

.PHONY: guests
guests: ## Rebuild the example and test components from their sources and compare what they do
	tests/guests/setup.sh --js
	rm -rf $(target)/guests && mkdir -p $(target)/guests/test $(target)/guests/quickstart
	tests/guests/build.sh $(target)/guests/test
	examples/build.sh $(target)/guests/quickstart
	tests/guests/check.sh $(target)/guests/test $(target)/guests/quickstart
	tests/guests/published.sh $(target)/guests/published
	PENSTOCK_PUBLISHED=$(target)/guests/published cargo test --locked --workspace --test published

.PHONY: deny
deny: $(tools)/bin/cargo-deny ## Licences, advisories, duplicates and sources of all dependencies
	cargo deny --locked check licenses bans sources
	cargo deny --locked check advisories || { [ -n "$${CI:-}" ] && echo "advisories: the database could not be had here"; }

.PHONY: h2spec
h2spec: ## Conformance to HTTP/2, as h2spec sees it
	PENSTOCK_H2SPEC=$$(tests/tools/h2spec.sh) cargo test --locked --workspace --test serve_h2spec -- --ignored --nocapture

.PHONY: testssl
testssl: ## TLS, as testssl.sh sees it: two minutes
	PENSTOCK_TESTSSL=$$(tests/tools/testssl.sh) cargo test --locked --workspace --test tls_testssl -- --ignored --nocapture

.PHONY: slow-clients
slow-clients: ## Ten thousand clients that send a byte now and then
	cargo test --locked --workspace --test serve_slow -- --ignored --nocapture

.PHONY: bench
bench: ## Figures for bench/README.md: two hours on an idle machine
	bench/run.sh

.PHONY: bench-coldstart bench-density bench-neighbours
bench-coldstart: ## The first request to a workload without an instance, and after a start of the server: six minutes
bench-density: ## Up to 10,000 workloads on one host: memory, load time, call time
bench-neighbours: ## An innocent workload beside bad ones: ten minutes
bench-coldstart bench-density bench-neighbours: bench-%:
	bench/guests/setup.sh
	cargo build --locked --release --workspace --bins
	$(target)/release/$*

.PHONY: bench-gateways
bench-gateways: ## The router beside nginx, Envoy, Caddy and plain hyper, and a table swapped under load: a quarter of an hour
	bench/gateways/setup.sh
	cargo build --locked --release --package penstock-bench --no-default-features --bin native --bin plain_hyper
	bench/gateways/run.py
	bench/gateways/run.py --swap

$(tools)/bin/cargo-deny:
	cargo install --locked --root $(tools) --target-dir "$(PENSTOCK_CACHE)/tools-target" cargo-deny@$(cargo_deny)

$(tools)/bin/cargo-fuzz:
	cargo install --locked --root $(tools) --target-dir "$(PENSTOCK_CACHE)/tools-target" cargo-fuzz@$(cargo_fuzz)
