# What people and CI call. Every target runs commands that can be run by hand; `make -n TARGET` shows them.

CARGO ?= cargo
IMAGE_TAR ?= target/portcullis.tar
KUBE_DIR ?= $(CURDIR)/target/kube
# Tests that start clusters or a browser are rings of their own; all other test targets run inside the process.
OUTSIDE := e2e picture
IN_PROCESS := $(filter-out $(OUTSIDE),$(basename $(notdir $(wildcard tests/*.rs))) $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs)))
# Helm and kubectl as hack/kube/build makes them, where the machine has none of its own.
WITH_TOOLS := PATH="$$PATH:$$(hack/kube/build --bin)"
SCRIPTS = $(shell grep -rIlE '^\#!.*(bash|/sh)' .ci hack tests deploy)

.DEFAULT_GOAL := help
.PHONY: help demo test check fmt-check clippy unit scripts chart picture e2e node advisories bench plot docs image clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: ## see what Portcullis does, without a cluster
	@echo 'building (the first time takes a few minutes)…' >&2
	$(CARGO) run --locked -- demo

test: ## run every ring of tests; says at the end what could not run here and why
	tests/run-rings

check: fmt-check clippy unit ## formatting, lints and all tests that need no cluster; under a minute when warm

fmt-check:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --locked --all-targets -- -D warnings

unit:
	$(CARGO) test --locked --lib --bins $(addprefix --test ,$(IN_PROCESS))
	$(CARGO) test --locked --doc

scripts: ## shellcheck over every script
	shellcheck -x $(SCRIPTS)

chart: ## render the chart in every way and check what comes out; no cluster
	$(WITH_TOOLS) tests/chart.sh
	$(WITH_TOOLS) deploy/generate --check

picture: ## the page of `matrix -o html` in a headless Chromium; UPDATE=1 takes the pictures of the README again
	$(CARGO) test --locked --test picture

e2e: ## against a real API server: reviews end to end, schemas, installing and removing the chart
	$(CARGO) test --locked --test e2e
	$(WITH_TOOLS) hack/kube/control-plane run $(KUBE_DIR)/watch -- $(CARGO) test --locked --test watch -- --ignored
	$(WITH_TOOLS) HELM="$${HELM:-helm}" hack/kube/control-plane run $(KUBE_DIR)/chart -- tests/chart/cluster.sh

node: ## on a real node: the image, installed with Helm, with pods (needs root)
	$(WITH_TOOLS) tests/node.sh

advisories: ## check the crates against the RustSec advisories; skipped with the reason where that cannot be done
	hack/advisories $(REQUIRE)

bench: ## measure the engine (criterion)
	$(CARGO) bench --locked --benches

plot: ## measure states of growing size and draw docs/pictures/growth.svg
	$(CARGO) bench --locked --bench end_to_end -- growth | tee /dev/stderr | hack/plot-growth > docs/pictures/growth.svg

docs: ## write generated files again: rule pages, definitions in the chart, deploy/install.yaml
	UPDATE=1 $(CARGO) test --locked --test house --test "generated*"
	$(WITH_TOOLS) deploy/generate

image: ## build the container image as an OCI archive, target/portcullis.tar
	hack/image $(IMAGE_TAR)

clean: ## delete what was built here; the cache of cluster binaries stays
	$(CARGO) clean
