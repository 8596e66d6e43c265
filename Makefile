# What can be asked for is listed by `make` alone. docs/testing.md says more of
# the tests, and what each of them needs.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# `make serve ARGS=--dev`, `make fuzz FUZZTIME=1m`, `make benchmarks BENCH=Pull`, `make histories STEPS=100000`, `make soak SOAK=1h`.
ARGS     ?=
FUZZTIME ?= 10s
BENCH    ?= .
STEPS    ?= 1000000
SOAK     ?= 10m

# `make profile SCENARIO=push-large@4`, `make bench-peers ROUNDS=5 SCENARIOS=push-image,pull-image`
SCENARIO  ?= push-image
SCENARIOS ?=
ROUNDS    ?= 3

# `make crash CYCLES=1000 CRASH_KILLS=40`
CYCLES      ?= 10000
CRASH_KILLS ?= 200

# What `make e2e` drives in CI, and what `make e2e-all` does.
LAYER     = 268435456
LAYER_ALL = 2147483648
KILLS     = 5
KILLS_ALL = 50

# The race detector needs a C compiler, and without one Go turns cgo off.
RACE := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race,)

modules := . internal/interop internal/crash tools/conformance
tools   := bin/tools

# Clients that `make e2e` builds. The others take minutes each, and belong to `make e2e-all`.
light_clients = oras regctl notation pebble docker-credential-ecr-login ecr-credential-provider
# Folders of this module's packages that have a test of some kind.
packages_with = $(shell grep -rlE --include='*_test.go' --exclude-dir=interop '^func $(1)' . | xargs -r -n1 dirname | sort -u)

.PHONY: help build test lint generate conformance clients light-clients e2e e2e-all bench bench-peers bench-pull-through profile benchmarks fuzz figures figures-small soak crash histories serve format

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

build: ## build bin/berth, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/berth ./cmd/berth

serve: build ## build berth and serve ./data on 127.0.0.1:5000
	exec bin/berth serve $(ARGS)

# A program with the race detector waits a second at its end, for reports of other threads; a tenth of it does. All
# is vetted by `make lint`.
test: export GORACE ?= atexit_sleep_ms=100
test: ## run all tests that need nothing but Go
	@test -n '$(RACE)' || echo 'There is no C compiler: the tests run without the race detector.'
	$(GO) test $(RACE) -vet=off -timeout 20m ./...
	cd internal/interop && $(GO) vet ./...
	cd internal/crash && CGO_ENABLED=0 $(GO) test -trimpath -vet=off ./...

lint: $(tools) ## check format, vet, staticcheck, govulncheck, modules and generated code
	@files=$$(gofmt -l .); test -z "$$files" || { echo "gofmt would change:"; echo "$$files"; exit 1; }
	@for m in $(modules); do \
		echo "lint $$m" && (cd $$m && $(GO) vet ./... && '$(CURDIR)/$(tools)/staticcheck' ./...) || exit 1; \
	done
	@for m in $(modules) tools; do \
		(cd $$m && $(GO) mod tidy -diff && $(GO) mod verify) || exit 1; \
	done
	@.ci/vulnerabilities $(tools)/govulncheck
	@.ci/drift ecrapi $(MAKE) --no-print-directory generate
	@.ci/drift docs/ecr-parity.md $(MAKE) --no-print-directory generate

format: build ## write the folder of FORMAT (a number) that tests open for ever; see docs/upgrade.md
	$(GO) run ./cmd/internal/server/testdata/formats/make.go -berth bin/berth -format $(FORMAT)

generate: ## write ecrapi/shape and docs/ecr-parity.md again; says what a new API model changes
	$(GO) generate ./ecrapi/...

conformance: build ## run the conformance suite of the OCI specification, and write docs/conformance.md
	cd tools/conformance && CGO_ENABLED=0 $(GO) test -c -o '$(CURDIR)/bin/conformance' github.com/opencontainers/distribution-spec/conformance
	cd tools/conformance && $(GO) test .
	cd tools/conformance && $(GO) run . -berth '$(CURDIR)/bin/berth' -suite '$(CURDIR)/bin/conformance' -page '$(CURDIR)/docs/conformance.md'

clients: ## build the clients of internal/interop that are pinned in tools/clients, into bin/clients
	tools/clients/build bin/clients --keep-going

light-clients:
	tools/clients/build bin/clients $(light_clients)

e2e: build $(tools) light-clients ## drive the built berth with real clients, as CI does (root, Linux)
	$(call interop,$(LAYER),$(KILLS),--heavy)

e2e-all: build $(tools) clients ## the same with all clients and in full size, leaving out what is not installed
	$(call interop,$(LAYER_ALL),$(KILLS_ALL),)

# interop runs the tests of internal/interop: size of a layer, number of kills, and which tests .ci/missing is to
# leave out. It says so, and which clients there are, before the first test.
interop = export PATH='$(CURDIR)/$(tools)':'$(CURDIR)/bin/clients':"$$PATH" BERTH_BIN='$(CURDIR)/bin/berth' && \
	.ci/versions && skip=$$(.ci/missing $(3)) && cd internal/interop && \
	$(GO) test -count=1 -timeout 60m -v -skip "$$skip" . -args -layer=$(1) -kills=$(2)

bench-pull-through: build $(tools) ## time docker and crane through a cold cache, a warm one and from upstream itself, in turn
	cd internal/interop && PATH='$(CURDIR)/$(tools)':"$$PATH" BERTH_BIN='$(CURDIR)/bin/berth' $(GO) test -run '^$$' -bench PullThrough -benchtime $(ROUNDS)x .

bench: build bin/peers/peers ## hold Berth against the least that a server must do, and store the figures in docs/performance by version
	$(peers) -servers least,berth,least-again -o 'docs/performance/$(VERSION).jsonl'

bench-peers: build bin/peers/peers bin/peers/registry ## the same beside the registry of the CNCF, in turn, with ratios
	$(peers) -o 'docs/performance/$(VERSION)-peers.jsonl'

peers = bin/peers/peers -berth bin/berth -distribution bin/peers/registry -version '$(VERSION)' -rounds '$(ROUNDS)' $(if $(SCENARIOS),-scenarios '$(SCENARIOS)')

profile: build bin/peers/peers ## write profiles of a server under SCENARIO (push-image) to bin/profile: processors, heap, mutexes, waits
	bin/peers/peers profile -berth bin/berth -dir bin/profile -scenario '$(SCENARIO)'

# Built anew each time; Go knows what has changed.
.PHONY: bin/peers/peers
bin/peers/peers:
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./cmd/internal/bench/peers

# The registry of the CNCF, in the version of tools/peers/go.mod.
bin/peers/registry: tools/peers/go.mod tools/peers/go.sum
	@mkdir -p bin/peers
	cd tools/peers && CGO_ENABLED=0 $(GO) build -trimpath -o '$(CURDIR)/$@' github.com/distribution/distribution/v3/cmd/registry
	@touch $@

benchmarks: ## the Go benchmarks of the paths of a push and a pull, over bbolt and files
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(call packages_with,Benchmark)

fuzz: ## run each fuzz target for FUZZTIME (10s), one by one
	@for p in $(call packages_with,Fuzz); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "fuzz $$p $$f" && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; \
	done

figures: build bin/peers/registry ## measure syncs, memory, pulls from upstream, disk, starts, pages and collection with 1,000,000 images, and write docs/figures.md
	@rm -f bin/counted.json
	BERTH_FIGURES='$(CURDIR)/bin/counted.json' $(GO) test -count=1 -run '^TestFigure' ./cmd/internal/server
	$(GO) run ./internal/figures -berth '$(CURDIR)/bin/berth' -distribution '$(CURDIR)/bin/peers/registry' -counted bin/counted.json -page docs/figures.md $(FIGURES)

figures-small: build ## measure the same in small, as CI does, and write nothing
	$(GO) run ./internal/figures -small -berth '$(CURDIR)/bin/berth' $(FIGURES)

soak: build ## have 32 clients, deletes, lifecycle, collection, scrub and backups at one store for SOAK (10m), and write docs/soak.md
	cd internal/interop && BERTH_BIN='$(CURDIR)/bin/berth' $(GO) test -count=1 -timeout 0 -v ./soak -args -duration=$(SOAK) -page='$(CURDIR)/docs/soak.md'

crash: ## have the power go CYCLES (10000) times and kill berth CRASH_KILLS (200) times, and write docs/durability.md
	cd internal/crash && $(GO) test -count=1 -timeout 0 -v . -args -cycles=$(CYCLES) -kills=$(CRASH_KILLS) -page='$(CURDIR)/docs/durability.md'

histories: ## play random histories of STEPS (1000000) steps against the model
	BERTH_HISTORY_STEPS=$(STEPS) $(GO) test -count=1 -timeout 0 -run '^TestHistories$$' ./internal/history

# staticcheck, govulncheck and crane, in the versions of tools/go.mod.
$(tools): tools/go.mod tools/go.sum
	cd tools && $(GO) build -o '$(CURDIR)/$(tools)/' tool
	@touch $@
