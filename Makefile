# Every command a person or CI needs; `make help` lists them. The recipes are one line each: the work is in the scripts.
.DEFAULT_GOAL := help
SHELL := /bin/bash
TARGET := $(shell uname -m)-unknown-linux-gnu
OPERATOR_BINARY := target/$(TARGET)/release/deepseek-operator
export OPERATOR_BINARY

.PHONY: help
help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

.PHONY: demo demo-down
demo: ## From this machine to an answer: builds what is missing, starts a cluster, installs, asks a model
	@e2e/demo.sh
demo-down: ## Ends the demo's cluster
	@LAB_ID=demo e2e/lab/lab down

.PHONY: operator generate
operator: ## Builds the operator: one static binary
	@RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release -p deepseek-operator --target $(TARGET)
generate: ## Rewrites what is generated from the code: definitions, golden files
	@UPDATE=1 cargo test -q --locked -p deepseek-crds -p deepseek-core >/dev/null
	@cp crds/yaml/*.yaml charts/deepseek-operator/crd-files/

.PHONY: test lint
test: ## Runs every test; the last line counts them
	@e2e/test.sh
lint: ## Formats, lints and licences, as CI checks them
	@e2e/lint.sh

.PHONY: test-hpa-vectors test-hpa-oracle
test-hpa-vectors: ## Compares autoscaling with vectors of the HPA: HPA_VECTORS=file
	@: $${HPA_VECTORS:?names the file of vectors, in JSON; it is not part of the project}
	@cargo test -q --locked -p deepseek-core --test hpa_vectors -- --ignored --nocapture
test-hpa-oracle: ## Compares autoscaling with the controller of Kubernetes: SCENARIOS=10000, SEED=1
	@e2e/hpa-oracle/test.sh

.PHONY: lab lab-down lab-status
lab: ## Starts a lab cluster with two real nodes, building what is missing; CONTROL_PLANE_ONLY=1: simulated ones, without root
	@e2e/lab/start.sh $(if $(CONTROL_PLANE_ONLY),--control-plane-only)
lab-down: ## Ends the lab and leaves nothing behind
	@e2e/lab/lab down
lab-status: ## Shows the lab
	@e2e/lab/lab status

.PHONY: bench-operator
bench-operator: operator ## Measures what the operator costs: N="100 300" deployments, ROUNDS=3; writes docs/performance.md
	@e2e/lab/packages.sh && e2e/lab/build.sh
	@cargo run -q --locked --release -p deepseek-e2e --bin bench_operator -- --document docs/performance.md

.PHONY: bench-faults bench-nodeloss
bench-faults: operator ## Measures what clients feel when something breaks: ROUNDS=10, an hour; writes docs/failure-modes.md
	@e2e/lab/packages.sh && e2e/lab/build.sh && e2e/engine/build.sh
	@cargo run -q --locked --release -p deepseek-e2e --bin bench_faults -- --document docs/failure-modes.md
bench-nodeloss: operator ## Measures a lost node beside a plain Deployment: ROUNDS=1, a quarter of an hour; writes docs/failure-modes.md
	@e2e/lab/packages.sh && e2e/lab/build.sh && e2e/engine/build.sh
	@cargo run -q --locked --release -p deepseek-e2e --bin bench_nodeloss -- --document docs/failure-modes.md

.PHONY: bench-gateway
bench-gateway: operator ## Measures what the gateway costs beside haproxy, nginx and litellm: ROUNDS=5; writes docs/performance.md
	@export LITELLM=$$(e2e/gateway/peers.sh) && export PATH=$$PATH:/usr/sbin && \
		cargo run -q --locked --release -p deepseek-e2e --bin bench_gateway -- --document docs/performance.md
