# SPDX-License-Identifier: Apache-2.0
#
#   make run            builds everything and runs the main job, `stowage trial`
#   make build          bin/stowage and bin/plugins/*.tier.so
#   make test           all tests
#   make test-sanitize  the engine's tests under ThreadSanitizer and AddressSanitizer; -short: as CI runs them
#   make bench-cost     the engine's cost beside the bare codec, over real pages
#   make clean
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

TIERS := lz4 zstd brotli aes-gcm swapfile
BUILD ?= .build
SWIFT_BUILD := swift build -c release --scratch-path $(BUILD)

.PHONY: run build test test-sanitize test-sanitize-short bench-cost requirements clean

run: build
	bin/stowage trial

requirements:
	@scripts/requirements

build: requirements
	$(SWIFT_BUILD) --product stowage
	for tier in $(TIERS); do $(SWIFT_BUILD) --product $$tier-tier; done
	@scripts/install-local $(BUILD)/release bin $(TIERS)

test: build
	scripts/test

test-sanitize: requirements
	scripts/test-sanitize

test-sanitize-short: requirements
	scripts/test-sanitize --short

bench-cost: build
	$(SWIFT_BUILD) --product engine-cost
	scripts/bench-cost bin $(BUILD)/release/engine-cost

clean:
	rm -rf $(BUILD) .build-test .build-sdk .build-tsan .build-asan bin
