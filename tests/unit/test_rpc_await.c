/* Waiting on one connection without the loop: what comes is handled as from the loop, nothing is
 * waited for long, and the loop takes over at any time. Client and server have a loop each. */
#include "tests/unit/rpc_fixture.h"

enum { PENDING = 1, LONG_MS = 60000 };

struct pair {
    struct fixture *server;
    uv_loop_t loop;
    struct rpc_client *client;
    int status; /* of the last call, PENDING until it is done */
    unsigned done;
    bool closed;
};

static void on_done(void *context, int status, const void *result, const struct error *error)
{
    struct pair *pair = context;
    (void)result;
    (void)error;
    pair->status = status;
    pair->done++;
}

static void call(struct pair *pair)
{
    get_args args = {.key = view_of_text("key")};
    pair->status = PENDING;
    assert_int_equal(rpc_client_call(pair->client, &program_server, SERVER_GET, &args, LONG_MS,
                                     on_done, pair, NULL),
                     0);
}

static void turn_server(struct pair *pair)
{
    for (int i = 0; i < 5; i++)
        uv_run(&pair->server->loop, UV_RUN_NOWAIT);
}

/* Both loops run until `*flag` is no longer `value`. */
static void turn_both_while(struct pair *pair, const int *flag, int value)
{
    uint64_t end_ms = clock_now_ms() + WAIT_MS;
    while (*flag == value) {
        assert_true(clock_now_ms() < end_ms);
        uv_run(&pair->loop, UV_RUN_NOWAIT);
        uv_run(&pair->server->loop, UV_RUN_NOWAIT);
    }
}

static void receive(struct pair *pair, size_t count)
{
    uint64_t end_ms = clock_now_ms() + WAIT_MS;
    while (pair->server->waiting_count < count) {
        assert_true(clock_now_ms() < end_ms);
        turn_server(pair);
    }
}

static void answer(struct pair *pair, size_t slot)
{
    fixture_answer(pair->server, slot);
    turn_server(pair);
}

static int setup(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->server = fixture_open(NULL);
    struct address address = fixture_address(pair->server->port);
    assert_int_equal(uv_loop_init(&pair->loop), 0);
    assert_int_equal(rpc_client_open(&pair->loop, &address, NULL, &pair->client), 0);
    assert_false(rpc_client_await(pair->client)); /* not connected: no wait, no harm */
    call(pair);
    turn_both_while(pair, &pair->status, PENDING);
    assert_int_equal(pair->status, 0);
    pair->server->behaviour = DEFER;
    pair->done = 0;
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    rpc_client_close(pair->client, fixture_on_closed, &pair->closed);
    while (!pair->closed)
        uv_run(&pair->loop, UV_RUN_NOWAIT);
    uv_run(&pair->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&pair->loop), 0);
    fixture_close(pair->server);
    free(pair);
    return 0;
}

static void what_was_called_leaves_and_the_answer_comes(void **state)
{
    struct pair *pair = *state;
    for (size_t slot = 0; slot < 3; slot++) {
        call(pair);
        assert_false(rpc_client_await(pair->client)); /* nobody has answered */
        assert_int_equal(pair->status, PENDING);
        receive(pair, slot + 1); /* though the client's loop did not run */
        answer(pair, slot);
        assert_true(rpc_client_await(pair->client));
        assert_int_equal(pair->status, 0);
        assert_int_equal(pair->done, slot + 1);
    }
}

static void the_loop_takes_over(void **state)
{
    struct pair *pair = *state;
    call(pair);
    assert_false(rpc_client_await(pair->client));
    receive(pair, 1);
    uv_run(&pair->loop, UV_RUN_NOWAIT); /* nothing to read: it does not block either */
    answer(pair, 0);
    turn_both_while(pair, &pair->status, PENDING);
    assert_int_equal(pair->status, 0);
    pair->server->behaviour = ANSWER;
    call(pair);
    turn_both_while(pair, &pair->status, PENDING);
    assert_int_equal(pair->status, 0);
    assert_int_equal(pair->done, 2);
}

static void several_answers_come_at_once(void **state)
{
    struct pair *pair = *state;
    for (size_t i = 0; i < 3; i++)
        call(pair);
    assert_false(rpc_client_await(pair->client));
    receive(pair, 3);
    for (size_t slot = 0; slot < 3; slot++)
        fixture_answer(pair->server, slot);
    turn_server(pair);
    while (pair->done < 3)
        assert_true(rpc_client_await(pair->client));
}

static void a_server_that_leaves_ends_the_call(void **state)
{
    struct pair *pair = *state;
    call(pair);
    assert_false(rpc_client_await(pair->client));
    receive(pair, 1);
    fixture_close_server(pair->server);
    fixture_answer(pair->server, 0); /* to nobody */
    assert_false(rpc_client_await(pair->client));
    assert_int_equal(pair->status, PENDING); /* it is the loop that tells ends */
    turn_both_while(pair, &pair->status, PENDING);
    assert_int_equal(pair->status, CAIRN_EUNKNOWN);
    assert_false(rpc_client_await(pair->client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_called_leaves_and_the_answer_comes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_loop_takes_over, setup, teardown),
        cmocka_unit_test_setup_teardown(several_answers_come_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_leaves_ends_the_call, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
