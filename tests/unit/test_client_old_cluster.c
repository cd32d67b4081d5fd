/* Today's client with a cluster of 0.1.0, which knows no caches, scrubs or admin calls: what it has
 * works, and what it lacks is said at once. */
#include "tests/unit/shared_fixture.h"

#include "client/admin.h"
#include "client/scrub.h"

enum { OFTEN = 40, LONG_MS = 20000 };

static int setup(void **state)
{
    return shared_setup_as(state, true);
}

/* A key that is read often is asked for each time; nobody waits for the session that never comes.
 */
static void test_reads_and_writes_go_on_without_a_cache(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = shared_open(fake, 0);
    char key[32];

    fake_key(fake, 1, 1, key);
    for (int i = 0; i < OFTEN; i++) {
        assert_int_equal(fake_put(db, key, i % 2 == 0 ? "a" : "b"), CAIRN_OK);
        assert_true(shared_asks(fake, db, 1, key, i % 2 == 0 ? "a" : "b"));
    }
    for (int i = 0; i < OFTEN; i++) {
        assert_true(shared_asks(fake, db, 1, key, "b"));
    }
    assert_false(shared_is_live(db, 1));
    assert_int_equal(fake_count(fake, &fake->servers[1].host.opened), 0);
    cairn_close(db);
}

static void test_an_admin_call_is_refused_at_once(void **state)
{
    cairn_t *db = fake_client(*state, LONG_MS);
    const struct admin_request drain = {"admin drain", ADMIN_DRAIN, false, 0, 1, ""};
    struct admin_answer answer;

    assert_int_equal(admin_ask(db, &drain, &answer), CAIRN_EPROTO);
    assert_non_null(strstr(cairn_errmsg(db), "admin drain: manager"));
    assert_non_null(strstr(cairn_errmsg(db), "does not know this procedure"));
    cairn_close(db);
}

static void no_progress(void *context, const struct scrub_outcome *result)
{
    (void)context;
    (void)result;
}

static void test_a_scrub_is_refused_at_once(void **state)
{
    cairn_t *db = fake_client(*state, LONG_MS);
    const struct scrub_request request = {
        .name = "admin verify", .deadline_ms = client_deadline(db), .progress = no_progress};
    struct scrub_outcome result;

    assert_int_equal(scrub_run(db, &request, &result), CAIRN_EPROTO);
    assert_non_null(strstr(cairn_errmsg(db), "admin verify: server 0: "));
    assert_non_null(strstr(cairn_errmsg(db), "does not know this procedure"));
    scrub_result_free(&result);
    cairn_close(db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_reads_and_writes_go_on_without_a_cache),
        TEST(test_an_admin_call_is_refused_at_once),
        TEST(test_a_scrub_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
