/* etcd as a target, against etcd itself where it is installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/target.h"
#include "tests/lib/scratch.h"

enum { TEXT_SIZE = 128, START_MS = 60000, STEP_MS = 50, TIMEOUT_MS = 20000 };

extern char **environ;

static char scratch[SCRATCH_PATH_MAX], address[TEXT_SIZE];
static pid_t server; /* 0: not installed */

/* Two ports that nobody uses now. */
static void choose_ports(unsigned ports[2])
{
    int sockets[2];
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in local = {.sin_family = AF_INET};
        socklen_t length = sizeof(local);
        local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(sockets[i], (struct sockaddr *)&local, sizeof(local)), 0);
        assert_int_equal(getsockname(sockets[i], (struct sockaddr *)&local, &length), 0);
        ports[i] = ntohs(local.sin_port);
    }
    close(sockets[0]);
    close(sockets[1]);
}

static int start_server(void **state)
{
    char client[TEXT_SIZE], peer[TEXT_SIZE], cluster[TEXT_SIZE + 8], log[TEXT_SIZE];
    posix_spawn_file_actions_t actions;
    unsigned ports[2];
    (void)state;
    scratch_create(scratch);
    choose_ports(ports);
    snprintf(address, sizeof(address), "127.0.0.1:%u", ports[0]);
    snprintf(client, sizeof(client), "http://127.0.0.1:%u", ports[0]);
    snprintf(peer, sizeof(peer), "http://127.0.0.1:%u", ports[1]);
    snprintf(cluster, sizeof(cluster), "one=%s", peer);
    snprintf(log, sizeof(log), "%s/log", scratch);
    char program[] = "etcd", name[] = "--name", one[] = "one", data[] = "--data-dir";
    char o1[] = "--listen-client-urls", o2[] = "--advertise-client-urls";
    char o3[] = "--listen-peer-urls", o4[] = "--initial-advertise-peer-urls";
    char o5[] = "--initial-cluster";
    char *words[] = {program, name, one,  data, scratch, o1, client,  o2,
                     client,  o3,   peer, o4,   peer,    o5, cluster, NULL};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawnp(&server, "etcd", &actions, NULL, words, environ) != 0)
        server = 0;
    posix_spawn_file_actions_destroy(&actions);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    scratch_remove(scratch);
    return 0;
}

static struct bytes text(const char *characters)
{
    return (struct bytes){characters, strlen(characters)};
}

/* As soon as it serves. */
static struct session *open_session(void)
{
    const struct target_place place = {.address = address, .timeout_ms = TIMEOUT_MS};
    uint64_t deadline_ms = clock_now_ms() + START_MS;
    struct session *session = NULL;
    struct error error = {0};
    while (target_etcd.open(&place, &session, &error) != 0) {
        if (clock_now_ms() >= deadline_ms)
            fail_msg("%s", error.message);
        clock_sleep_ms(STEP_MS);
    }
    return session;
}

static bool has(struct session *session, const char *key)
{
    struct error error = {0};
    bool found = false;
    if (target_etcd.get(session, text(key), &found, &error) != 0)
        fail_msg("%s", error.message);
    return found;
}

static void what_is_put_is_found_until_it_is_deleted(void **state)
{
    struct error error = {0};

    (void)state;
    if (server == 0) {
        print_message("skipped: etcd is not installed (tools/install-deps)\n");
        skip();
    }
    struct session *session = open_session(), *second = open_session();
    assert_false(has(session, "a"));
    assert_int_equal(target_etcd.put(session, text("a"), text("1"), &error), 0);
    assert_int_equal(target_etcd.put(session, text("b"), text(""), &error), 0);
    assert_true(has(second, "a"));
    assert_true(has(second, "b"));
    assert_int_equal(target_etcd.scan(second, text("a"), 1, &error), 0);
    assert_int_equal(target_etcd.scan(second, text("c"), 50, &error), 0);
    assert_int_equal(target_etcd.remove(second, text("a"), &error), 0);
    assert_int_equal(target_etcd.remove(second, text("a"), &error), 0);
    assert_false(has(session, "a"));
    assert_true(has(session, "b"));
    target_etcd.close(session);
    target_etcd.close(second);
}

static void what_it_refuses_is_an_error_and_the_session_goes_on(void **state)
{
    struct error error = {0};
    bool found;

    (void)state;
    if (server == 0)
        skip();
    struct session *session = open_session();
    assert_int_equal(target_etcd.get(session, (struct bytes){"", 0}, &found, &error), CAIRN_EINVAL);
    assert_non_null(strstr(error.message, "key is not provided"));
    assert_int_equal(target_etcd.put(session, text("a"), text("1"), &error), 0);
    target_etcd.close(session);
}

/* etcd asks for answers to its PINGs and for window updates: without them it would stall. */
static void much_goes_both_ways(void **state)
{
    enum { LENGTH = 1 << 20, TIMES = 10 };
    struct error error = {0};
    char key[16];

    (void)state;
    if (server == 0)
        skip();
    char *value = calloc(1, LENGTH);
    assert_non_null(value);
    struct session *session = open_session();
    for (int i = 0; i < TIMES; i++) {
        snprintf(key, sizeof(key), "much%d", i);
        if (target_etcd.put(session, text(key), (struct bytes){value, LENGTH}, &error) != 0)
            fail_msg("%s", error.message);
    }
    if (target_etcd.scan(session, text("much"), TIMES, &error) != 0)
        fail_msg("%s", error.message);
    target_etcd.close(session);
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found_until_it_is_deleted),
        cmocka_unit_test(what_it_refuses_is_an_error_and_the_session_goes_on),
        cmocka_unit_test(much_goes_both_ways),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
