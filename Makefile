# Portcullis. `make demo` and `make test` do everything, set-up included, on a fresh Debian 12 or 13 with Go.
#
#   setup-demo ──> build ──> demo
#   setup ──> build ──> test-unit, test-integration (in namespaces), test-container (the same in Docker), test-package, test-release ──> test

SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.release=$(VERSION)
# The Debian in the containers: of 12 and 13 the one that this machine is not, so that `make test` covers both.
RELEASE ?= $(if $(shell grep -s VERSION_CODENAME=trixie /etc/os-release),bookworm,trixie)
export RELEASE

.PHONY: help setup setup-demo build package release test-release demo fleet demo-api stress-api chaos chaos-fleet bench bench-sweep bench-fleet bench-page test test-unit test-integration image test-container test-package test-kernel fuzz mutate exhaustive lint generate clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: ## install what is missing for everything: Open vSwitch, network tools, Docker, browsers, npm and so on
	@integration/setup.sh all

setup-demo: ## install what is missing for the demo alone: Open vSwitch and network tools
	@integration/setup.sh demo

build: console ## compile bin/portcullis, with its console; it needs no library of this machine's
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/portcullis ./cmd/portcullis

.PHONY: console test-console
console: ## the web console, which the program embeds (needs npm; without it the program says so)
	@GO=$(GO) controller/console/web/build.sh

test-console: ## the console's types, and the tests of what in it needs no browser
	@GO=$(GO) controller/console/web/build.sh --test

package: ## bin/portcullis_VERSION_ARCH.deb for this machine (PACKAGE_VERSION=1.2.3)
	@cmd/portcullis/package/build.sh $(PACKAGE_VERSION)

release: ## bin/release-VERSION: packages for amd64 and arm64, SBOMs, SHA256SUMS (VERSION=1.2.3)
	@cmd/portcullis/package/release.sh $(if $(filter command line environment,$(origin VERSION)),$(VERSION))

test-release: ## a release built twice, in different places and at different times: the same bytes
	@cmd/portcullis/package/reproduce.sh

demo: setup-demo build ## the seed example on a private Open vSwitch: who reaches whom, expected beside seen (DEMO_KEEP=1 leaves it running)
	$(GO) run -tags integration ./integration/demo

fleet: setup-demo build ## three members of a policy database, a relay and hosts, with real packets between them (FLEET_HOSTS=3, FLEET_KEEP=1 leaves it running)
	$(GO) run ./integration/fleetdemo

test: setup build ## everything
	$(MAKE) -j2 test-unit image
	$(MAKE) test-integration test-exoscale test-container test-package test-release

test-unit: test-console ## pure packages, and those that need an Open vSwitch without traffic
	$(GO) test -race -shuffle=on -timeout 20m ./...

test-integration: build ## real packets, in network namespaces on this host; they wait more than they work, so four at a time
	$(GO) test -tags integration -count=1 -timeout 20m -parallel 4 ./integration/...

demo-api: setup-demo build ## the seed example built by curl: a policy database, the API server and two hosts, with real packets
	$(GO) run ./integration/apidemo

stress-api: build ## 5 minutes of 200 clients that write through two API servers, which are killed, as members of the database are (API_TIME=1h)
	API_TIME=$(or $(API_TIME),5m) $(GO) test -tags integration -count=1 -timeout 24h -v -run '^TestServe_UnderLoad$$' ./integration

.PHONY: test-exoscale
test-exoscale: ## Exoscale's own client against `portcullis serve`, in a module of its own
	cd integration/exoscale && $(GO) vet ./... && $(GO) mod tidy -diff && $(GO) test -count=1 -timeout 10m ./...

.PHONY: test-births
test-births: build ## where machines come from, with everything that takes longer: Proxmox' commands 200 times, guests of libvirt
	@integration/setup.sh births
	BIRTHS_ROUNDS=70 $(GO) test -tags integration -count=1 -parallel 3 -v -timeout 60m ./integration/births

.PHONY: test-migration
test-migration: build ## live migration of guests between two libvirtds, with and without Portcullis (MIGRATIONS=3: so often there and back each)
	@integration/setup.sh births
	MIGRATIONS=$(or $(MIGRATIONS),3) $(GO) test -tags integration -count=1 -v -timeout 60m -run '^TestMigration' ./integration/births

.PHONY: test-incus
test-incus: build ## instances of Incus, from a root file system of Debian 13 that is made once
	@integration/setup.sh births
	root=$$(integration/births/incusroot.sh) && INCUS_ROOT=$$root $(GO) test -tags integration -count=1 -v -timeout 20m -run '^TestIncus' ./integration/births

chaos: build ## 10 minutes of everything at once under numbered streams (CHAOS_TIME=2h, CHAOS_SEED=1 for the same dice)
	CHAOS_TIME=$${CHAOS_TIME:-10m} $(GO) test -tags integration -count=1 -v -timeout 0 -run '^TestChaos$$' ./integration

chaos-fleet: build ## the same of a fleet: members, relay and hosts killed, stopped, cut off, full, restored (CHAOS_TIME, CHAOS_SEED)
	CHAOS_TIME=$${CHAOS_TIME:-10m} $(GO) test -tags integration -count=1 -v -timeout 0 -run '^TestChaosFleet$$' ./integration

BENCH ?= medium
bench: build ## measure flows, starts, changes, memory and traffic against targets (BENCH=small|medium|large|huge|all; BENCHFLAGS=-strict)
	$(GO) run ./integration/bench -size $(BENCH) $(BENCHFLAGS)

bench-sweep: build ## the same along one dimension at a time, for the plots of docs/performance.md
	$(GO) run ./integration/bench -sweep all $(BENCHFLAGS)

FLEET ?= full
bench-fleet: build ## many hosts on one policy database: what it carries, and how soon a change is in force (FLEET=small; BENCHFLAGS=-strict)
	$(GO) run ./integration/bench -fleet $(FLEET) $(BENCHFLAGS)

.PHONY: bench-console
bench-console: build ## the web console in a browser: bytes, first page, picture, typing, with up to 50,000 instances (BENCHFLAGS=-strict)
	$(GO) run ./integration/benchconsole $(BENCHFLAGS)

.PHONY: bench-load
bench-load: build ## traffic through 500 ports and 100,000 flows, beside NORMAL and OVN's flows of the same policy (BENCHFLAGS=-rounds\ 5; installs iperf3 and OVN)
	@integration/setup.sh load
	$(GO) run ./integration/benchload $(BENCHFLAGS)

bench-page: ## docs/performance.md from what was measured last; says which figures of the README are others now
	$(GO) run ./integration/bench -page docs/performance.md
	$(GO) test ./cmd/portcullis -run FiguresOfTheReadme

image: ## the container's image, from Debian packages
	integration/container/dockerd.sh integration/container/image.sh

test-container: build ## the same tests in a container of Debian 13, on Debian 13 of 12 (RELEASE=bullseye|bookworm|trixie|sid, of Ubuntu jammy|noble: Open vSwitch 2.15, 3.1, 3.5, 4.0, 2.17, 3.3; RUN=demo|pages: those instead)
	integration/container/run.sh $(RUN)

test-package: setup ## the Debian package under systemd, in a container of the same: installed, upgraded under traffic, removed, purged
	integration/container/package.sh -test.v

test-kernel: build ## the same tests on the kernel's datapath, in a virtual machine with the kernel and the Open vSwitch of Debian 13, on 13 of 12 (RELEASE=bookworm|trixie; not part of `test`: emulated, it takes long)
	integration/kernel/run.sh -test.v

FUZZTIME ?= 1m
fuzz: ## every fuzz target for FUZZTIME (1m)
	@set -e; for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$p; done; done

exhaustive: ## every policy of the small universe with every packet, not only a sample
	PORTCULLIS_EXHAUSTIVE=1 $(GO) test -count=1 -v -timeout 2h -run TestExhaustiveSmallWorlds ./flows

MUTANTS ?= 40
SEED ?= 1
mutate: ## break each shape of flow, then MUTANTS places each of the compiler, of the loop and of OpenFlow (drawn with SEED); what no test notices is listed
	PORTCULLIS_MUTATE=1 $(GO) test -count=1 -v -timeout 2h -run TestMutatedFlowsAreNoticed ./flows
	$(GO) run ./integration/mutate -count $(MUTANTS) -seed $(SEED)
	$(GO) run ./integration/mutate -count $(MUTANTS) -seed $(SEED) -package controller/agent
	$(GO) run ./integration/mutate -count $(MUTANTS) -seed $(SEED) -package flows/openflow -timeout 1m
	$(GO) run ./integration/mutate -count $(MUTANTS) -seed $(SEED) -package controller/ofswitch -timeout 2m

lint: ## gofmt, vet, staticcheck, tidy
	@test -z "$$(gofmt -l $$(git ls-files '*.go') | tee /dev/stderr)" || { echo 'gofmt: the files above need it'; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags integration ./...
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags integration ./...
	$(GO) mod tidy -diff

generate: ## write the generated documents and the database model anew
	$(GO) generate ./...

clean: ## remove what was built
	rm -rf bin .cache
