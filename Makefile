# Builds Cairn. `make` leaves the programs in bin/; `make help` lists the targets.
#
#   make VARIANT=release|debug|asan|ubsan|tsan|cov     objects under build/<variant>/
#   make install PREFIX=/usr/local DESTDIR=...
#
# One static library per module, in the order of the dependency rule of ARCHITECTURE.md.

VARIANT ?= release
BUILD   ?= build
BIN     ?= bin
PREFIX  ?= /usr/local
OUT     := $(BUILD)/$(VARIANT)
GEN     := $(OUT)/gen
CC      ?= gcc
VERSION := $(shell cat VERSION)

ifeq ($(origin CC),default)
CC := gcc
endif

PACKAGES := libuv liburing libxxhash libbsd libtirpc lmdb libprotobuf-c libedit jansson
PKG_CFLAGS := $(shell pkg-config --cflags libtirpc libuv liburing libxxhash lmdb libprotobuf-c libedit jansson)

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wold-style-definition -Wpointer-arith -Wundef -Wformat=2 -Wvla -Wwrite-strings \
            -Wimplicit-fallthrough -Wdouble-promotion -Wnull-dereference -Werror
VARIANT_FLAGS_release := -O2 -fstack-protector-strong
VARIANT_FLAGS_debug   := -O0
VARIANT_FLAGS_asan    := -O1 -fsanitize=address -fno-omit-frame-pointer
VARIANT_FLAGS_ubsan   := -O1 -fsanitize=undefined -fno-sanitize-recover=all
VARIANT_FLAGS_tsan    := -O1 -fsanitize=thread
VARIANT_FLAGS_cov     := -O0 --coverage
# For libFuzzer, by clang alone: what it instruments, and whatever sanitizers can see.
VARIANT_FLAGS_fuzz    := -O1 -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all \
                         -fno-omit-frame-pointer
ifeq ($(origin VARIANT_FLAGS_$(VARIANT)),undefined)
$(error VARIANT=$(VARIANT) is none of: release debug asan ubsan tsan cov fuzz)
endif

BASE_CFLAGS := -std=c11 -D_GNU_SOURCE -g -pthread -fPIC -fvisibility=hidden $(VARIANT_FLAGS_$(VARIANT)) \
               -iquote . -iquote $(GEN) $(PKG_CFLAGS) -DCAIRN_VERSION='"$(VERSION)"'
ALL_CFLAGS  := $(BASE_CFLAGS) $(WARNINGS) $(CFLAGS)
# What generators emit is not ours to make warning-free.
GEN_CFLAGS  := $(BASE_CFLAGS) -w
LINK        := $(CC) -pthread $(VARIANT_FLAGS_$(VARIANT)) $(LDFLAGS)

LIBS_base    := -lxxhash
LIBS_proto   := -ltirpc -lprotobuf-c
LIBS_wal     := -luring
LIBS_rpc     := -luv
LIBS_server  := -llmdb -lbsd
LIBS_client  := -ledit -ljansson
# What the stores take that are measured beside Cairn.
LIBS_bench   := -lhiredis -lnghttp2 -llmdb
LIBS_fuzz    := -ljansson

# --- sources -------------------------------------------------------------------------------
XDR_NAMES   := server manager replica cache
PB_NAMES    := proto/durable bench/etcd
GEN_HEADERS := $(XDR_NAMES:%=$(GEN)/proto/%_rpc.h) $(PB_NAMES:%=$(GEN)/%.pb-c.h)
GEN_OBJECTS := $(XDR_NAMES:%=$(GEN)/proto/%_xdr.o) $(PB_NAMES:%=$(GEN)/%.pb-c.o)

MODULES := base proto wal rpc replica server manager client bench fuzz
# A module's main programs are its main*.c and cli files; all else goes into its library.
MAINS_server  := server/main.c
MAINS_manager := manager/main.c
MAINS_client  := $(wildcard client/cli*.c)
MAINS_bench   := bench/main.c
MAINS_fuzz    := fuzz/main.c
define MODULE_RULES
SOURCES_$(1) := $$(filter-out $$(MAINS_$(1)),$$(wildcard $(1)/*.c))
OBJECTS_$(1) := $$(patsubst %.c,$$(OUT)/%.o,$$(SOURCES_$(1)))
endef
$(foreach m,$(MODULES),$(eval $(call MODULE_RULES,$(m))))
OBJECTS_proto += $(filter $(GEN)/proto/%,$(GEN_OBJECTS))
OBJECTS_bench += $(filter $(GEN)/bench/%,$(GEN_OBJECTS))

LIB = $(OUT)/lib$(1).a
# Link order follows the dependency direction: users first.
ARCHIVES_proto   := $(foreach m,proto base,$(call LIB,$(m)))
ARCHIVES_base    := $(call LIB,base)
ARCHIVES_wal     := $(foreach m,wal proto base,$(call LIB,$(m)))
ARCHIVES_rpc     := $(foreach m,rpc proto base,$(call LIB,$(m)))
ARCHIVES_replica := $(foreach m,replica base,$(call LIB,$(m)))
ARCHIVES_server  := $(foreach m,server replica wal rpc proto base,$(call LIB,$(m)))
ARCHIVES_manager := $(foreach m,manager wal rpc proto base,$(call LIB,$(m)))
ARCHIVES_client  := $(foreach m,client rpc proto base,$(call LIB,$(m)))
ARCHIVES_bench   := $(foreach m,bench client rpc proto base,$(call LIB,$(m)))
ARCHIVES_fuzz    := $(foreach m,fuzz client rpc proto base,$(call LIB,$(m)))
# What unit tests of tests/crash link with.
ARCHIVES_crash   := $(patsubst %,$(OUT)/tests/crash/%.o,disk image marks) $(call LIB,base)
LINK_LIBS_base    := $(LIBS_base)
LINK_LIBS_proto   := $(LIBS_proto) $(LIBS_base)
LINK_LIBS_wal     := $(LIBS_wal) $(LINK_LIBS_proto)
LINK_LIBS_rpc     := $(LIBS_rpc) $(LINK_LIBS_proto)
LINK_LIBS_replica := $(LIBS_base)
LINK_LIBS_crash   := $(LIBS_base)
LINK_LIBS_server  := $(LIBS_server) $(LIBS_wal) $(LINK_LIBS_rpc)
LINK_LIBS_manager := $(LIBS_wal) $(LINK_LIBS_rpc)
LINK_LIBS_client  := $(LIBS_client) $(LINK_LIBS_rpc)
LINK_LIBS_bench   := $(LIBS_bench) $(LIBS_client) -lm $(LINK_LIBS_rpc)
LINK_LIBS_fuzz    := $(LIBS_fuzz) $(LINK_LIBS_client)

PROGRAMS := cairn-server cairn-manager cairn cairn-bench cairn-fuzz
LIBRARIES := $(OUT)/libcairn.a $(OUT)/libcairn.so.0

.PHONY: all help unit clean install uninstall
all: $(PROGRAMS:%=$(BIN)/%) $(BIN)/cairn-nemesis.so $(LIBRARIES)

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

# --- compiling -------------------------------------------------------------------------------
$(OUT)/%.o: %.c Makefile | $(GEN_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# Numbers are taken inline.
$(GEN)/proto/%_xdr.o: GEN_CFLAGS += -include proto/words.h

$(GEN)/%.o: $(GEN)/%.c Makefile | $(GEN_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(GEN_CFLAGS) -MMD -MP -c $< -o $@

# rpcgen refuses to overwrite; it runs in proto/ so that its #include names stay bare.
$(GEN)/proto/%_rpc.h: proto/%.x
	@mkdir -p $(@D)
	@rm -f $@
	rpcgen -C -M -DCAIRN_VIEWS -h -o $@ $<

$(GEN)/proto/%_xdr.c: proto/%.x $(GEN)/proto/%_rpc.h
	@rm -f $@
	rpcgen -C -M -DCAIRN_VIEWS -c -o $@ $<
	@sed -i 's|^#include ".*/\?$*.h"|#include "proto/$*_rpc.h"|' $@

$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h: %.proto
	@mkdir -p $(@D)
	protoc-c --c_out=$(GEN) $<

define ARCHIVE_RULE
$$(OUT)/lib$(1).a: $$(OBJECTS_$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call ARCHIVE_RULE,$(m))))

# Keep what the generators made: it is read in debuggers and by other rules.
.SECONDARY: $(GEN_HEADERS) $(XDR_NAMES:%=$(GEN)/proto/%_xdr.c) $(PB_NAMES:%=$(GEN)/%.pb-c.c)

# --- programs ----------------------------------------------------------------------------------
define PROGRAM_RULE
$$(OUT)/bin/$(1): $$(patsubst %.c,$$(OUT)/%.o,$$(MAINS_$(2))) $$(ARCHIVES_$(2))
	@mkdir -p $$(@D)
	$$(LINK) $$^ $$(LINK_LIBS_$(2)) -o $$@
$$(BIN)/$(1): $$(OUT)/bin/$(1)
	@mkdir -p $$(@D)
	@cp -f $$< $$@.tmp && mv -f $$@.tmp $$@
endef
$(eval $(call PROGRAM_RULE,cairn-server,server))
$(eval $(call PROGRAM_RULE,cairn-manager,manager))
$(eval $(call PROGRAM_RULE,cairn,client))
$(eval $(call PROGRAM_RULE,cairn-bench,bench))
$(eval $(call PROGRAM_RULE,cairn-fuzz,fuzz))

# What cairn-fuzz preloads into the nodes of its clusters. In the same way for all variants: it stands
# before the C library, where a sanitizer's runtime is not up yet.
NEMESIS_PRELOAD := $(wildcard fuzz/preload/*.c)
$(OUT)/cairn-nemesis.so: $(NEMESIS_PRELOAD) $(wildcard fuzz/preload/*.h) Makefile
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -fPIC -fvisibility=hidden -shared $(WARNINGS) -iquote . \
	    $(NEMESIS_PRELOAD) -ldl -o $@
$(BIN)/cairn-nemesis.so: $(OUT)/cairn-nemesis.so
	@mkdir -p $(@D)
	@cp -f $< $@.tmp && mv -f $@.tmp $@

# --- libcairn ----------------------------------------------------------------------------------------
# One relocatable object with the client and what it needs of the modules below. All names but the
# public ones are hidden; made local, none of them can clash with a user's or be reached by one.
LIBCAIRN_LIBS := -ljansson $(LINK_LIBS_rpc)
# Sanitizers leave their own names to the program.
LIBCAIRN_DEFS_release := -Wl,--no-undefined
LIBCAIRN_DEFS_debug   := -Wl,--no-undefined

$(OUT)/libcairn.o: $(ARCHIVES_client)
	$(CC) $(VARIANT_FLAGS_$(VARIANT)) -nostdlib -r -Wl,--whole-archive $< -Wl,--no-whole-archive \
	    -Wl,--start-group $(filter-out $<,$^) -Wl,--end-group -o $@.tmp
	objcopy --localize-hidden $@.tmp $@
	@rm -f $@.tmp

$(OUT)/libcairn.a: $(OUT)/libcairn.o
	@rm -f $@
	ar rcs $@ $<

$(OUT)/libcairn.so.0: $(OUT)/libcairn.o
	$(LINK) -shared -Wl,-soname,libcairn.so.0 -Wl,-z,now $(LIBCAIRN_DEFS_$(VARIANT)) $< $(LIBCAIRN_LIBS) -o $@

$(OUT)/cairn.pc: client/cairn.pc.in VERSION FORCE
	@mkdir -p $(@D)
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@
.PHONY: FORCE
FORCE:

## make install         programs, what cairn-fuzz preloads, library, header, cairn.pc, man page and
##                      YCSB's workloads under PREFIX [/usr/local];
##                      DESTDIR goes in front of every path
INSTALL_DIR := $(DESTDIR)$(PREFIX)
install: all $(OUT)/cairn.pc
	install -d $(INSTALL_DIR)/bin $(INSTALL_DIR)/include $(INSTALL_DIR)/lib/pkgconfig \
	    $(INSTALL_DIR)/lib/cairn $(INSTALL_DIR)/share/man/man1 $(INSTALL_DIR)/share/cairn/workloads
	install -m 755 $(PROGRAMS:%=$(BIN)/%) $(INSTALL_DIR)/bin
	install -m 755 $(BIN)/cairn-nemesis.so $(INSTALL_DIR)/lib/cairn
	install -m 644 client/cairn.h $(INSTALL_DIR)/include
	install -m 644 $(OUT)/libcairn.a $(INSTALL_DIR)/lib
	install -m 755 $(OUT)/libcairn.so.0 $(INSTALL_DIR)/lib
	ln -sf libcairn.so.0 $(INSTALL_DIR)/lib/libcairn.so
	install -m 644 $(OUT)/cairn.pc $(INSTALL_DIR)/lib/pkgconfig
	install -m 644 client/cairn.1 $(INSTALL_DIR)/share/man/man1
	install -m 644 bench/workloads/workload* $(INSTALL_DIR)/share/cairn/workloads

## make uninstall       removes what install put there
uninstall:
	rm -f $(PROGRAMS:%=$(INSTALL_DIR)/bin/%) $(INSTALL_DIR)/include/cairn.h \
	    $(INSTALL_DIR)/lib/libcairn.a $(INSTALL_DIR)/lib/libcairn.so.0 \
	    $(INSTALL_DIR)/lib/libcairn.so $(INSTALL_DIR)/lib/pkgconfig/cairn.pc \
	    $(INSTALL_DIR)/share/man/man1/cairn.1 $(INSTALL_DIR)/lib/cairn/cairn-nemesis.so
	rm -f $(patsubst bench/%,$(INSTALL_DIR)/share/cairn/%,$(wildcard bench/workloads/*))
	rmdir $(INSTALL_DIR)/share/cairn/workloads $(INSTALL_DIR)/share/cairn $(INSTALL_DIR)/lib/cairn \
	    2>/dev/null || true

# --- unit tests: one cmocka program per tests/unit/test_<module>_<behaviour>.c --------------------
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS   := $(patsubst tests/unit/%.c,$(OUT)/tests/%,$(UNIT_SOURCES))
# Programs that tests run; all other files of tests/lib are linked into every unit test.
TEST_MAINS   := tests/lib/check_history.c
TEST_LIB     := $(patsubst %.c,$(OUT)/%.o,$(filter-out $(TEST_MAINS),$(wildcard tests/lib/*.c)))
unit_of       = $(filter $(OUT)/tests/test_$(1)_%,$(UNIT_TESTS))
module_of     = $(word 2,$(subst _, ,$(notdir $(1))))
UNIT_MODULES := $(sort $(foreach test,$(UNIT_TESTS),$(call module_of,$(test))))

.SECONDEXPANSION:
$(OUT)/tests/%: $(OUT)/tests/unit/%.o $(TEST_LIB) $$(ARCHIVES_$$(call module_of,%))
	@mkdir -p $(@D)
	$(LINK) $^ $(LINK_LIBS_$(call module_of,$*)) -lcmocka -o $@

$(OUT)/tests/check-history: $(OUT)/tests/lib/check_history.o $(ARCHIVES_fuzz)
	@mkdir -p $(@D)
	$(LINK) $^ $(LINK_LIBS_fuzz) -o $@

# The nemesis without clients, for tests of the nemesis.
$(OUT)/tests/drive-nemesis: $(OUT)/tests/nemesis/drive.o $(ARCHIVES_fuzz)
	@mkdir -p $(@D)
	$(LINK) $^ $(LINK_LIBS_fuzz) -o $@
## make nemesis-tests   the program with which tests/integration/test_fuzz_nemesis.py works
.PHONY: nemesis-tests
nemesis-tests: $(OUT)/tests/drive-nemesis $(BIN)/cairn-nemesis.so

# A program that uses the library as hard as it can, for tests of the shared cache.
CACHE_CLIENT := $(patsubst %.c,$(OUT)/%.o,$(wildcard tests/lib/cache_client/*.c))
$(OUT)/tests/cache-client: $(CACHE_CLIENT) $(OUT)/libcairn.a $(OUT)/libbase.a
	@mkdir -p $(@D)
	$(LINK) $^ $(LIBCAIRN_LIBS) -o $@

# The same and a server that break a rule of the cache: which, CACHE_BROKEN_RULE says as base/rules.h
# does. Only what looks at the switch is compiled anew; the linker takes it before the archives.
BREAKABLE := $(shell grep -l RULE_BROKEN server/*.c client/*.c replica/*.c)
BROKEN_OUT := $(OUT)/broken
$(BROKEN_OUT)/%.o: %.c Makefile | $(GEN_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DCAIRN_BREAK_RULES -MMD -MP -c $< -o $@
BROKEN_SWITCH := $(BROKEN_OUT)/tests/lib/cache_client/broken/switch.o
$(OUT)/tests/cache-client-broken: $(CACHE_CLIENT) $(BROKEN_SWITCH) \
    $(patsubst %.c,$(BROKEN_OUT)/%.o,$(filter client/%,$(BREAKABLE))) $(ARCHIVES_client)
	@mkdir -p $(@D)
	$(LINK) $^ $(LINK_LIBS_client) -o $@
$(OUT)/tests/cairn-server-broken: $(OUT)/server/main.o $(BROKEN_SWITCH) \
    $(patsubst %.c,$(BROKEN_OUT)/%.o,$(filter server/% replica/%,$(BREAKABLE))) $(ARCHIVES_server)
	@mkdir -p $(@D)
	$(LINK) $^ $(LINK_LIBS_server) -o $@
$(OUT)/tests/cairn-fuzz-broken: $(OUT)/fuzz/main.o $(BROKEN_SWITCH) \
    $(patsubst %.c,$(BROKEN_OUT)/%.o,$(filter client/%,$(BREAKABLE))) $(ARCHIVES_fuzz)
	@mkdir -p $(@D)
	$(LINK) $^ $(LINK_LIBS_fuzz) -o $@
## make fuzz-tests      the programs with which tests/integration/test_fuzz.py and tools/fuzz-selftest work
.PHONY: fuzz-tests
fuzz-tests: $(addprefix $(OUT)/tests/,check-history cairn-fuzz-broken cairn-server-broken)
## make cache-tests     the programs with which tests/integration/test_cache* work
.PHONY: cache-tests
cache-tests: $(addprefix $(OUT)/tests/,check-history cache-client cache-client-broken cairn-server-broken)

# Crash images: what a run writes is recorded by a preloaded library; a server's recovery, or the
# manager's, starts on what power losses may leave of it.
CRASH_COMMON := $(patsubst %.c,$(OUT)/tests/crash/%.o,main.c tries.c disk.c image.c recording.c)
$(OUT)/tests/crash-images: $(CRASH_COMMON) $(OUT)/tests/crash/recovery.o $(OUT)/tests/crash/marks.o \
                           $(ARCHIVES_server)
	@mkdir -p $(@D)
	$(LINK) $^ $(LINK_LIBS_server) -o $@
$(OUT)/tests/crash-images-manager: $(CRASH_COMMON) $(OUT)/tests/crash/manager/recovery.o $(ARCHIVES_manager)
	@mkdir -p $(@D)
	$(LINK) $^ $(LINK_LIBS_manager) -o $@
$(OUT)/tests/disk-record.so: $(OUT)/tests/lib/preload/disk_record.o
	@mkdir -p $(@D)
	$(LINK) -shared $^ -ldl -o $@
## make crash-tests     the programs with which tests/integration/test_crash_images.py works
.PHONY: crash-tests
crash-tests: $(OUT)/tests/crash-images $(OUT)/tests/crash-images-manager $(OUT)/tests/disk-record.so

# --- the simulator: the cores compiled once more, with the switches that break a rule ---------------
SIM_OUT     := $(OUT)/sim
SIM_CORES   := $(wildcard replica/*.c) \
               $(filter-out manager/main.c manager/driver.c manager/directory.c manager/log.c manager/replies.c, \
                            $(wildcard manager/*.c)) \
               $(addprefix server/,apply.c session.c store_session.c memtable.c key_index.c value.c entry.c) \
               $(wildcard server/lease*.c client/cache*.c) client/host_session.c
SIM_OBJECTS := $(patsubst %.c,$(SIM_OUT)/%.o,$(wildcard tests/sim/*.c) $(SIM_CORES))
$(SIM_OUT)/%.o: %.c Makefile | $(GEN_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DCAIRN_BREAK_RULES -MMD -MP -c $< -o $@
$(OUT)/tests/sim: $(SIM_OBJECTS) $(OUT)/libfuzz.a $(ARCHIVES_proto)
	@mkdir -p $(@D)
	$(LINK) $^ $(LIBS_fuzz) $(LINK_LIBS_proto) -lbsd -o $@
## make sim             the simulator, in $(OUT)/tests/sim
.PHONY: sim
sim: $(OUT)/tests/sim

# --- decoders under fuzz: one target per tests/fuzz/fuzz_<module>_<name>.c --------------------------
# feed-TARGET takes files; fuzz-TARGET is the same objects under libFuzzer, VARIANT=fuzz CC=clang.
DECODERS    := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
DECODER_LIB := $(OUT)/tests/fuzz/libfuzz-targets.a
DECODER_MODULE = $(firstword $(subst _, ,$(1)))
$(DECODER_LIB): $(patsubst %.c,$(OUT)/%.o,$(filter-out tests/fuzz/lib/feed.c,$(wildcard tests/fuzz/lib/*.c)))
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^
$(OUT)/decoders/feed-%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/tests/fuzz/lib/feed.o $(DECODER_LIB) \
    $$(ARCHIVES_$$(call DECODER_MODULE,%))
	@mkdir -p $(@D)
	$(LINK) $^ $(LINK_LIBS_$(call DECODER_MODULE,$*)) -o $@
$(OUT)/decoders/fuzz-%: $(OUT)/tests/fuzz/fuzz_%.o $(DECODER_LIB) $$(ARCHIVES_$$(call DECODER_MODULE,%))
	@mkdir -p $(@D)
	$(LINK) -fsanitize=fuzzer $^ $(LINK_LIBS_$(call DECODER_MODULE,$*)) -o $@
## make fuzz-targets    every decoder under libFuzzer, in $(BUILD)/fuzz/decoders; needs clang's runtime
## make feed-targets    the same without a fuzzer: programs that take the files of a corpus
## make feed-corpus     gives each its corpus, tests/fuzz/corpus
.PHONY: fuzz-targets feed-targets feed-corpus print-decoders
fuzz-targets:
	@$(MAKE) CC=clang VARIANT=fuzz $(DECODERS:%=$(BUILD)/fuzz/decoders/fuzz-%)
feed-targets: $(DECODERS:%=$(OUT)/decoders/feed-%)
feed-corpus: feed-targets
	@tools/feed-corpus $(OUT)/decoders $(DECODERS)
print-decoders: ; @echo $(DECODERS)
.SECONDARY: $(DECODERS:%=$(OUT)/tests/fuzz/fuzz_%.o) $(OUT)/tests/fuzz/lib/feed.o

# --- the plain rpcgen client of the tests: stubs generated without our views -----------------------
PLAIN := $(GEN)/plain
RPCGEN_CLIENT := $(OUT)/tests/lib/rpcgen_client/main.o $(PLAIN)/server_xdr.o $(PLAIN)/server_clnt.o
$(PLAIN)/server_rpc.h: proto/server.x
	@mkdir -p $(@D)
	@rm -f $@
	rpcgen -C -M -h -o $@ $<

$(PLAIN)/server_xdr.c $(PLAIN)/server_clnt.c: $(PLAIN)/server_%.c: proto/server.x $(PLAIN)/server_rpc.h
	@rm -f $@
	rpcgen -C -M $(if $(filter xdr,$*),-c,-l) -o $@ $<
	@sed -i 's|^#include ".*/\?server.h"|#include "plain/server_rpc.h"|' $@

$(RPCGEN_CLIENT): | $(PLAIN)/server_rpc.h
$(OUT)/tests/rpcgen-client: $(RPCGEN_CLIENT)
	@mkdir -p $(@D)
	$(LINK) $^ -ltirpc -o $@
$(OUT)/tests/test_rpc_rpcgen: | $(OUT)/tests/rpcgen-client

# --- clients of released versions: stubs of their own .x files --------------------------------------
RELEASES := $(notdir $(wildcard proto/released/*))
RELEASED := $(GEN)/released
$(RELEASED)/%_rpc.h: proto/released/%.x
	@mkdir -p $(@D)
	@rm -f $@
	rpcgen -C -M -h -o $@ $<

$(RELEASED)/%_xdr.c: proto/released/%.x $(RELEASED)/%_rpc.h
	@rm -f $@
	rpcgen -C -M -c -o $@ $<
	@sed -i 's|^#include ".*/\?$(*F).h"|#include "released/$*_rpc.h"|' $@

$(RELEASED)/%_clnt.c: proto/released/%.x $(RELEASED)/%_rpc.h
	@rm -f $@
	rpcgen -C -M -l -o $@ $<
	@sed -i 's|^#include ".*/\?$(*F).h"|#include "released/$*_rpc.h"|' $@

define RELEASED_CLIENT
$(OUT)/tests/released-$(2)-$(1): tests/released/client/$(2)_calls.c $(RELEASED)/$(1)/$(2)_xdr.o \
                                 $(RELEASED)/$(1)/$(2)_clnt.o
	@mkdir -p $$(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -iquote $(RELEASED)/$(1) $$^ -ltirpc -o $$@
released-clients: $(OUT)/tests/released-$(2)-$(1)
endef
## make released-clients  clients of released versions, for tests/integration/test_released_clients.py
.PHONY: released-clients
$(foreach v,$(RELEASES),$(foreach p,server manager,$(eval $(call RELEASED_CLIENT,$(v),$(p)))))

unit-build: $(UNIT_TESTS)
	@:
## make unit            build and run all unit tests
unit: $(UNIT_TESTS)
	@tools/run-unit $(UNIT_TESTS)
## make unit-MODULE     those of one module
unit-%: $$(call unit_of,$$*)
	@[ -n "$^" ] || { echo "ERROR: '$*' has no unit tests; these have: $(UNIT_MODULES)" >&2; exit 2; }
	@tools/run-unit $^

clean:
	rm -rf $(BUILD) $(BIN)

# --- for people: the recipes of the Justfile that take no arguments ----------------------------------
.PHONY: deps build up down kill testcase test demo report report-full report-details print-unit-tests
## make build           the programs, on all processors
build:
	@$(MAKE) -j"$$(nproc)" all
## make deps            installs what building and testing need
deps:
	tools/install-deps
## make up | down       a local cluster of three servers in the background; data in ./data
up: all
	@tools/cluster.sh up
down:
	@tools/cluster.sh down
## make kill            ends every process that this checkout started
kill:
	@tools/cluster.sh kill
## make testcase        the scripted case: a crash of one of three servers, and recovery
testcase: all
	@tests/integration/run --steps test_testcase
## make report          report/report.md with plots: measures what is missing, takes the rest from report/data/
report: all
	@tools/report
## make report-full     the same, everything measured anew
report-full: all
	@tools/report --full
## make report-details  report/*.md beside it: speed and memory beside Redis', failover, the cache
report-details: all
	tools/bench-against-redis speed
	tools/bench-against-redis replication
	tools/bench-against-redis recovery
	tools/bench-against-redis memory
	tools/bench-replication failover
	tools/bench-replication manager-down
	tools/bench-replication catch-up
	tools/bench-cache
## make test | demo     ./run_tests.sh, ./run_demo.sh
test:
	./run_tests.sh
demo:
	./run_demo.sh
print-unit-tests: ; @echo $(UNIT_TESTS)

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
