# badm.h needs no build: copy it. This file runs the examples, the tests and the checks; `make help` lists what there is.
# GNU make 3.81 or later, a C99 compiler and a POSIX shell are enough for `make run` and `make test`.

CFLAGS  ?= -O2
LDFLAGS ?=
DATA    ?=
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
JOBS    ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

INCLUDEDIR   = $(PREFIX)/include
SHAREDIR     = $(PREFIX)/share/badm
PKGCONFIGDIR = $(PREFIX)/share/pkgconfig

COMPILE  = $(CC) -std=c99 -I. $(CFLAGS) $(LDFLAGS)
LIBS     = -lpthread -lm
EXAMPLES = $(patsubst examples/%.c,$(BUILD)/%,$(wildcard examples/*.c))
TESTS    = $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
VERSION  = $(shell sed -n 's/^.define BADM_VERSION_STRING "\(.*\)"/\1/p' badm.h)

# `make test` alone uses all cores; `make -j3 test` uses 3.
PARALLEL = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))

.PHONY: all run test tests check ports ports-quick experiments bench bench-tasks bench-methods install uninstall sizes mutants coverage clean help

all: $(EXAMPLES)                ## build the examples into build/

run: $(BUILD)/digits            ## train digits with BADM and with Adam [DATA=folder with mnist/]
	$(BUILD)/digits $(DATA)

test:                           ## run the tests: a C compiler, make and a shell suffice
	@$(MAKE) -k --no-print-directory $(PARALLEL) tests || echo "a test program does not compile"
	@JOBS=$(JOBS) sh tests/run.sh $(BUILD)/tests $(DATA)

tests: $(TESTS)

check:                          ## compilers, C++, build options, sanitizers, static analysis, fuzzing
	@JOBS=$(JOBS) sh tests/check.sh $(ONLY)

ports:                          ## other processors and systems, mostly emulated: the same bits on all of them [ONLY=name...] [DATA=dir]
	@JOBS=$(JOBS) DATA=$(DATA) sh tests/ports.sh $(ONLY)

ports-quick:                    ## the part of `ports` that runs at every change
	@JOBS=$(JOBS) sh tests/ports.sh quick

experiments: $(BUILD)/experiments       ## the method's experiments; DATA=folder is needed
	sh bench/experiments.sh $(BUILD)/experiments $(DATA)

bench:                          ## speed against PyTorch, FANN, OpenBLAS; memory, size [ONLY=sgemm|speed|compile|...]
	@CC="$(CC)" BUILD="$(BUILD)" sh bench/bench.sh $(ONLY)

bench-tasks:                    ## whole tasks against PyTorch: language, images, generation, graphs DATA=dir [ONLY=lm|vae|...]
	@CC="$(CC)" BUILD="$(BUILD)" sh bench/tasks.sh tasks "$(DATA)" $(ONLY)

bench-methods:                  ## pdADMM, growing batches, aggregation by presence and their peers DATA=dir [ONLY=pdadmm|growth|...]
	@CC="$(CC)" BUILD="$(BUILD)" sh bench/tasks.sh methods "$(DATA)" $(ONLY)

sizes:                          ## flash, block, stack and instructions a step of programs that train, on small machines
	@sh tests/sizes.sh

mutants:                        ## plant 54 faults in badm.h one by one: does `make test` see them?
	@JOBS=$(JOBS) sh tests/mutants.sh $(RANGE)

coverage:                       ## which lines of badm.h the tests reach
	@JOBS=$(JOBS) sh tests/coverage.sh

install:                        ## badm.h, badm.c and badm.pc below [PREFIX=/usr/local] [DESTDIR=]
	mkdir -p $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(SHAREDIR) $(DESTDIR)$(PKGCONFIGDIR)
	cp badm.h $(DESTDIR)$(INCLUDEDIR)/badm.h
	cp badm.c LICENSE $(DESTDIR)$(SHAREDIR)/
	printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' '' 'Name: badm' \
	    'Description: neural networks that train themselves, in one C99 header' 'Version: $(VERSION)' \
	    'Cflags: -I$${includedir}' 'Libs: -lpthread' > $(DESTDIR)$(PKGCONFIGDIR)/badm.pc

uninstall:                      ## removes what install wrote
	rm -f $(DESTDIR)$(INCLUDEDIR)/badm.h $(DESTDIR)$(PKGCONFIGDIR)/badm.pc
	rm -f $(DESTDIR)$(SHAREDIR)/badm.c $(DESTDIR)$(SHAREDIR)/LICENSE
	-rmdir $(DESTDIR)$(SHAREDIR)

clean:                          ## remove build/
	rm -rf $(BUILD)

help:                           ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

$(BUILD)/%: examples/%.c badm.h $(wildcard examples/*.h)
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $< $(LIBS)

$(BUILD)/experiments: bench/experiments.c badm.h
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $< $(LIBS)

# tests/NAME_*.c, other builds of the library, are linked with tests/test_NAME.c. Tests that look inside the implementation have it in
# them, as much of it as they use; the others share one. An older program must not run in place of one that does not compile.
INSIDE = $(shell grep -lE 'badm_i_|BADM_I_' tests/test_*.c)
SHARED = $(if $(filter $<,$(INSIDE)),-DBADM_STATIC,-DBADM_IMPLEMENTED $(BUILD)/tests/badm.o)

.SECONDEXPANSION:
$(BUILD)/tests/test_%: tests/test_%.c $$(wildcard tests/$$*_*.c) badm.h $(wildcard tests/*.h tests/golden/*.h) $(BUILD)/tests/badm.o
	@mkdir -p $(@D) && rm -f $@
	$(COMPILE) -o $@ $(filter %.c,$^) $(SHARED) $(LIBS)

$(BUILD)/tests/badm.o: badm.c badm.h
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<
