/* A store in a temporary directory, and short ways to apply entries to it; for test_server_*.c. */
#ifndef CAIRN_TESTS_STORE_FIXTURE_H
#define CAIRN_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "server/store.h"
#include "tests/lib/scratch.h"

enum { FIXTURE_PARTITIONS = 4 };

struct fixture {
    char directory[SCRATCH_PATH_MAX];
    struct store_options options;
    struct store *store;
    uint64_t log_time_ms; /* given to the next entries */
};

static inline void fixture_open(struct fixture *fixture)
{
    struct error error = {0};
    int code = store_open(&fixture->options, &fixture->store, &error);
    if (code != CAIRN_OK)
        fail_msg("store_open: %s", error.message);
}

static inline void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    scratch_create(fixture->directory);
    fixture->options = (struct store_options){
        .directory = fixture->directory, .partitions = FIXTURE_PARTITIONS, .map_bytes = 64 << 20};
    fixture->log_time_ms = 1000;
}

static inline void fixture_end(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
    scratch_remove(fixture->directory);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = malloc(sizeof(*fixture));
    CHECK(fixture != NULL); /* the compiler knows that it does not return */
    fixture_init(fixture);
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture_end(*state);
    free(*state);
    return 0;
}

/* Everything to LMDB, then closed and opened again. */
static inline void fixture_reopen(struct fixture *fixture)
{
    store_checkpoint_now(fixture->store);
    store_close(fixture->store);
    fixture_open(fixture);
}

/* The next entry of a partition. */
static inline struct entry *fixture_entry(struct fixture *fixture, uint32_t partition,
                                          enum command_kind kind, const void *key,
                                          uint32_t key_length, const void *value,
                                          uint32_t value_length)
{
    struct entry *entry = entry_create();
    assert_non_null(entry);
    entry->partition = partition;
    entry->kind = kind;
    entry->history = 1;
    entry->epoch = 1;
    entry->index = store_applied(fixture->store, partition)->index + 1;
    entry->log_time_ms = fixture->log_time_ms;
    if (key_length > 0) {
        entry->item = item_create(key, key_length, value, value_length);
        assert_non_null(entry->item);
    }
    return entry;
}

/* Applies and frees the entry. */
static inline struct outcome fixture_apply(struct fixture *fixture, struct entry *entry)
{
    struct outcome outcome;
    assert_int_equal(store_apply(fixture->store, entry, &outcome), CAIRN_OK);
    entry_free(entry);
    return outcome;
}

static inline struct entry *text_entry(struct fixture *fixture, enum command_kind kind,
                                       const char *key, const char *value)
{
    return fixture_entry(fixture, 0, kind, key, (uint32_t)strlen(key), value,
                         value == NULL ? 0 : (uint32_t)strlen(value));
}

static inline struct outcome put(struct fixture *fixture, const char *key, const char *value)
{
    return fixture_apply(fixture, text_entry(fixture, COMMAND_PUT, key, value));
}

static inline struct outcome put_ttl(struct fixture *fixture, const char *key, const char *value,
                                     uint64_t ttl_ms)
{
    struct entry *entry = text_entry(fixture, COMMAND_PUT, key, value);
    entry->ttl_ms = ttl_ms;
    return fixture_apply(fixture, entry);
}

static inline struct outcome put_if(struct fixture *fixture, const char *key, const char *value,
                                    uint64_t version)
{
    struct entry *entry = text_entry(fixture, COMMAND_PUT, key, value);
    entry->conditional = true;
    entry->if_version = version;
    return fixture_apply(fixture, entry);
}

static inline struct outcome swap(struct fixture *fixture, const char *key, const char *value)
{
    return fixture_apply(fixture, text_entry(fixture, COMMAND_SWAP, key, value));
}

static inline struct outcome delete_key(struct fixture *fixture, const char *key)
{
    return fixture_apply(fixture, text_entry(fixture, COMMAND_DELETE, key, NULL));
}

static inline void noop(struct fixture *fixture)
{
    fixture_apply(fixture, fixture_entry(fixture, 0, COMMAND_NOOP, NULL, 0, NULL, 0));
}

/* The value of a key as text, or NULL; static storage. */
static inline const char *get_text(struct fixture *fixture, const char *key)
{
    static char text[256];
    struct store_value value;
    int code = store_get(fixture->store, 0, (const uint8_t *)key, (uint32_t)strlen(key), &value);
    if (code == CAIRN_ENOTFOUND)
        return NULL;
    assert_int_equal(code, CAIRN_OK);
    assert_true(value.length < sizeof(text));
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    return text;
}

static inline uint64_t get_version(struct fixture *fixture, const char *key)
{
    struct store_value value;
    return store_get(fixture->store, 0, (const uint8_t *)key, (uint32_t)strlen(key), &value) == 0
               ? value.version
               : 0;
}

/* Where the state lies when a test looks at it: each test of reads runs in all of them. */
enum layer { IN_MEMTABLE, IN_FROZEN, IN_LMDB, AFTER_REOPEN, LAYER_COUNT };

/* Brings all that was applied into the layer. IN_FROZEN leaves a checkpoint unfinished. */
static inline void settle_in(struct fixture *fixture, enum layer layer)
{
    if (layer == IN_FROZEN) {
        store_end_turn(fixture->store);
        /* The thread may still free the last one's memtables; nothing may have changed. */
        for (int tries = 0; tries < 100 && !store_checkpoint_running(fixture->store); tries++) {
            if (!store_checkpoint_start(fixture->store))
                usleep(1000);
        }
    } else if (layer == IN_LMDB) {
        store_checkpoint_now(fixture->store);
    } else if (layer == AFTER_REOPEN) {
        fixture_reopen(fixture);
    }
}

#endif
