/* A cache in this process's own memory, or in memory shared with children, for unit tests. */
#ifndef CAIRN_TESTS_UNIT_CACHE_FIXTURE_H
#define CAIRN_TESTS_UNIT_CACHE_FIXTURE_H

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "client/cache.h"
#include "client/cache_internal.h"

enum { FIXTURE_CLUSTER = 77, FIXTURE_OWNER = 3, FIXTURE_BOOT = 5, FIXTURE_SERVER = 2 };
#define FIXTURE_SESSION UINT64_C(0x1122334455667788)

struct cache_fixture {
    struct cache cache;
    void *memory;
    size_t bytes;
};

/* Shared with children that fork() makes. */
static inline void fixture_init(struct cache_fixture *fixture, size_t bytes)
{
    fixture->bytes = bytes;
    fixture->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(fixture->memory != MAP_FAILED);
    assert_int_equal(
        cache_format(fixture->memory, bytes, FIXTURE_CLUSTER, FIXTURE_OWNER, FIXTURE_BOOT), 0);
    assert_int_equal(cache_attach(&fixture->cache, fixture->memory, bytes, FIXTURE_CLUSTER,
                                  FIXTURE_OWNER, FIXTURE_BOOT, NULL),
                     0);
    cache_open_entries(&fixture->cache);
    cache_set_session(&fixture->cache, FIXTURE_SERVER, FIXTURE_SESSION, UINT64_MAX);
}

static inline void fixture_close(struct cache_fixture *fixture)
{
    assert_int_equal(munmap(fixture->memory, fixture->bytes), 0);
}

/* In a child that works until it is killed: also if the test fails before that. */
static inline void fixture_end_with_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
}

static inline uint64_t fixture_hash(const char *key)
{
    return hash_bytes(key, strlen(key));
}

/* Misses until the key is worth a grant. */
static inline bool fixture_note(const struct cache *cache, const char *key, struct cache_note *note)
{
    for (int i = 0; i < 200; i++)
        if (cache_note(cache, fixture_hash(key), FIXTURE_SERVER, 1, note))
            return true;
    return false;
}

static inline bool fixture_fill(const struct cache *cache, const struct cache_note *note,
                                const char *key, const void *value, size_t length)
{
    return cache_fill(cache, note, (const uint8_t *)key, strlen(key), fixture_hash(key), value,
                      length, 9, UINT64_MAX);
}

static inline bool fixture_put(const struct cache *cache, const char *key, const char *value)
{
    struct cache_note note;

    return fixture_note(cache, key, &note) && fixture_fill(cache, &note, key, value, strlen(value));
}

static inline bool fixture_get(const struct cache *cache, const char *key, struct cache_copy *copy)
{
    return cache_get(cache, (const uint8_t *)key, strlen(key), fixture_hash(key), copy);
}

#endif
