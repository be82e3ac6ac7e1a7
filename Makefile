# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/bash
TIERS := lz4 zstd brotli aes-gcm swapfile
BUILD ?= .build
RELEASE := $(BUILD)/release

.PHONY: build run test test-sanitize test-sanitize-short requirements clean bench-cost

# What must be installed is checked, and installed from Debian's packages where we may.
requirements:
	@scripts/requirements

build: requirements
	swift build -c release --scratch-path $(BUILD) --product stowage
	@for tier in $(TIERS); do swift build -c release --scratch-path $(BUILD) --product $$tier-tier || exit 1; done
	@scripts/install-local $(RELEASE) bin $(TIERS)
