# Pinger. `make` lists what there is; each target says what it does as it goes.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

.PHONY: help
help: ## List these targets
	@echo "Pinger watches mailboxes and wakes devices. Targets:"
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)$$/\1|\2/p' $(MAKEFILE_LIST) \
	  | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

.PHONY: run
run: ## Start everything and show one mail becoming a push (ONCE=1: then exit)
	@ONCE="$(ONCE)" scripts/run

.PHONY: bundle
bundle: ## Build what the dashboard runs in the browser, for the next build of the server
	@scripts/bundle

.PHONY: test
test: ## Install what the tests need, and run all of them
	@scripts/test all

.PHONY: lint
lint: ## Format, clippy, documentation, dependencies, proto files
	@scripts/test lint

.PHONY: unit
unit: ## The Rust tests, those against a real Dovecot among them
	@scripts/test unit

.PHONY: e2e
e2e: ## The Node and browser clients, and staff in the dashboard
	@scripts/test e2e

.PHONY: bench
bench: ## Measure: registrations, mail to push, memory (docs/performance.md)
	cargo bench --profile quick --locked -p pinger $(if $(BENCH),--bench $(BENCH))

.PHONY: fmt
fmt: ## Format the Rust code
	cargo fmt --all

.PHONY: doc
doc: ## Build the Rust documentation, the private parts too
	cargo doc --workspace --no-deps --locked --document-private-items

.PHONY: clean-data
clean-data: ## Delete data/: the sessions, the keys, all that a server stored here
	rm -rf data
