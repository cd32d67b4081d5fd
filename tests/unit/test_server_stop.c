/* A node that closes answers what waits for its log, and lets nothing wait anew. */
#include "tests/unit/hosts_fixture.h"

static void put_for_a_moment(struct side *side, const char *key)
{
    struct reply reply;
    put_args args = {.client = WRITER,
                     .number = ++side->number,
                     .ttl_ms = 1,
                     .key = key_of(key),
                     .value = {(const uint8_t *)"", 0}};

    start(side->client, &program_server, SERVER_PUT, &args, on_put, &reply);
    TURN_UNTIL(side, reply.done);
    assert_int_equal(reply.code, SERVER_OK);
    clock_sleep_ms(5);
}

static void reads_that_wait_for_log_time_are_refused_S2(void **state)
{
    struct side *side = side_open(LONG_MS);
    static struct reply read, page;

    (void)state;
    put_for_a_moment(side, "k");
    side->stalled = true;
    get(side, "k", 0, &read);
    scan(side, &page);
    turns(side);
    assert_false(read.done || page.done);
    close_node(side);
    TURN_UNTIL(side, read.done && page.done);
    assert_int_equal(read.code, SERVER_STARTING);
    assert_int_equal(page.code, SERVER_STARTING);
    open_node(side, 0);
    side_close(side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_that_wait_for_log_time_are_refused_S2),
    };

    return cmocka_run_group_tests_name("server_stop", tests, NULL, NULL);
}
