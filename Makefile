# SPDX-License-Identifier: Apache-2.0
#
# A thin front for meson: each target installs the Debian packages it misses (packages.txt), builds, runs.
#
#   make               the program: build/tenon
#   make demo          backends, tenon in front, a failure; stays up until Ctrl-C   (ONCE=1: ends with a verdict)
#   make test          unit and system tests
#   make bench         tenon beside HAProxy, nginx and a bare relay                 (BENCH="--quick" etc.)
#   make fuzz          the fuzzers
#   make install       PREFIX=/usr/local, DESTDIR=
#   make clean

BUILD = build
PREFIX = /usr/local
MESON_ARGS =
BENCH =

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

# Options given on the command line reach a build folder that is already there, too.
$(BUILD)/build.ninja: | build-deps
	meson setup $(BUILD) --prefix=$(PREFIX) $(MESON_ARGS)

ifneq ($(MESON_ARGS),)
all: configure
configure: $(BUILD)/build.ninja
	@meson configure $(BUILD) $(MESON_ARGS)
endif

# build-deps, test-deps, …: the packages of a group
%-deps:
	@tools/deps $*

demo: demo-deps all
	@tools/demo

test: test-deps all
	@tools/test $(BUILD)

bench: bench-deps all
	@bench/run $(BENCH)

fuzz: fuzz-deps
	@tools/fuzz.sh

install: all
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD)

.NOTPARALLEL:  # one apt at a time; ninja and the tests use the processors
.PHONY: all configure demo test bench fuzz install clean
