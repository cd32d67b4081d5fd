/* What the tests of rpc/ share: a loop with a server on a free port of 127.0.0.1 whose service the
 * test controls, and raw sockets that speak to it byte by byte. Everything runs on one thread. */
#ifndef CAIRN_TESTS_RPC_FIXTURE_H
#define CAIRN_TESTS_RPC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proto/server_rpc.h"
#include "rpc/client.h"
#include "rpc/server.h"

enum { WAIT_MS = 20000, FIXTURE_CALLS = 4096, VALUE_MAX = 1 << 20 };

/* How the GET handler behaves. */
enum behaviour {
    ANSWER,  /* at once: the value is the key */
    DEFER,   /* keeps the call in `waiting` */
    LARGE,   /* at once: `large_size` bytes */
    INVALID, /* a result that cannot be encoded */
    FAIL     /* rpc_reply_error SYSTEM_ERR */
};

struct fixture {
    uv_loop_t loop;
    struct rpc_server *server;
    struct rpc_service service;
    uint16_t port;
    enum behaviour behaviour;
    struct rpc_call *waiting[FIXTURE_CALLS]; /* deferred, in order of arrival */
    uint8_t keys[FIXTURE_CALLS][16];
    uint32_t key_lengths[FIXTURE_CALLS];
    size_t waiting_count;
    size_t gets;
    size_t last_value_length; /* of a PUT */
    uint32_t large_size;
    bool server_closed;
    bool client_closed;
};

static uint8_t fixture_large[VALUE_MAX];

static inline void fixture_reply(struct rpc_call *call, const uint8_t *data, uint32_t length)
{
    get_result result = {.status = SERVER_OK};
    result.get_result_u.found = (get_found){.key_version = 7, .value = {data, length}};
    rpc_reply(call, &result);
}

static inline void fixture_get(void *context, struct rpc_call *call, const void *untyped)
{
    struct fixture *fixture = context;
    const get_args *args = untyped;
    size_t slot = fixture->waiting_count;
    fixture->gets++;
    switch (fixture->behaviour) {
    case ANSWER:
        fixture_reply(call, args->key.data, args->key.length);
        break;
    case DEFER:
        assert_true(slot < FIXTURE_CALLS && args->key.length <= 16);
        if (args->key.length > 0) {
            memcpy(fixture->keys[slot], args->key.data, args->key.length);
        }
        fixture->key_lengths[slot] = args->key.length;
        fixture->waiting[slot] = call;
        fixture->waiting_count++;
        break;
    case LARGE:
        fixture_reply(call, fixture_large, fixture->large_size);
        break;
    case INVALID:
        fixture_reply(call, fixture_large, VALUE_MAX + 1);
        break;
    case FAIL:
        rpc_reply_error(call, SYSTEM_ERR);
        break;
    }
}

static inline void fixture_answer(struct fixture *fixture, size_t slot)
{
    fixture_reply(fixture->waiting[slot], fixture->keys[slot], fixture->key_lengths[slot]);
    fixture->waiting[slot] = NULL;
}

static inline void fixture_put(void *context, struct rpc_call *call, const void *untyped)
{
    struct fixture *fixture = context;
    const put_args *args = untyped;
    put_result result = {.status = SERVER_OK};
    fixture->last_value_length = args->value.length;
    for (uint32_t i = 0; i < args->value.length; i++) {
        assert_int_equal(args->value.data[i], (uint8_t)(i * 7));
    }
    rpc_reply(call, &result);
}

/* Decodes into an array that XDR allocates. */
static inline void fixture_retire(void *context, struct rpc_call *call, const void *untyped)
{
    const retire_args *args = untyped;
    retire_result result = {.status = (server_status)args->partitions.partitions_len};
    (void)context;
    rpc_reply(call, &result);
}

static const rpc_handler fixture_handlers[] = {
    [SERVER_GET] = fixture_get,
    [SERVER_PUT] = fixture_put,
    [SERVER_STATUS] = NULL,
    [SERVER_RETIRE] = fixture_retire,
};

static inline struct address fixture_address(uint16_t port)
{
    struct address address = {.host = "127.0.0.1", .port = port};
    return address;
}

static inline struct fixture *fixture_open(const struct rpc_server_options *options)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct address address = fixture_address(0);
    struct error error;
    assert_non_null(fixture);
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    fixture->service = (struct rpc_service){&program_server, fixture_handlers, fixture};
    assert_int_equal(rpc_server_listen(&fixture->loop, &address, &fixture->service, 1, options,
                                       &fixture->server, &error),
                     0);
    fixture->port = rpc_server_port(fixture->server);
    assert_int_not_equal(fixture->port, 0);
    return fixture;
}

static inline void fixture_on_closed(void *context)
{
    *(bool *)context = true;
}

static inline void fixture_run(struct fixture *fixture)
{
    (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

/* Runs the loop until the condition holds; fails the test after WAIT_MS. */
#define RUN_UNTIL(fixture, condition)                                                              \
    do {                                                                                           \
        uint64_t run_until_end = clock_now_ms() + WAIT_MS;                                         \
        while (!(condition)) {                                                                     \
            assert_true(clock_now_ms() < run_until_end);                                           \
            fixture_run(fixture);                                                                  \
        }                                                                                          \
    } while (0)

static inline void fixture_close_server(struct fixture *fixture)
{
    if (fixture->server != NULL) {
        rpc_server_close(fixture->server, fixture_on_closed, &fixture->server_closed);
        fixture->server = NULL;
        RUN_UNTIL(fixture, fixture->server_closed);
    }
}

static inline void fixture_close(struct fixture *fixture)
{
    fixture_close_server(fixture);
    RUN_UNTIL(fixture, !uv_loop_alive(&fixture->loop));
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    free(fixture);
}

static inline void fixture_on_guard(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Runs the loop as one who waits in it does, blocking: nothing but what the condition waits for may
 * have to wake it. */
#define BLOCK_UNTIL(fixture, condition)                                                            \
    do {                                                                                           \
        uv_timer_t block_guard;                                                                    \
        bool block_expired = false;                                                                \
        uv_timer_init(&(fixture)->loop, &block_guard);                                             \
        block_guard.data = &block_expired;                                                         \
        uv_update_time(&(fixture)->loop);                                                          \
        uv_timer_start(&block_guard, fixture_on_guard, WAIT_MS, 0);                                \
        while (!(condition) && !block_expired) {                                                   \
            (void)uv_run(&(fixture)->loop, UV_RUN_ONCE);                                           \
        }                                                                                          \
        uv_close((uv_handle_t *)&block_guard, NULL);                                               \
        fixture_run(fixture);                                                                      \
        assert_false(block_expired);                                                               \
    } while (0)

static inline struct rpc_server_stats fixture_stats(const struct fixture *fixture)
{
    struct rpc_server_stats stats;
    rpc_server_stats(fixture->server, &stats);
    return stats;
}

/* --- raw sockets ----------------------------------------------------------- */

static inline int raw_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    int one = 1; /* pieces leave as they are sent */
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    return fd;
}

/* Sends all; false if the peer is gone. */
static inline bool raw_send(struct fixture *fixture, int fd, const void *data, size_t length)
{
    const uint8_t *at = data;
    uint64_t end_ms = clock_now_ms() + WAIT_MS;
    while (length > 0) {
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            return false;
        }
        if (sent > 0) {
            at += sent;
            length -= (size_t)sent;
        }
        assert_true(clock_now_ms() < end_ms);
        fixture_run(fixture);
    }
    return true;
}

/* Receives exactly `length` bytes; false if the peer closed before. */
static inline bool raw_receive(struct fixture *fixture, int fd, void *data, size_t length)
{
    uint8_t *at = data;
    uint64_t end_ms = clock_now_ms() + WAIT_MS;
    while (length > 0) {
        ssize_t got = recv(fd, at, length, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            return false;
        }
        if (got > 0) {
            at += got;
            length -= (size_t)got;
        }
        assert_true(clock_now_ms() < end_ms);
        fixture_run(fixture);
    }
    return true;
}

static inline bool raw_is_closed(struct fixture *fixture, int fd)
{
    uint8_t byte;
    return !raw_receive(fixture, fd, &byte, 1);
}

/* --- messages by hand ------------------------------------------------------ */

struct bytes {
    size_t length;
    uint8_t data[4096];
};

static inline void bytes_word(struct bytes *bytes, uint32_t word)
{
    uint32_t wire = htonl(word);
    assert_true(bytes->length + 4 <= sizeof bytes->data);
    memcpy(bytes->data + bytes->length, &wire, 4);
    bytes->length += 4;
}

static inline void bytes_words(struct bytes *bytes, const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bytes_word(bytes, words[i]);
    }
}

/* A GET of a key of four bytes: mark, header with AUTH_NONE, two hypers, the key. */
static inline void bytes_get(struct bytes *bytes, uint32_t xid, const char key[4])
{
    const uint32_t words[] = {0x80000000U + 64,
                              xid,
                              0,
                              2,
                              CAIRN_SERVER,
                              CAIRN_SERVER_V1,
                              SERVER_GET,
                              0,
                              0,
                              0,
                              0,
                              0,
                              0,
                              0,
                              0,
                              4};
    bytes_words(bytes, words, sizeof words / sizeof *words);
    memcpy(bytes->data + bytes->length, key, 4);
    bytes->length += 4;
}

/* What ANSWER replies to that. */
static inline void bytes_got(struct bytes *bytes, uint32_t xid, const char key[4])
{
    const uint32_t words[] = {
        0x80000000U + 68, xid, 1, 0, 0, 0, 0, SERVER_OK, 0, 7, 0, 0, 0, 0, 0, 0, 4};
    bytes_words(bytes, words, sizeof words / sizeof *words);
    memcpy(bytes->data + bytes->length, key, 4);
    bytes->length += 4;
}

static inline void raw_expect(struct fixture *fixture, int fd, const struct bytes *expected)
{
    struct bytes got = {0};
    assert_true(raw_receive(fixture, fd, got.data, expected->length));
    assert_memory_equal(got.data, expected->data, expected->length);
}

#endif
