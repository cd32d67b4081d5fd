/* What an operator asks reaches the manager once, is repeated only where that does no harm, and is
 * looked after until nothing of it is left to do. */
#include "tests/unit/client_fixture.h"

#include "client/admin.h"

enum { LONG_MS = 20000, SHORT_MS = 400 };

static int setup(void **state)
{
    *state = fake_start();
    return 0;
}

static int teardown(void **state)
{
    fake_stop(*state);
    return 0;
}

static void set_moving(struct fake *fake, uint32_t count)
{
    pthread_mutex_lock(&fake->mutex);
    for (uint32_t i = 0; i < count; i++) {
        fake->moving[i] = i;
    }
    fake->moving_count = count;
    pthread_mutex_unlock(&fake->mutex);
}

static void test_everything_that_is_asked_arrives(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    const struct admin_request move = {"admin move", ADMIN_MOVE, true, 5, 1, ""};
    const struct admin_request add = {"admin add-server", ADMIN_ADD_SERVER, false, 0, 0, "h:1"};
    struct admin_answer answer;

    assert_int_equal(admin_ask(db, &move, &answer), CAIRN_OK);
    assert_string_equal(answer.message, "as you say");
    admin_answer_free(&answer);
    pthread_mutex_lock(&fake->mutex);
    assert_int_equal(fake->admin.kind, ADMIN_MOVE);
    assert_true(fake->admin.dry_run);
    assert_int_equal(fake->admin.partition, 5);
    assert_int_equal(fake->admin.server, 1);
    pthread_mutex_unlock(&fake->mutex);
    assert_int_equal(admin_ask(db, &add, &answer), CAIRN_OK);
    assert_int_equal(answer.server, 7);
    admin_answer_free(&answer);
    pthread_mutex_lock(&fake->mutex);
    assert_false(fake->admin.dry_run);
    assert_string_equal(fake->admin_address, "h:1");
    assert_int_equal(fake->admin_calls, 2);
    pthread_mutex_unlock(&fake->mutex);
    cairn_close(db);
}

static void test_planned_moves_come_back(void **state)
{
    cairn_t *db = fake_client(*state, LONG_MS);
    const struct admin_request request = {"admin rebalance", ADMIN_REBALANCE, true, 0, 0, ""};
    struct admin_answer answer;

    set_moving(*state, 3);
    assert_int_equal(admin_ask(db, &request, &answer), CAIRN_OK);
    assert_int_equal(answer.move_count, 3);
    assert_int_equal(answer.moves[2].partition, 2);
    assert_int_equal(answer.moves[2].to, 2);
    assert_true(answer.moves[0].leads);
    assert_false(answer.moves[2].leads);
    admin_answer_free(&answer);
    cairn_close(db);
}

static void test_a_refusal_is_final_and_says_why(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    const struct admin_request request = {"admin drain", ADMIN_DRAIN, false, 0, 1, ""};
    struct admin_answer answer;
    const int refusals[] = {MANAGER_INVALID, MANAGER_UNKNOWN_SERVER, MANAGER_CONFLICT};

    for (size_t i = 0; i < 3; i++) {
        fake->admin_status = refusals[i];
        assert_int_equal(admin_ask(db, &request, &answer), CAIRN_EINVAL);
        assert_non_null(strstr(cairn_errmsg(db), "admin drain: manager"));
        assert_non_null(strstr(cairn_errmsg(db), "scripted refusal"));
        assert_int_equal(fake->admin_calls, i + 1);
    }
    cairn_close(db);
}

static void test_a_manager_that_is_not_ready_is_asked_again(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, SHORT_MS);
    const struct admin_request request = {"admin drain", ADMIN_DRAIN, false, 0, 1, ""};
    struct admin_answer answer;

    fake->admin_status = MANAGER_WAITING;
    assert_int_equal(admin_ask(db, &request, &answer), CAIRN_ETIMEDOUT);
    pthread_mutex_lock(&fake->mutex);
    assert_true(fake->admin_calls > 1);
    pthread_mutex_unlock(&fake->mutex);
    cairn_close(db);
}

/* R9: accepting a loss twice is not the same as once. */
static void test_after_a_lost_answer_only_the_harmless_is_repeated(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    const struct admin_request drain = {"admin drain", ADMIN_DRAIN, false, 0, 1, ""};
    const struct admin_request recover = {
        "admin unsafe-recover", ADMIN_UNSAFE_RECOVER, false, 3, ADMIN_ANY_SERVER, ""};
    struct admin_answer answer;

    fake->admin_drops = true;
    assert_int_equal(admin_ask(db, &drain, &answer), CAIRN_OK);
    admin_answer_free(&answer);
    pthread_mutex_lock(&fake->mutex);
    assert_int_equal(fake->admin_calls, 2);
    fake->admin_drops = true;
    pthread_mutex_unlock(&fake->mutex);
    assert_int_equal(admin_ask(db, &recover, &answer), CAIRN_EUNKNOWN);
    pthread_mutex_lock(&fake->mutex);
    assert_int_equal(fake->admin_calls, 3);
    pthread_mutex_unlock(&fake->mutex);
    cairn_close(db);
}

static void test_no_manager_is_certainly_not_done(void **state)
{
    const struct cairn_options options = {.timeout_ms = SHORT_MS, .no_cache = 1};
    const struct admin_request request = {"admin drain", ADMIN_DRAIN, false, 0, 1, ""};
    struct admin_answer answer;
    cairn_t *db;

    (void)state;
    assert_int_equal(cairn_open("127.0.0.1:1,127.0.0.1:2", &options, &db), CAIRN_OK);
    assert_int_equal(admin_ask(db, &request, &answer), CAIRN_ETIMEDOUT);
    assert_non_null(strstr(cairn_errmsg(db), "out of time: manager 127.0.0.1:"));
    cairn_close(db);
}

static uint32_t moving(cairn_t *db, struct fake *fake, const struct admin_request *request,
                       const struct admin_answer *answer, uint32_t count)
{
    struct admin_rest rest;

    set_moving(fake, count);
    assert_int_equal(admin_look(db, request, answer, &rest), CAIRN_OK);
    return rest.moving;
}

/* Of what moves, only that counts which the request is the reason of. */
static void test_what_is_left_to_do(void **state)
{
    struct fake *fake = *state;
    cairn_t *db = fake_client(fake, LONG_MS);
    const struct admin_request move = {"admin move", ADMIN_MOVE, false, 5, 1, ""};
    const struct admin_request drain = {"admin drain", ADMIN_DRAIN, false, 0, 1, ""};
    const struct admin_request rebalance = {"admin rebalance", ADMIN_REBALANCE, false, 0, 0, ""};
    planned_move planned = {3, 0, 1, false};
    const struct admin_answer none = {0};
    const struct admin_answer one = {.move_count = 1, .moves = &planned};

    assert_int_equal(moving(db, fake, &move, &none, 5), 0);
    assert_int_equal(moving(db, fake, &move, &none, 6), 1);
    /* Server 1 holds the partitions 1, 4 and 7. */
    assert_int_equal(moving(db, fake, &drain, &none, 4), 1);
    assert_int_equal(moving(db, fake, &drain, &none, 8), 3);
    assert_int_equal(moving(db, fake, &drain, &one, 4), 2);
    assert_int_equal(moving(db, fake, &rebalance, &none, 4), 4);
    assert_int_equal(moving(db, fake, &rebalance, &one, 4), 1);
    assert_int_equal(moving(db, fake, &rebalance, &one, 3), 0);
    cairn_close(db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_everything_that_is_asked_arrives),
        TEST(test_planned_moves_come_back),
        TEST(test_a_refusal_is_final_and_says_why),
        TEST(test_a_manager_that_is_not_ready_is_asked_again),
        TEST(test_after_a_lost_answer_only_the_harmless_is_repeated),
        TEST(test_no_manager_is_certainly_not_done),
        TEST(test_what_is_left_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
