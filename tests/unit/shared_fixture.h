/* What the client's tests of the shared cache have in common: segments of their own, which go when
 * the test ends, and waiting for what the agent's thread does. */
#ifndef CAIRN_TESTS_UNIT_SHARED_FIXTURE_H
#define CAIRN_TESTS_UNIT_SHARED_FIXTURE_H

#include "tests/unit/client_fixture.h"

#include <unistd.h>

#include "base/clock.h"
#include "client/handle.h"
#include "client/host_internal.h"
#include "client/segment.h"

enum { SHARED_LONG_MS = 20000, SHARED_BYTES = 4 << 20, SHARED_WAIT_MS = 15000 };

static char shared_name[SEGMENT_NAME_LIMIT + 1];
static unsigned shared_tests;

static bool shared_unlink(void *context, const struct segment_listing *listing)
{
    (void)context;
    if (strcmp(listing->name, shared_name) == 0) {
        (void)segment_unlink(listing->path);
    }
    return true;
}

static inline int shared_setup_as(void **state, bool old)
{
    snprintf(shared_name, sizeof(shared_name), "test-%ld-%u", (long)getpid(), shared_tests++);
    *state = fake_start_as(old);
    return 0;
}

static inline int shared_setup(void **state)
{
    return shared_setup_as(state, false);
}

static int shared_teardown(void **state)
{
    segment_list(shared_unlink, NULL);
    fake_stop(*state);
    return 0;
}

static inline cairn_t *shared_open_at(const char *managers, int no_agent)
{
    const struct cairn_options options = {.timeout_ms = SHARED_LONG_MS,
                                          .cache_bytes = SHARED_BYTES,
                                          .cache_name = shared_name,
                                          .no_agent = no_agent};
    cairn_t *db = NULL;

    assert_int_equal(cairn_open(managers, &options, &db), CAIRN_OK);
    return db;
}

static inline cairn_t *shared_open(const struct fake *fake, int no_agent)
{
    char text[ADDRESS_TEXT_MAX];

    return shared_open_at(address_format(&fake->manager_address, text), no_agent);
}

static inline const char *shared_get(cairn_t *db, const char *key)
{
    static char value[64];

    assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_OK);
    return value;
}

/* Waits until the fake's counter is that large. */
static inline void shared_await(struct fake *fake, const unsigned *count, unsigned least)
{
    uint64_t end_ms = clock_now_ms() + SHARED_WAIT_MS;

    while (fake_count(fake, count) < least) {
        assert_true(clock_now_ms() < end_ms);
        clock_sleep_ms(2);
    }
}

static inline bool shared_is_live(const cairn_t *db, uint32_t server)
{
    const struct cache *segment = handle_cache_segment(db);

    return segment != NULL && cache_session(segment, server, clock_now_ms()) != 0;
}

static inline void shared_await_live(const cairn_t *db, uint32_t server, bool live)
{
    uint64_t end_ms = clock_now_ms() + SHARED_WAIT_MS;

    while (shared_is_live(db, server) != live) {
        assert_true(clock_now_ms() < end_ms);
        clock_sleep_ms(2);
    }
}

/* Reads so much that the process is worth an agent, and waits until the agent has all sessions. */
static inline void shared_agent(struct fake *fake, cairn_t *db)
{
    char key[32];
    char value[8];

    fake_key(fake, 0, 99, key);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_ENOTFOUND);
    }
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        shared_await_live(db, i, true);
    }
}

/* Puts a value and reads it until it is in the cache: no server is called any more. */
static inline void shared_warm(struct fake *fake, cairn_t *db, uint32_t server, const char *key,
                               const char *value)
{
    const unsigned *granted = &fake->servers[server].host.granted;
    unsigned before = fake_count(fake, granted);

    assert_int_equal(fake_put(db, key, value), CAIRN_OK);
    for (int i = 0; i < 20 && fake_count(fake, granted) == before; i++) {
        assert_string_equal(shared_get(db, key), value);
    }
    assert_true(fake_count(fake, granted) > before);
    unsigned calls = fake_count(fake, &fake->servers[server].calls);
    assert_string_equal(shared_get(db, key), value);
    assert_int_equal(fake_count(fake, &fake->servers[server].calls), calls);
}

/* Whether the next read of it asks the server. */
static inline bool shared_asks(struct fake *fake, cairn_t *db, uint32_t server, const char *key,
                               const char *value)
{
    unsigned calls = fake_count(fake, &fake->servers[server].calls);

    assert_string_equal(shared_get(db, key), value);
    return fake_count(fake, &fake->servers[server].calls) > calls;
}

#endif
