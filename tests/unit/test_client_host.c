/* The host's cache as handles see it: what is read from it, what voids it, what processes share
 * (ARCHITECTURE.md C1, C4, C6). Servers are fakes that grant as they are told. */
#include "tests/unit/shared_fixture.h"

#include <sys/wait.h>

static uint32_t bucket(const char *key)
{
    return bucket_of((const uint8_t *)key, strlen(key));
}

static void test_a_value_read_often_is_read_without_a_call(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    char key[32];
    const void *value;
    size_t length;
    uint64_t version = 0;

    shared_agent(fake, db);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, key), "value");
    assert_int_equal(cairn_get(db, key, strlen(key), &value, &length, &version), CAIRN_OK);
    assert_int_equal(length, 5);
    assert_memory_equal(value, "value", 6);
    assert_int_equal(version, 1);
    cairn_close(db);
}

static void test_a_process_that_reads_little_has_no_agent(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    cairn_t *other = shared_open(fake, 1);
    char key[32];
    char value[8];

    fake_key(fake, 0, 1, key);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_ENOTFOUND);
    }
    assert_false(db->cache.asked_agent);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(fake_get(other, key, value, sizeof(value)), CAIRN_ENOTFOUND);
    }
    assert_false(other->cache.asked_agent);
    assert_int_equal(fake_get(db, key, value, sizeof(value)), CAIRN_ENOTFOUND);
    assert_true(db->cache.asked_agent);
    shared_await_live(db, 2, true);
    cairn_close(db);
    cairn_close(other);
}

static void test_a_write_elsewhere_voids_the_value(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    struct fake_host *host = &fake->servers[1].host;
    char key[32];
    char kept[32];

    shared_agent(fake, db);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, key), "old");
    shared_warm(fake, db, 1, fake_key(fake, 1, 2, kept), "kept");
    pthread_mutex_lock(&fake->mutex);
    const struct view name = view_of_text(key);
    const struct view bytes = view_of_text("new");
    fake_store(fake, &name, &bytes);
    pthread_mutex_unlock(&fake->mutex);
    fake_invalidate(fake, 1, bucket(key));
    /* C4: answered means counted. */
    uint64_t end_ms = clock_now_ms() + SHARED_WAIT_MS;
    for (uint64_t answered = 0; answered == 0;) {
        pthread_mutex_lock(&fake->mutex);
        answered = host->answered;
        pthread_mutex_unlock(&fake->mutex);
        assert_true(clock_now_ms() < end_ms);
    }
    assert_true(shared_asks(fake, db, 1, key, "new"));
    assert_false(shared_asks(fake, db, 1, kept, "kept"));
    cairn_close(db);
}

/* C6: and the next session is another one, under which the value must be granted anew. */
static void test_a_lost_connection_voids_what_was_read_by_it(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    char lost[32];
    char kept[32];

    shared_agent(fake, db);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, lost), "lost");
    shared_warm(fake, db, 2, fake_key(fake, 2, 1, kept), "kept");
    unsigned opened = fake_count(fake, &fake->servers[1].host.opened);
    fake_break(fake, 1);
    shared_await(fake, &fake->servers[1].host.opened, opened + 1);
    shared_await_live(db, 1, true);
    assert_true(shared_asks(fake, db, 1, lost, "lost"));
    assert_false(shared_asks(fake, db, 2, kept, "kept"));
    shared_warm(fake, db, 1, fake_key(fake, 1, 3, lost), "again");
    cairn_close(db);
}

static void test_sessions_are_renewed(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);

    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        fake->servers[i].host.lease_ms = 3000; /* none runs out on a machine that is busy */
    }
    shared_agent(fake, db);
    uint64_t session = cache_session(handle_cache_segment(db), 1, clock_now_ms());
    shared_await(fake, &fake->servers[1].host.renewed, 3);
    assert_int_equal(fake_count(fake, &fake->servers[1].host.opened), 1);
    assert_true(fake->servers[1].host.session == session);
    cairn_close(db);
}

static void test_what_is_not_granted_is_not_cached(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    char key[32];

    shared_agent(fake, db);
    assert_int_equal(fake_put(db, fake_key(fake, 1, 1, key), "v"), CAIRN_OK);
    pthread_mutex_lock(&fake->mutex);
    fake->servers[1].host.refuse = true;
    pthread_mutex_unlock(&fake->mutex);
    for (int i = 0; i < 20; i++) {
        assert_true(shared_asks(fake, db, 1, key, "v"));
    }
    cairn_close(db);
}

static void test_large_values_are_asked_for(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    static char large[CACHE_VALUE_LIMIT + 1];
    char key[32];
    const void *value;
    size_t length;

    shared_agent(fake, db);
    memset(large, 'x', sizeof(large));
    fake_key(fake, 1, 1, key);
    assert_int_equal(cairn_put(db, key, strlen(key), large, sizeof(large), NULL, NULL), CAIRN_OK);
    unsigned calls = fake_count(fake, &fake->servers[1].calls);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(cairn_get(db, key, strlen(key), &value, &length, NULL), CAIRN_OK);
        assert_int_equal(length, sizeof(large));
    }
    assert_int_equal(fake_count(fake, &fake->servers[1].calls), calls + 20);
    /* One byte less is kept whole. */
    assert_int_equal(cairn_put(db, key, strlen(key), large, CACHE_VALUE_LIMIT, NULL, NULL),
                     CAIRN_OK);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(cairn_get(db, key, strlen(key), &value, &length, NULL), CAIRN_OK);
    }
    assert_true(fake_count(fake, &fake->servers[1].calls) < calls + 40);
    assert_int_equal(length, CACHE_VALUE_LIMIT);
    assert_memory_equal(value, large, CACHE_VALUE_LIMIT);
    assert_int_equal(((const char *)value)[length], 0);
    cairn_close(db);
}

/* S2: a value whose key has expired is not read from memory. */
static void test_a_value_ends_with_its_key(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    char key[32];

    shared_agent(fake, db);
    pthread_mutex_lock(&fake->mutex);
    fake->servers[1].host.expires_in_ms = 1;
    pthread_mutex_unlock(&fake->mutex);
    assert_int_equal(fake_put(db, fake_key(fake, 1, 1, key), "v"), CAIRN_OK);
    /* What is left of one millisecond, less the drift, is none: never a hit, however fast. */
    for (int i = 0; i < 20; i++) {
        assert_true(shared_asks(fake, db, 1, key, "v"));
    }
    assert_true(fake_count(fake, &fake->servers[1].host.granted) > 0);
    cairn_close(db);
}

static void test_handles_share_what_one_has_read(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    char key[32];

    shared_agent(fake, db);
    cairn_t *other = shared_open(fake, 0);
    assert_ptr_equal(other->cache.host, db->cache.host);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, key), "v");
    assert_false(shared_asks(fake, other, 1, key, "v"));
    cairn_close(db);
    /* The agent stays as long as any handle does. */
    assert_false(shared_asks(fake, other, 1, key, "v"));
    cairn_close(other);
}

static void test_a_second_handle_needs_no_manager(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 1);

    assert_int_equal(fake_put(db, "k", "v"), CAIRN_OK);
    cairn_close(db);
    fake->manager_status = MANAGER_WAITING;
    unsigned calls = fake_count(fake, &fake->map_calls);
    db = shared_open(fake, 1);
    assert_string_equal(shared_get(db, "k"), "v");
    assert_int_equal(fake_put(db, "k", "w"), CAIRN_OK);
    assert_int_equal(fake_count(fake, &fake->map_calls), calls);
    cairn_close(db);
}

static void test_a_redirect_is_learnt_once_for_all(void **state)
{
    struct fake *fake = *state;
    cairn_t *first = shared_open(fake, 1);
    cairn_t *second = shared_open(fake, 1);
    char key[32];

    fake_key(fake, 0, 1, key);
    assert_int_equal(fake_put(first, key, "v"), CAIRN_OK);
    assert_int_equal(fake_put(second, key, "v"), CAIRN_OK);
    pthread_mutex_lock(&fake->mutex);
    fake->truth[fake_partition_of(key)] = 2;
    fake->epochs[fake_partition_of(key)]++;
    pthread_mutex_unlock(&fake->mutex);
    unsigned asked = fake_count(fake, &fake->servers[0].calls);
    assert_string_equal(shared_get(first, key), "v");
    assert_int_equal(fake_count(fake, &fake->servers[0].calls), asked + 1);
    assert_string_equal(shared_get(second, key), "v");
    assert_int_equal(fake_count(fake, &fake->servers[0].calls), asked + 1);
    cairn_close(first);
    cairn_close(second);
}

/* Waits for nothing but the map of the handle before: one process asks the manager for all. */
static void test_a_newer_map_is_read_once_for_all(void **state)
{
    struct fake *fake = *state;
    cairn_t *first = shared_open(fake, 1);
    cairn_t *second = shared_open(fake, 1);
    char key[32];

    fake_key(fake, 0, 1, key);
    assert_int_equal(fake_put(first, key, "v"), CAIRN_OK);
    assert_int_equal(fake_put(second, key, "v"), CAIRN_OK);
    unsigned maps = fake_count(fake, &fake->map_calls);
    pthread_mutex_lock(&fake->mutex);
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        if (fake->truth[p] == 0) {
            fake->truth[p] = fake->told[p] = 1;
            fake->epochs[p]++;
        }
    }
    fake->version++;
    pthread_mutex_unlock(&fake->mutex);
    fake_script(fake, 0, 1, FAKE_LEAVE);
    assert_int_equal(fake_put(first, key, "w"), CAIRN_OK);
    assert_true(fake_count(fake, &fake->map_calls) > maps);
    maps = fake_count(fake, &fake->map_calls);
    assert_int_equal(fake_put(second, key, "x"), CAIRN_OK);
    assert_int_equal(fake_count(fake, &fake->map_calls), maps);
    cairn_close(first);
    cairn_close(second);
}

static void refound(struct fake *fake)
{
    pthread_mutex_lock(&fake->mutex);
    fake->cluster++;
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        fake->servers[i].script[0] = FAKE_STATUS + SERVER_WRONG_CLUSTER;
        fake->servers[i].script_length = 1;
        fake->servers[i].script_at = 0;
    }
    pthread_mutex_unlock(&fake->mutex);
}

/* What the segment says of these managers is forgotten when it leads to a cluster that is no more;
 * who was told by a manager, or asked for that very cluster, is told of the contradiction. */
static void test_a_cluster_founded_anew_is_found(void **state)
{
    struct fake *fake = *state;
    cairn_t *known = shared_open(fake, 1);

    assert_int_equal(fake_put(known, "k", "v"), CAIRN_OK);
    cairn_t *db = shared_open(fake, 1);
    assert_true(db->cache.unconfirmed);
    refound(fake);
    assert_int_equal(fake_put(db, "k", "w"), CAIRN_OK);
    assert_int_equal(db->route.cluster, 78);
    assert_int_equal(cache_cluster(handle_cache_segment(db)), 78);
    refound(fake);
    assert_int_equal(fake_put(known, "k", "w"), CAIRN_ECONFLICT);
    cairn_close(known);
    cairn_close(db);
}

static void test_a_scan_finds_the_cluster_founded_anew(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 1);
    cairn_cursor_t *cursor;
    const void *key;
    const void *value;
    size_t key_length;
    size_t value_length;

    assert_int_equal(fake_put(db, "k", "v"), CAIRN_OK);
    cairn_close(db);
    db = shared_open(fake, 1);
    assert_true(route_is_ready(&db->route));
    refound(fake);
    assert_int_equal(cairn_scan(db, NULL, 0, NULL, 0, &cursor), CAIRN_OK);
    assert_int_equal(cairn_scan_next(cursor, &key, &key_length, &value, &value_length), CAIRN_OK);
    assert_memory_equal(key, "k", 1);
    assert_int_equal(cairn_scan_next(cursor, &key, &key_length, &value, &value_length),
                     CAIRN_ENOTFOUND);
    cairn_scan_close(cursor);
    assert_int_equal(db->route.cluster, 78);
    cairn_close(db);
}

static void test_a_demanded_cluster_is_the_only_one(void **state)
{
    struct fake *fake = *state;
    char text[ADDRESS_TEXT_MAX];
    cairn_t *db = shared_open(fake, 1);
    const struct cairn_options other = {.timeout_ms = SHARED_LONG_MS,
                                        .cluster = 78,
                                        .cache_bytes = SHARED_BYTES,
                                        .cache_name = shared_name};

    assert_int_equal(fake_put(db, "k", "v"), CAIRN_OK);
    cairn_close(db);
    assert_int_equal(cairn_open(address_format(&fake->manager_address, text), &other, &db),
                     CAIRN_OK);
    assert_null(db->cache.host);
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_ECONFLICT);
    cairn_close(db);
}

static void test_an_unlinked_segment_is_left(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    char key[32];

    shared_agent(fake, db);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, key), "v");
    unsigned opened = fake_count(fake, &fake->servers[1].host.opened);
    segment_list(shared_unlink, NULL);
    /* Its agent leaves it (C6), so that what is cached there ends, and handles get another. */
    shared_await(fake, &fake->servers[1].host.closed, 1);
    uint64_t end_ms = clock_now_ms() + SHARED_WAIT_MS;
    while (fake_count(fake, &fake->servers[1].host.opened) == opened || !shared_is_live(db, 1)) {
        assert_string_equal(shared_get(db, key), "v");
        assert_true(clock_now_ms() < end_ms);
    }
    assert_true(segment_is_current(db->cache.host->segment));
    shared_warm(fake, db, 1, fake_key(fake, 1, 2, key), "w");
    cairn_close(db);
}

static void test_what_cannot_be_is_refused(void **state)
{
    const char *const names[] = {"a/b", "with space", "0123456789012345678901234567890123", "\xc3"};
    struct cairn_options options = {.cache_bytes = (4 << 20) - 1};
    cairn_t *db;

    (void)state;
    assert_int_equal(cairn_open("127.0.0.1:1", &options, &db), CAIRN_EINVAL);
    assert_non_null(strstr(cairn_errmsg(db), "4194304"));
    assert_int_equal(fake_put(db, "k", "v"), CAIRN_EINVAL);
    cairn_close(db);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        options = (struct cairn_options){.cache_name = names[i]};
        assert_int_equal(cairn_open("127.0.0.1:1", &options, &db), CAIRN_EINVAL);
        assert_non_null(strstr(cairn_errmsg(db), "name"));
        cairn_close(db);
    }
}

/* A child has nothing of its parent's cache, not even the lock of its agent, and gets its own. */
static void test_a_child_begins_anew(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    char key[32];
    int status = 1;

#ifdef __SANITIZE_ADDRESS__
    /* Another thread may hold this allocator's locks at the fork, and the child needs them. */
    cairn_close(db);
    skip();
#endif
    shared_agent(fake, db);
    shared_warm(fake, db, 1, fake_key(fake, 1, 1, key), "v");
    pid_t child = fork();
    if (child == 0) {
        char text[ADDRESS_TEXT_MAX];
        const struct cairn_options options = {.timeout_ms = SHARED_LONG_MS,
                                              .cache_name = shared_name};
        char value[8];
        bool gone = handle_cache_segment(db) == NULL;
        cairn_t *own = NULL;
        cairn_close(db);
        bool opened =
            cairn_open(address_format(&fake->manager_address, text), &options, &own) == CAIRN_OK &&
            handle_cache_segment(own) != NULL;
        /* The parent's agent serves the child's handle. */
        bool hit = fake_get(own, key, value, sizeof(value)) == CAIRN_OK &&
                   strcmp(value, "v") == 0 && own->cache.hits == 1;
        cairn_close(own);
        _exit(gone && opened && hit ? 0 : 10 + gone + 2 * opened + 4 * hit);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(WIFEXITED(status));
    assert_false(shared_asks(fake, db, 1, key, "v"));
    cairn_close(db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, shared_setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_value_read_often_is_read_without_a_call),
        TEST(test_a_process_that_reads_little_has_no_agent),
        TEST(test_a_write_elsewhere_voids_the_value),
        TEST(test_a_lost_connection_voids_what_was_read_by_it),
        TEST(test_sessions_are_renewed),
        TEST(test_what_is_not_granted_is_not_cached),
        TEST(test_large_values_are_asked_for),
        TEST(test_a_value_ends_with_its_key),
        TEST(test_handles_share_what_one_has_read),
        TEST(test_a_second_handle_needs_no_manager),
        TEST(test_a_redirect_is_learnt_once_for_all),
        TEST(test_a_newer_map_is_read_once_for_all),
        TEST(test_a_cluster_founded_anew_is_found),
        TEST(test_a_scan_finds_the_cluster_founded_anew),
        TEST(test_a_demanded_cluster_is_the_only_one),
        TEST(test_an_unlinked_segment_is_left),
        TEST(test_what_cannot_be_is_refused),
        TEST(test_a_child_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
