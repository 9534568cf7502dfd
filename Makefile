# SPDX-License-Identifier: BSD-2-Clause
# The front door (doc: README.md). Meson does the work; this file finds what is missing and names the targets.

BUILD   ?= build
PREFIX  ?= /usr/local
MESON   := $(BUILD)/build.ninja

.PHONY: all deps demo check bench install uninstall lint format clean

all: $(MESON)
	@ninja -C $(BUILD)
	@tools/outputs $(BUILD)

# Installs the Debian packages that are missing, and says which (tools/deps).
deps:
	@tools/deps build

$(MESON): meson.build
	@tools/deps build
	@meson setup $(BUILD) --prefix=$(PREFIX) >$(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

demo: all
	@tools/deps demo
	@tests/system/demo $(BUILD)

check: all
	@tools/deps check
	@tests/check $(BUILD)

bench: all
	@tools/deps bench
	@bench/run $(BUILD)

install: all
	@meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(DESTDIR))

# What `install` put there; the user and group `multistack` and /etc/multistack stay.
uninstall:
	@ninja -C $(BUILD) uninstall

lint: all
	@tools/deps check
	@tools/lint

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf $(BUILD)
