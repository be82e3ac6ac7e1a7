# SPDX-License-Identifier: Apache-2.0
#
#   make run            builds everything and runs the main job, `stowage trial`
#   make build          bin/stowage and bin/plugins/*.tier.so
#   make install        what was built, below PREFIX (/usr/local); DESTDIR goes in front of every path
#   make test           all tests
#   make check-abi      the headers of the kit: they compile alone, and are what plugin-sdk/abi says
#   make test-sanitize  the engine's tests under ThreadSanitizer and AddressSanitizer; -short: as CI runs them
#   make vm-test        a real kernel swaps and hibernates to `stowage serve` (qemu, without KVM)
#   make crash-matrix   sessions through 100,000 simulated crashes and 500 real kills: half an hour or more
#   make make-sessions  the session files that are kept, once for each format
#   make bench-session  suspending and resuming beside plain files on the same disk; the time to the first page
#   make bench          the engine beside zram, nbdkit and the bare codecs, in one run; BENCH='--only codecs', '--help', ...
#   make bench-docs     the same, and writes docs/benchmarks.md and docs/plots
#   make check-perf     instructions of put, peek and take (callgrind), against the ceiling that is kept
#   make clean
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

TIERS := lz4 zstd brotli aes-gcm swapfile
BUILD ?= .build
PREFIX ?= /usr/local
export PREFIX DESTDIR
SWIFT_BUILD := swift build -c release --scratch-path $(BUILD)

.PHONY: run build install test check-abi test-sanitize test-sanitize-short crash-matrix make-sessions vm-test bench-session \
	bench bench-docs bench-build check-perf requirements clean

run: build
	bin/stowage trial

requirements:
	@scripts/requirements

build: requirements
	$(SWIFT_BUILD) --product stowage
	for tier in $(TIERS); do $(SWIFT_BUILD) --product $$tier-tier; done
	@scripts/install-local $(BUILD)/release bin $(TIERS)

install:
	@scripts/install bin

test: build
	scripts/test

check-abi: requirements
	scripts/check-header
	scripts/check-abi

test-sanitize: requirements
	scripts/test-sanitize

test-sanitize-short: requirements
	scripts/test-sanitize --short

vm-test: build
	scripts/vm-test

crash-matrix: requirements
	scripts/crash-matrix

make-sessions: requirements
	scripts/make-sessions

bench-session: build
	$(SWIFT_BUILD) --product session-rates
	scripts/bench-session bin $(BUILD)/release/session-rates

bench-build: build
	@scripts/requirements sqlite3 default-jdk-headless python3-venv util-linux
	$(SWIFT_BUILD) --product store-bench

bench: bench-build
	scripts/bench --build $(abspath $(BUILD)) $(BENCH)

bench-docs: bench-build
	scripts/bench --build $(abspath $(BUILD)) --docs $(BENCH)

check-perf: build
	@scripts/requirements valgrind
	$(SWIFT_BUILD) --product instruction-count
	scripts/check-perf $(BUILD)/release/instruction-count bin/plugins/lz4.tier.so $(PERF)

clean:
	rm -rf $(BUILD) .build-test .build-sdk .build-tsan .build-asan bin
