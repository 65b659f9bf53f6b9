# Parley's commands. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The demo's data. The default is a folder that PostgreSQL's own user can reach when
# root runs the demo: a server refuses to run as root, and /root is closed to others.
DATA ?= /var/tmp/parley-demo-$(shell id -u)

# How long each fuzz target runs, and each package's tests may.
FUZZTIME ?= 20s
TESTTIME ?= 25m

# A checkout without git (an archive, a container's build context) still gets a version.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
LDFLAGS := -s -w -X main.version=$(VERSION)

LINT := go tool -modfile=deploy/tools.mod golangci-lint

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: postgres build ## start Parley with a demo inbox and stand-in providers (DATA=folder)
	./bin/parley demo --data-dir '$(DATA)'

.PHONY: build
build: go ## build ./bin/parley
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/parley ./cmd/parley

.PHONY: test
test: go postgres cc mail browser prometheus bin/axe.min.js ## run every test, with the race detector
	@if [ "$$(id -u)" != 0 ] && [ -z "$$PARLEY_TEST_POSTFIX" ]; then export PARLEY_TEST_POSTFIX=off; \
		echo "not root: the tests with Postfix, whose master process runs as root only, are left out"; fi; \
	set -x; CGO_ENABLED=1 go test -race -timeout $(TESTTIME) ./...

.PHONY: check
check: go postgres prometheus format vet lint ## formatting, vet, linters, import rules, deploy files, migrations from empty
	go test -run '^Test(Import|Deploy)' ./cmd/parley
	go test -run '^TestMigrat' ./migrations ./store/...

.PHONY: licences
licences: go ## write docs/licences.md anew, after a change of dependencies
	UPDATE_LICENCES=1 go test -count=1 -run '^TestDeployLicences$$' ./cmd/parley

# Takes govulncheck from the network, and asks https://vuln.go.dev.
.PHONY: vulns
vulns: go ## look for known vulnerabilities in what is built in
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

.PHONY: format
format: go
	@unformatted="$$($(LINT) fmt --diff)" || { printf '%s\n' "$$unformatted"; \
		echo 'not formatted: run make fmt'; exit 1; }

.PHONY: fmt
fmt: go ## format the code
	$(LINT) fmt

.PHONY: vet
vet: go
	go vet ./...

.PHONY: lint
lint: go
	$(LINT) run

# Options for both: BENCH=--quick tries them out, BENCH=-h lists the rest.
BENCH ?=

.PHONY: bench
bench: bench-build ## measure throughput and latency on this machine
	./bin/parley-bench all $(BENCH)

.PHONY: faults
faults: bench-build ## kill, freeze and restart everything, and count what is lost
	./bin/parley-bench faults $(BENCH)

.PHONY: faults-cluster
faults-cluster: bench-build bin/parley-skewed ## three NATS servers, roles apart, and all that can happen to them (root: disks are filled)
	./bin/parley-bench faults cluster -skewed bin/parley-skewed $(BENCH)

# The same program by a clock that is five minutes ahead: built with a standard
# library of its own, because Go asks the kernel without a library one could replace.
bin/parley-skewed: bench-build
	@mkdir -p bin/skewed
	@sed 's/^\tsec, nsec, mono := runtimeNow()/&\n\tsec += 300/' "$$(go env GOROOT)/src/time/time.go" > bin/skewed/time
	@grep -q 'sec += 300' bin/skewed/time || { echo 'time.Now of this Go looks different: change the Makefile' >&2; exit 1; }
	@printf '{"Replace":{"%s/src/time/time.go":"%s/bin/skewed/time"}}' "$$(go env GOROOT)" '$(CURDIR)' > bin/skewed/overlay.json
	go build -trimpath -overlay bin/skewed/overlay.json -o bin/parley-skewed ./cmd/parley

.PHONY: bench-build
bench-build: postgres build
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/parley-bench ./cmd/parley-bench

# One at a time: go test -fuzz takes one target of one package.
.PHONY: fuzz
fuzz: go ## run every fuzz target for a while (FUZZTIME=20s each)
	@{ grep -rl --include='*_test.go' '^func Fuzz' . || true; } | sort | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "$$(dirname "$$file") $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null || exit 1; \
		done; \
	done

.PHONY: postgres
postgres: ## install PostgreSQL 15 or later if it is missing
	@deploy/install-deps.sh postgres

# The race detector is C.
.PHONY: cc
cc:
	@deploy/install-deps.sh cc

.PHONY: pictures
pictures: go postgres browser bin/axe.min.js ## take the pictures of the pages in docs/pages
	PARLEY_SHOTS='$(CURDIR)/docs/pages' go test -count=1 -run '^Test(Pages|Phones|ClientPanel|PickAClient|ChannelsPages|TemplatesPages|UsersPages|TokensPage|WebhooksPage)$$' ./cmd/parley

# Agents' pages are driven in a real browser.
.PHONY: browser
browser:
	@deploy/install-deps.sh browser

# What finds pages that some people cannot use (https://github.com/dequelabs/axe-core);
# for tests only, so it is not kept here.
AXE := 4.14.1
bin/axe.min.js: Makefile
	@mkdir -p bin
	@deploy/install-deps.sh axe $(AXE) $@

# Real servers for the email adapter's tests.
.PHONY: mail
mail:
	@deploy/install-deps.sh mail

# Alerts and dashboards are tested with the real thing.
.PHONY: prometheus
prometheus:
	@deploy/install-deps.sh prometheus

.PHONY: go
go:
	@command -v go >/dev/null || { \
		echo 'Go is not installed, or not on the PATH. Parley needs 1.26 or later: https://go.dev/doc/install' >&2; exit 1; }

.PHONY: clean
clean: ## remove what was built (the demo's data stays)
	rm -rf bin
