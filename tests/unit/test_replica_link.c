/* Beacons between two servers: which answers renew, which beacons show a link that works (L1, L2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "replica/link.h"

enum { RECENT_MS = 1000 };

static const struct replica_member peer = {.server = 2, .store = 5, .incarnation = 1};

static void test_a_lease_counts_from_before_its_beacon_left_L1(void **state)
{
    struct link link;
    uint64_t number, echo, sent_ms;

    (void)state;
    link_init(&link);
    link_send(&link, 100, &number, &echo);
    link_send(&link, 350, &number, &echo);
    assert_int_equal(echo, 0);
    assert_true(link_answered(&link, 1, &sent_ms));
    assert_int_equal(sent_ms, 100);
    assert_false(link_answered(&link, 1, &sent_ms)); /* a second copy of the answer */
    assert_false(link_answered(&link, 3, &sent_ms)); /* never sent */
    link_send(&link, 600, &number, &echo);
    assert_int_equal(echo, 1);
}

static void test_an_answer_to_a_forgotten_beacon_renews_nothing_L1(void **state)
{
    struct link link;
    uint64_t number, echo, sent_ms;

    (void)state;
    link_init(&link);
    for (uint64_t i = 0; i <= LINK_BEACONS_KEPT; i++)
        link_send(&link, 100 + i, &number, &echo);
    assert_false(link_answered(&link, 1, &sent_ms));
    assert_true(link_answered(&link, 2, &sent_ms));
}

static void test_only_the_echo_of_a_recent_answer_shows_a_working_link_L2(void **state)
{
    struct link link;

    (void)state;
    link_init(&link);
    assert_false(link_heard(&link, &peer, 1, 0, 100, RECENT_MS));
    assert_true(link_heard(&link, &peer, 2, 1, 350, RECENT_MS));
    assert_false(link_heard(&link, &peer, 3, 0, 600, RECENT_MS));
    assert_false(link_heard(&link, &peer, 4, 1, 1101, RECENT_MS)); /* answered too long ago */
    assert_true(link_heard(&link, &peer, 5, 4, 1200, RECENT_MS));
    assert_false(link_heard(&link, &peer, 6, 9, 1300, RECENT_MS)); /* never answered */
}

static void test_answers_to_another_process_are_not_echoes_R10(void **state)
{
    struct link link;
    struct replica_member restarted = peer;

    (void)state;
    link_init(&link);
    link_heard(&link, &peer, 1, 0, 100, RECENT_MS);
    restarted.incarnation = 2;
    assert_false(link_heard(&link, &restarted, 1, 1, 200, RECENT_MS));
    assert_true(link_heard(&link, &restarted, 2, 1, 300, RECENT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lease_counts_from_before_its_beacon_left_L1),
        cmocka_unit_test(test_an_answer_to_a_forgotten_beacon_renews_nothing_L1),
        cmocka_unit_test(test_only_the_echo_of_a_recent_answer_shows_a_working_link_L2),
        cmocka_unit_test(test_answers_to_another_process_are_not_echoes_R10),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
