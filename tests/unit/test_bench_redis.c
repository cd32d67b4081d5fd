/* A change of Redis that has to be replicated: WAIT leaves with it, and too few acknowledgements
 * are a failure. Against a socket that answers as told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/target.h"

enum { CALLS_MAX = 4, CALL_SIZE = 512 };

/* What is sent for each thing received, one after another, and what was received. */
static struct {
    int listener;
    char address[32];
    const char *replies[CALLS_MAX];
    char received[CALLS_MAX][CALL_SIZE];
    unsigned calls;
} redis;

static void *serve(void *unused)
{
    int link = accept(redis.listener, NULL, NULL);

    (void)unused;
    for (unsigned i = 0; i < CALLS_MAX && redis.replies[i] != NULL; i++) {
        ssize_t got = read(link, redis.received[i], CALL_SIZE - 1);
        if (got <= 0) {
            break;
        }
        redis.calls++;
        if (write(link, redis.replies[i], strlen(redis.replies[i])) < 0) {
            break;
        }
    }
    close(link);
    return NULL;
}

static int setup(void **state)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t length = sizeof(local);

    (void)state;
    memset(&redis, 0, sizeof(redis));
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    redis.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(redis.listener, (struct sockaddr *)&local, sizeof(local)), 0);
    assert_int_equal(listen(redis.listener, 1), 0);
    assert_int_equal(getsockname(redis.listener, (struct sockaddr *)&local, &length), 0);
    snprintf(redis.address, sizeof(redis.address), "127.0.0.1:%u", ntohs(local.sin_port));
    redis.replies[0] = "+PONG\r\n";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(redis.listener);
    return 0;
}

/* Opens a session, puts, closes; returns what the put gave. */
static int put_once(uint32_t wait, const char *reply, struct error *error)
{
    const struct target_place place = {
        .address = redis.address, .timeout_ms = 5000, .redis_wait = wait};
    struct session *session = NULL;
    pthread_t thread;

    redis.replies[1] = reply;
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    assert_int_equal(target_redis.open(&place, &session, error), 0);
    int status =
        target_redis.put(session, (struct bytes){"k", 1}, (struct bytes){"value", 5}, error);
    target_redis.close(session);
    pthread_join(thread, NULL);
    return status;
}

static const char SET[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n";

static void a_put_leaves_alone_unless_it_is_to_be_replicated(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(put_once(0, "+OK\r\n", &error), 0);
    assert_string_equal(redis.received[1], SET);
}

static void wait_leaves_in_the_same_packet_and_both_are_awaited(void **state)
{
    struct error error = {0};
    char both[CALL_SIZE];

    (void)state;
    snprintf(both, sizeof(both), "%s*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n", SET);
    assert_int_equal(put_once(1, "+OK\r\n:1\r\n", &error), 0);
    assert_string_equal(redis.received[1], both);
}

static void a_missing_answer_to_wait_is_a_failure(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(put_once(1, "+OK\r\n", &error), CAIRN_EUNAVAILABLE);
}

static void too_few_acknowledgements_are_a_failure(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(put_once(2, "+OK\r\n:1\r\n", &error), CAIRN_EUNAVAILABLE);
    assert_non_null(strstr(error.message, "1 replicas acknowledged, not 2"));
}

static void an_error_of_either_is_a_failure(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(put_once(1, "-READONLY no\r\n:1\r\n", &error), CAIRN_EPROTO);
    assert_non_null(strstr(error.message, "READONLY"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_put_leaves_alone_unless_it_is_to_be_replicated),
        TEST(wait_leaves_in_the_same_packet_and_both_are_awaited),
        TEST(a_missing_answer_to_wait_is_a_failure),
        TEST(too_few_acknowledgements_are_a_failure),
        TEST(an_error_of_either_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
