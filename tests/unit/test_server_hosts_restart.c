/* C7: a server that was started again says nothing before what an earlier life granted to hosts has
 * run out; the file HOSTS tells how long that takes. */
#include <sys/stat.h>

#include "base/file.h"
#include "tests/unit/hosts_fixture.h"

enum { SHORT_MS = 400, BYTES_MAX = 256 };

static char *name_file(const struct side *side)
{
    static char path[SCRATCH_PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/HOSTS", side->directory);
    return path;
}

static size_t read_record(const struct side *side, char text[BYTES_MAX])
{
    struct error error;
    struct buffer file;
    size_t length;

    buffer_init(&file, BYTES_MAX - 1);
    assert_int_equal(file_read(name_file(side), &file, &error), CAIRN_OK);
    length = file.length;
    memcpy(text, file.data, length);
    text[length] = '\0';
    buffer_free(&file);
    return length;
}

static void write_record(const struct side *side, const char *text, size_t length)
{
    struct error error;

    assert_int_equal(file_replace(name_file(side), text, length, &error), CAIRN_OK);
}

static void crash_and_open(struct side *side, uint64_t host_lease_ms)
{
    close_node(side);
    open_node(side, host_lease_ms);
}

static void nothing_is_told_before_old_leases_have_run_out_C7(void **state)
{
    struct side *side = side_open(SHORT_MS);
    static struct reply written, read, page;
    uint64_t since_ms;

    (void)state;
    assert_int_equal(put_now(side, "k", "v").code, SERVER_OK);
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_OK);
    since_ms = clock_now_ms();
    crash_and_open(side, LONG_MS);
    assert_true(side->node.quiet_until_ms >= since_ms + lease_host_ms(SHORT_MS));
    /* Far off, so that the test may be slow. */
    side->node.quiet_until_ms = clock_now_ms() + LONG_MS;
    assert_int_equal(get_now(side, "k", 0).code, SERVER_STARTING);
    put(side, "k", "new", &written);
    scan(side, &page);
    TURN_UNTIL(side, written.done && page.done);
    assert_int_equal(written.code, SERVER_STARTING);
    assert_int_equal(page.code, SERVER_STARTING);
    assert_int_equal(open_session(side, CLUSTER, OTHER).code, CACHE_STARTING);
    node_tick(&side->node, clock_now_ms() + 2 * LONG_MS);
    get(side, "k", 0, &read);
    TURN_UNTIL(side, read.done);
    assert_string_equal(read.value, "v");
    assert_int_equal(put_now(side, "k", "new").code, SERVER_OK);
    assert_int_equal(open_session(side, CLUSTER, OTHER).code, CACHE_OK);
    side_close(side);
}

/* Of all partitions, as STATUS says. */
static void on_status(void *context, int status, const void *result, const struct error *error)
{
    struct reply *reply = taken(context, status);
    const server_report *report = &((const status_result *)result)->status_result_u.report;

    (void)error;
    assert_int_equal(status, 0);
    assert_int_equal(report->partitions.partitions_len, PARTITIONS);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(report->partitions.partitions_val[i].role,
                         report->partitions.partitions_val[0].role);
    reply->code = (int)report->partitions.partitions_val[0].role;
}

static int told_role(struct side *side)
{
    status_args args = {.cluster = CLUSTER};
    struct reply reply;

    start(side->client, &program_server, SERVER_STATUS, &args, on_status, &reply);
    TURN_UNTIL(side, reply.done);
    return reply.code;
}

static void who_waits_is_seen_to_be_starting_C7(void **state)
{
    struct side *side = side_open(LONG_MS);

    (void)state;
    assert_int_equal(told_role(side), REPLICA_PRIMARY);
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_OK);
    crash_and_open(side, LONG_MS);
    assert_int_equal(told_role(side), REPLICA_STARTING);
    node_tick(&side->node, clock_now_ms() + 2 * LONG_MS);
    assert_int_equal(told_role(side), REPLICA_PRIMARY);
    side_close(side);
}

static void who_never_granted_anything_does_not_wait_C7(void **state)
{
    struct side *side = side_open(LONG_MS);

    (void)state;
    assert_int_equal(put_now(side, "k", "v").code, SERVER_OK);
    assert_int_equal(access(name_file(side), F_OK), -1);
    crash_and_open(side, LONG_MS);
    assert_int_equal(get_now(side, "k", 0).code, SERVER_OK);
    side_close(side);
}

static void the_longest_lease_is_on_disk_before_it_is_granted_C7(void **state)
{
    struct side *side = side_open(1000);
    char text[BYTES_MAX], expected[BYTES_MAX];

    (void)state;
    (void)open_session(side, CLUSTER, SESSION);
    (void)read_record(side, text);
    /* As in FORMATS.md. */
    assert_string_equal(text, "cairn-hosts 1\nlongest 980\nchecksum a59a4e12ac360dec\n");
    crash_and_open(side, 100); /* it never shrinks */
    node_tick(&side->node, clock_now_ms() + LONG_MS);
    (void)open_session(side, CLUSTER, SESSION);
    assert_int_equal(side->node.hosts_record.longest_ms, lease_host_ms(1000));
    crash_and_open(side, LONG_MS);
    node_tick(&side->node, clock_now_ms() + LONG_MS);
    (void)open_session(side, CLUSTER, SESSION);
    (void)read_record(side, text);
    snprintf(expected, sizeof expected, "cairn-hosts 1\nlongest %d\n", (int)lease_host_ms(LONG_MS));
    assert_memory_equal(text, expected, strlen(expected));
    side_close(side);
}

static void without_the_record_no_lease_is_granted_C7(void **state)
{
    struct side *side = side_open(LONG_MS);
    char path[SCRATCH_PATH_MAX + 32];

    (void)state;
    snprintf(path, sizeof path, "%s.new", name_file(side));
    assert_int_equal(mkdir(path, 0700), 0); /* in the way of the new file */
    log_set_level(LOG_ERROR + 1);
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_STARTING);
    log_set_level(LOG_ERROR);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(open_session(side, CLUSTER, SESSION).code, CACHE_OK);
    side_close(side);
}

static void refuse(struct side *side, const char *text, size_t length, int code)
{
    struct error error = {0};

    write_record(side, text, length);
    assert_int_equal(try_to_open_node(side, LONG_MS, &error), code);
    assert_non_null(strstr(error.message, name_file(side)));
}

static void a_record_of_any_other_form_is_refused_W9(void **state)
{
    struct side *side = side_open(1000);
    static const char newer[] = "cairn-hosts 2\nwhatever";
    char text[BYTES_MAX];
    size_t length;

    (void)state;
    (void)open_session(side, CLUSTER, SESSION);
    length = read_record(side, text);
    close_node(side);
    for (size_t i = 0; i < length; i++) {
        text[i] ^= 1;
        /* The version's digit becomes 0, never more. */
        refuse(side, text, length, CAIRN_ECORRUPT);
        text[i] ^= 1;
        refuse(side, text, i, CAIRN_ECORRUPT);
    }
    text[length] = '\n';
    refuse(side, text, length + 1, CAIRN_ECORRUPT);
    refuse(side, newer, sizeof newer - 1, CAIRN_EVERSION);
    write_record(side, text, length);
    side->incarnation = 1;
    open_node(side, LONG_MS);
    side_close(side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_told_before_old_leases_have_run_out_C7),
        cmocka_unit_test(who_waits_is_seen_to_be_starting_C7),
        cmocka_unit_test(who_never_granted_anything_does_not_wait_C7),
        cmocka_unit_test(the_longest_lease_is_on_disk_before_it_is_granted_C7),
        cmocka_unit_test(without_the_record_no_lease_is_granted_C7),
        cmocka_unit_test(a_record_of_any_other_form_is_refused_W9),
    };

    return cmocka_run_group_tests_name("server_hosts_restart", tests, NULL, NULL);
}
