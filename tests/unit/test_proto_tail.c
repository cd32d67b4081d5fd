/* Messages that grew since 0.1.0: what a peer of then sends, which ends where its message did, is
 * decoded with zeros behind it; what ends elsewhere is refused (FORMATS.md, "Growing"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/manager_rpc.h"
#include "proto/server_rpc.h"

enum { ROOM = 1024, DIRT = 0xee };

/* Bytes of each message, its arrays and views empty, as 0.1.0 sent it (server.x and manager.x in
 * proto/released/0.1.0), and of what follows today. */
enum {
    IDENTITY_BYTES = 8 + 4 + 8 + 8,
    HEARTBEAT_BYTES = IDENTITY_BYTES + 8 + 4,
    HEARTBEAT_RESULT_BYTES = 4 + 8 + 4,
    REPORT_BYTES = 4 + 8 + 8 + 4 + 4 + 4 + 4,
    STATUS_BYTES = 4 + 8 + 4 + 8 + 8 + 12 * 8 + 8 + 4 + 4,
    ONE_ARRAY = 4
};

struct wire {
    _Alignas(8) char bytes[ROOM];
    u_int length;
};

static void encode(struct wire *wire, xdrproc_t xdr, void *value)
{
    XDR xdrs;

    memset(wire->bytes, DIRT, sizeof wire->bytes);
    xdrmem_create(&xdrs, wire->bytes, sizeof wire->bytes, XDR_ENCODE);
    assert_true(xdr(&xdrs, value));
    wire->length = XDR_GETPOS(&xdrs);
}

static bool_t decode(struct wire *wire, u_int length, xdrproc_t xdr, void *value, size_t size)
{
    XDR xdrs;

    memset(value, 0, size);
    xdrmem_create(&xdrs, wire->bytes, length, XDR_DECODE);
    return xdr(&xdrs, value);
}

/* All lengths between the old message and today's are cut in the middle of something. */
static void assert_refused_between(struct wire *wire, u_int old, xdrproc_t xdr, void *value,
                                   size_t size)
{
    for (u_int length = 0; length < wire->length; length++) {
        if (length == old)
            continue;
        assert_false(decode(wire, length, xdr, value, size));
        xdr_free(xdr, value);
    }
}

static void an_old_heartbeat_tells_of_no_logs(void **state)
{
    heartbeat_partition partition = {.partition = 3, .epoch = 4, .role = 2, .commit_index = 5};
    heartbeat_log log = {.last_epoch = 6, .last_index = 7};
    heartbeat_args sent = {.map_version = 8, .partitions = {1, &partition}, .logs = {1, &log}}, got;
    const xdrproc_t xdr = (xdrproc_t)xdr_heartbeat_args;
    const u_int old = HEARTBEAT_BYTES + 4 + 8 + 4 + 8;
    struct wire wire;

    (void)state;
    encode(&wire, xdr, &sent);
    assert_int_equal(wire.length, old + ONE_ARRAY + 2 * 8);
    assert_true(decode(&wire, old, xdr, &got, sizeof got));
    assert_true(got.since_0_1_0.absent);
    assert_int_equal(got.partitions.partitions_val[0].commit_index, 5);
    assert_int_equal(got.logs.logs_len, 0);
    xdr_free(xdr, &got);
    assert_true(decode(&wire, wire.length, xdr, &got, sizeof got));
    assert_false(got.since_0_1_0.absent);
    assert_int_equal(got.logs.logs_val[0].last_index, 7);
    xdr_free(xdr, &got);
    assert_refused_between(&wire, old, xdr, &got, sizeof got);
}

static void an_old_managers_answer_wishes_nothing(void **state)
{
    heartbeat_result sent = {.heartbeat_result_u.done.map_version = 8}, got;
    const heartbeat_done *done = &got.heartbeat_result_u.done;
    const xdrproc_t xdr = (xdrproc_t)xdr_heartbeat_result;
    struct wire wire;

    (void)state;
    encode(&wire, xdr, &sent);
    assert_int_equal(wire.length, HEARTBEAT_RESULT_BYTES + ONE_ARRAY);
    assert_true(decode(&wire, HEARTBEAT_RESULT_BYTES, xdr, &got, sizeof got));
    assert_true(done->since_0_1_0.absent && done->map_version == 8);
    assert_int_equal(done->wishes.wishes_len, 0);
    assert_refused_between(&wire, HEARTBEAT_RESULT_BYTES, xdr, &got, sizeof got);
}

static void an_old_managers_status_tells_of_no_duties(void **state)
{
    manager_status_result sent, got;
    const manager_report *report = &got.manager_status_result_u.report;
    const xdrproc_t xdr = (xdrproc_t)xdr_manager_status_result;
    struct wire wire;

    (void)state;
    memset(&sent, 0, sizeof sent);
    sent.manager_status_result_u.report.replicas = 1;
    sent.manager_status_result_u.report.replace_after_ms = UINT64_MAX;
    encode(&wire, xdr, &sent);
    assert_int_equal(wire.length, REPORT_BYTES + ONE_ARRAY + 8 + ONE_ARRAY);
    assert_true(decode(&wire, REPORT_BYTES, xdr, &got, sizeof got));
    assert_true(report->since_0_1_0.absent && report->replicas == 1);
    assert_true(report->replace_after_ms == 0);
    assert_int_equal(report->duties.duties_len, 0);
    assert_int_equal(report->moving.moving_len, 0);
    assert_refused_between(&wire, REPORT_BYTES, xdr, &got, sizeof got);
}

static void an_old_servers_status_tells_of_no_copies(void **state)
{
    status_result sent, got;
    const server_report *report = &got.status_result_u.report;
    const xdrproc_t xdr = (xdrproc_t)xdr_status_result;
    struct wire wire;

    (void)state;
    memset(&sent, 0, sizeof sent);
    sent.status_result_u.report.server = 1;
    encode(&wire, xdr, &sent);
    assert_int_equal(wire.length, STATUS_BYTES + ONE_ARRAY);
    assert_true(decode(&wire, STATUS_BYTES, xdr, &got, sizeof got));
    assert_true(report->since_0_1_0.absent && report->server == 1);
    assert_int_equal(report->copies.copies_len, 0);
    assert_refused_between(&wire, STATUS_BYTES, xdr, &got, sizeof got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_heartbeat_tells_of_no_logs),
        cmocka_unit_test(an_old_managers_answer_wishes_nothing),
        cmocka_unit_test(an_old_managers_status_tells_of_no_duties),
        cmocka_unit_test(an_old_servers_status_tells_of_no_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
