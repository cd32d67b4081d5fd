/* What an attempt's result means, over all results: "not applied" is never said after an attempt
 * that may have been executed (ARCHITECTURE.md section 1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/error.h"
#include "client/outcome.h"

static const struct outcome_context get = {.mutation = false};
static const struct outcome_context fresh = {.mutation = true};
static const struct outcome_context after_unknown = {.mutation = true, .had_unknown = true};
static const struct outcome_context patient = {.mutation = true, .patient = true};

static void check(struct outcome outcome, enum outcome_action action, int code)
{
    assert_int_equal(outcome.action, action);
    assert_int_equal(outcome.code, code);
}

static void test_answers(void **state)
{
    (void)state;
    check(outcome_of(0, SERVER_OK, &get), OUTCOME_ANSWER, CAIRN_OK);
    check(outcome_of(0, SERVER_NOT_FOUND, &get), OUTCOME_ANSWER, CAIRN_ENOTFOUND);
    check(outcome_of(0, SERVER_OK, &after_unknown), OUTCOME_ANSWER, CAIRN_OK);
    check(outcome_of(0, SERVER_VERSION_MISMATCH, &fresh), OUTCOME_ANSWER, CAIRN_EMISMATCH);
}

static void test_what_was_not_executed_is_tried_again_and_stays_known(void **state)
{
    const server_status statuses[] = {SERVER_NOT_PRIMARY, SERVER_STARTING, SERVER_OVERLOADED};

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct outcome outcome = outcome_of(0, statuses[i], &fresh);
        assert_int_equal(outcome.action, OUTCOME_RETRY);
        assert_false(outcome.unknown);
    }
    struct outcome never_sent = outcome_of(CAIRN_EUNAVAILABLE, SERVER_OK, &fresh);
    assert_int_equal(never_sent.action, OUTCOME_RETRY);
    assert_false(never_sent.unknown);
    assert_true(never_sent.refresh);
    assert_false(outcome_of(CAIRN_EFULL, SERVER_OK, &fresh).unknown);
}

static void test_what_may_have_been_executed_is_unknown_for_mutations_only(void **state)
{
    const int codes[] = {CAIRN_EUNKNOWN, CAIRN_EPROTO};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_true(outcome_of(codes[i], SERVER_OK, &fresh).unknown);
        assert_false(outcome_of(codes[i], SERVER_OK, &get).unknown);
        assert_int_equal(outcome_of(codes[i], SERVER_OK, &get).action, OUTCOME_RETRY);
    }
    assert_true(outcome_of(0, SERVER_UNKNOWN, &fresh).unknown);
    assert_true(outcome_of(0, (server_status)4711, &fresh).unknown);
    assert_int_equal(outcome_of(0, (server_status)4711, &get).action, OUTCOME_RETRY);
}

static void test_no_room_is_an_error_unless_one_waits(void **state)
{
    (void)state;
    check(outcome_of(0, SERVER_NO_SPACE, &fresh), OUTCOME_FAIL, CAIRN_ENOSPC);
    check(outcome_of(0, SERVER_SESSIONS_FULL, &fresh), OUTCOME_FAIL, CAIRN_EFULL);
    assert_int_equal(outcome_of(0, SERVER_NO_SPACE, &patient).action, OUTCOME_RETRY);
    assert_int_equal(outcome_of(0, SERVER_SESSIONS_FULL, &patient).action, OUTCOME_RETRY);
    assert_int_equal(outcome_of(0, SERVER_NO_SPACE, &after_unknown).action, OUTCOME_RETRY);
}

static void test_a_stale_number_is_unknown_and_ends_the_session(void **state)
{
    struct outcome outcome = outcome_of(0, SERVER_STALE_NUMBER, &after_unknown);

    (void)state;
    check(outcome, OUTCOME_FAIL, CAIRN_EUNKNOWN);
    assert_true(outcome.new_session);
    assert_true(outcome.unknown);
    check(outcome_of(0, SERVER_STALE_NUMBER, &fresh), OUTCOME_FAIL, CAIRN_EUNKNOWN);
    assert_int_equal(outcome_of(0, SERVER_STALE_NUMBER, &get).action, OUTCOME_RETRY);
}

/* Every status and every code of rpc_done, after an unknown attempt: no failure claims to know. */
static void test_after_an_unknown_attempt_no_failure_claims_to_know(void **state)
{
    (void)state;
    for (int status = 0; status < 20; status++) {
        struct outcome outcome = outcome_of(0, (server_status)status, &after_unknown);
        if (outcome.action == OUTCOME_FAIL) {
            assert_int_equal(outcome.code, CAIRN_EUNKNOWN);
        }
    }
    for (int code = -1; code >= -18; code--) {
        struct outcome outcome = outcome_of(code, SERVER_OK, &after_unknown);
        assert_int_not_equal(outcome.action, OUTCOME_ANSWER);
        if (outcome.action == OUTCOME_FAIL) {
            assert_int_equal(outcome.code, CAIRN_EUNKNOWN);
        }
    }
}

static void test_definite_refusals(void **state)
{
    (void)state;
    check(outcome_of(0, SERVER_INVALID, &fresh), OUTCOME_FAIL, CAIRN_EINVAL);
    check(outcome_of(0, SERVER_CORRUPT, &get), OUTCOME_FAIL, CAIRN_ECORRUPT);
    check(outcome_of(0, SERVER_WRONG_CLUSTER, &fresh), OUTCOME_FAIL, CAIRN_ECONFLICT);
    check(outcome_of(CAIRN_EVERSION, SERVER_OK, &fresh), OUTCOME_FAIL, CAIRN_EVERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_what_was_not_executed_is_tried_again_and_stays_known),
        cmocka_unit_test(test_what_may_have_been_executed_is_unknown_for_mutations_only),
        cmocka_unit_test(test_no_room_is_an_error_unless_one_waits),
        cmocka_unit_test(test_a_stale_number_is_unknown_and_ends_the_session),
        cmocka_unit_test(test_after_an_unknown_attempt_no_failure_claims_to_know),
        cmocka_unit_test(test_definite_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
