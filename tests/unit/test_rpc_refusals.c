/* What a server refuses, byte for byte as RFC 5531 section 9 says, over a real socket. */
#include "tests/unit/rpc_fixture.h"

static int setup(void **state)
{
    *state = fixture_open(NULL);
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    return 0;
}

#define SEND(fixture, fd, ...)                                                                     \
    do {                                                                                           \
        const uint32_t send_words[] = {__VA_ARGS__};                                               \
        struct bytes send_bytes = {0};                                                             \
        bytes_words(&send_bytes, send_words, sizeof send_words / 4);                               \
        assert_true(raw_send(fixture, fd, send_bytes.data, send_bytes.length));                    \
    } while (0)

#define EXPECT(fixture, fd, ...)                                                                   \
    do {                                                                                           \
        const uint32_t expect_words[] = {__VA_ARGS__};                                             \
        struct bytes expect_bytes = {0};                                                           \
        bytes_words(&expect_bytes, expect_words, sizeof expect_words / 4);                         \
        raw_expect(fixture, fd, &expect_bytes);                                                    \
    } while (0)

static const uint32_t CALL40 = 0x80000028U, REPLY24 = 0x80000018U, REPLY32 = 0x80000020U;

static void the_null_procedure_is_always_answered(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(fixture->port);
    SEND(fixture, fd, CALL40, 11, CALL, 2, CAIRN_SERVER, 1, 0, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY24, 11, REPLY, MSG_ACCEPTED, 0, 0, SUCCESS);
    close(fd);
}

static void another_version_of_rpc_is_denied_with_low_and_high(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(fixture->port);
    SEND(fixture, fd, CALL40, 12, CALL, 3, CAIRN_SERVER, 1, 0, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY24, 12, REPLY, MSG_DENIED, RPC_MISMATCH, 2, 2);
    /* and the connection goes on */
    SEND(fixture, fd, CALL40, 13, CALL, 2, CAIRN_SERVER, 1, 0, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY24, 13, REPLY, MSG_ACCEPTED, 0, 0, SUCCESS);
    close(fd);
}

static void an_unknown_program_is_unavailable(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(fixture->port);
    SEND(fixture, fd, CALL40, 14, CALL, 2, CAIRN_SERVER + 5, 1, 0, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY24, 14, REPLY, MSG_ACCEPTED, 0, 0, PROG_UNAVAIL);
    close(fd);
}

static void another_version_of_the_program_is_answered_with_low_and_high(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(fixture->port);
    SEND(fixture, fd, CALL40, 15, CALL, 2, CAIRN_SERVER, 9, 0, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY32, 15, REPLY, MSG_ACCEPTED, 0, 0, PROG_MISMATCH, 1, 1);
    close(fd);
}

static void low_and_high_span_all_versions_served(void **state)
{
    struct fixture *fixture = *state;
    static const struct rpc_program other = {.number = 0x20000001, .version = 3};
    static const struct rpc_program newer = {.number = 0x20000001, .version = 5};
    const struct rpc_service services[] = {{.program = &newer}, {.program = &other}};
    struct address address = fixture_address(0);
    struct rpc_server *server;
    bool closed = false;
    assert_int_equal(rpc_server_listen(&fixture->loop, &address, services, 2, NULL, &server, NULL),
                     0);
    int fd = raw_connect(rpc_server_port(server));
    SEND(fixture, fd, CALL40, 16, CALL, 2, 0x20000001, 4, 0, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY32, 16, REPLY, MSG_ACCEPTED, 0, 0, PROG_MISMATCH, 3, 5);
    close(fd);
    rpc_server_close(server, fixture_on_closed, &closed);
    RUN_UNTIL(fixture, closed);
}

static void unknown_and_unserved_procedures_are_unavailable(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(fixture->port);
    SEND(fixture, fd, CALL40, 17, CALL, 2, CAIRN_SERVER, 1, 1000, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY24, 17, REPLY, MSG_ACCEPTED, 0, 0, PROC_UNAVAIL);
    SEND(fixture, fd, CALL40, 18, CALL, 2, CAIRN_SERVER, 1, 0xffffffffU, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY24, 18, REPLY, MSG_ACCEPTED, 0, 0, PROC_UNAVAIL);
    SEND(fixture, fd, CALL40, 19, CALL, 2, CAIRN_SERVER, 1, SERVER_STATUS, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY24, 19, REPLY, MSG_ACCEPTED, 0, 0, PROC_UNAVAIL);
    close(fd);
}

static void arguments_that_do_not_decode_are_garbage(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(fixture->port);
    /* none at all; a key longer than its limit; a key longer than the record */
    SEND(fixture, fd, CALL40, 20, CALL, 2, CAIRN_SERVER, 1, SERVER_GET, 0, 0, 0, 0);
    EXPECT(fixture, fd, REPLY24, 20, REPLY, MSG_ACCEPTED, 0, 0, GARBAGE_ARGS);
    SEND(fixture, fd, 0x8000003cU, 21, CALL, 2, CAIRN_SERVER, 1, SERVER_GET, 0, 0, 0, 0, 0, 0, 0, 0,
         481);
    EXPECT(fixture, fd, REPLY24, 21, REPLY, MSG_ACCEPTED, 0, 0, GARBAGE_ARGS);
    SEND(fixture, fd, 0x80000040U, 22, CALL, 2, CAIRN_SERVER, 1, SERVER_GET, 0, 0, 0, 0, 0, 0, 0, 0,
         8, 0x61616161);
    EXPECT(fixture, fd, REPLY24, 22, REPLY, MSG_ACCEPTED, 0, 0, GARBAGE_ARGS);
    /* an array that promises more elements than follow: what was allocated is freed */
    SEND(fixture, fd, 0x80000040U, 23, CALL, 2, CAIRN_SERVER, 1, SERVER_RETIRE, 0, 0, 0, 0, 0, 0, 0,
         1, 5000, 1);
    EXPECT(fixture, fd, REPLY24, 23, REPLY, MSG_ACCEPTED, 0, 0, GARBAGE_ARGS);
    SEND(fixture, fd, 0x80000044U, 24, CALL, 2, CAIRN_SERVER, 1, SERVER_RETIRE, 0, 0, 0, 0, 0, 0, 0,
         1, 2, 1, 2);
    EXPECT(fixture, fd, 0x8000001cU, 24, REPLY, MSG_ACCEPTED, 0, 0, SUCCESS, 2);
    assert_int_equal(fixture_stats(fixture).errors, 4);
    close(fd);
}

static void results_that_cannot_be_encoded_are_a_system_error(void **state)
{
    struct fixture *fixture = *state;
    struct bytes call = {0};
    int fd = raw_connect(fixture->port);
    fixture->behaviour = INVALID;
    bytes_get(&call, 25, "abcd");
    assert_true(raw_send(fixture, fd, call.data, call.length));
    EXPECT(fixture, fd, REPLY24, 25, REPLY, MSG_ACCEPTED, 0, 0, SYSTEM_ERR);
    fixture->behaviour = FAIL;
    call.length = 0;
    bytes_get(&call, 26, "abcd");
    assert_true(raw_send(fixture, fd, call.data, call.length));
    EXPECT(fixture, fd, REPLY24, 26, REPLY, MSG_ACCEPTED, 0, 0, SYSTEM_ERR);
    close(fd);
}

static void any_credentials_up_to_400_bytes_are_accepted(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(fixture->port);
    for (uint32_t size = 0; size <= 400; size += 40) {
        struct bytes call = {0};
        const uint32_t head[] = {
            0x80000028U + 2 * size, size, CALL, 2, CAIRN_SERVER, 1, 0, AUTH_SYS, size};
        bytes_words(&call, head, sizeof head / 4);
        call.length += size;
        bytes_word(&call, 77);
        bytes_word(&call, size);
        call.length += size;
        assert_true(raw_send(fixture, fd, call.data, call.length));
        EXPECT(fixture, fd, REPLY24, size, REPLY, MSG_ACCEPTED, 0, 0, SUCCESS);
    }
    /* one more is not a message of RPC */
    struct bytes call = {0};
    const uint32_t head[] = {0x80000028U + 404, 1, CALL, 2, CAIRN_SERVER, 1, 0, AUTH_SYS, 401};
    bytes_words(&call, head, sizeof head / 4);
    call.length += 404;
    bytes_word(&call, 0);
    bytes_word(&call, 0);
    assert_true(raw_send(fixture, fd, call.data, call.length));
    assert_true(raw_is_closed(fixture, fd));
    assert_int_equal(fixture_stats(fixture).dropped, 1);
    close(fd);
}

static void what_is_no_call_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        size_t count;
        uint32_t words[8];
    } garbage[] = {
        {1, {0x80000000U}},                       /* an empty record */
        {7, {0x80000018U, 1, REPLY, 0, 0, 0, 0}}, /* a reply */
        {2, {0x80000004U, 1}},                    /* too short */
        {6, {0x80000014U, 1, CALL, 2, 5, 6}},     /* ends in the header */
        {2, {0x47455420, 0x2f204854}},            /* GET / HT */
    };
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct bytes bytes = {0};
        int fd = raw_connect(fixture->port);
        bytes_words(&bytes, garbage[i].words, garbage[i].count);
        (void)raw_send(fixture, fd, bytes.data, bytes.length);
        assert_true(raw_is_closed(fixture, fd));
        close(fd);
    }
    assert_int_equal(fixture_stats(fixture).dropped, sizeof garbage / sizeof *garbage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_null_procedure_is_always_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(another_version_of_rpc_is_denied_with_low_and_high, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_unknown_program_is_unavailable, setup, teardown),
        cmocka_unit_test_setup_teardown(
            another_version_of_the_program_is_answered_with_low_and_high, setup, teardown),
        cmocka_unit_test_setup_teardown(low_and_high_span_all_versions_served, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_and_unserved_procedures_are_unavailable, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(arguments_that_do_not_decode_are_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(results_that_cannot_be_encoded_are_a_system_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(any_credentials_up_to_400_bytes_are_accepted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_no_call_ends_the_connection, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
