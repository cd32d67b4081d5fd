/* The manager's log: a batch of changes costs one sync, the log stays small, damage is refused. */
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "manager/journal.h"
#include "manager/log.h"
#include "tests/unit/manager_fixture.h"

struct fixture {
    char directory[SCRATCH_PATH_MAX], wal[80];
    struct manager_log log;
    struct membership *membership;
};

static int open_log(struct fixture *fixture, struct error *error)
{
    return manager_log_open(&fixture->log, fixture->wal, PARTITIONS, 2, 1000, &fixture->membership,
                            error);
}

static void close_log(struct fixture *fixture)
{
    if (fixture->log.wal != NULL)
        manager_log_close(&fixture->log);
    membership_free(fixture->membership);
    fixture->membership = NULL;
}

static void append(struct fixture *fixture)
{
    manager_log_append(&fixture->log, fixture->membership);
    manager_log_flush(&fixture->log);
}

/* An empty log, then a placed cluster in it. */
static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    scratch_create(fixture->directory);
    (void)snprintf(fixture->wal, sizeof fixture->wal, "%s/wal", fixture->directory);
    assert_int_equal(open_log(fixture, NULL), 0);
    assert_null(fixture->membership);
    fixture->membership = new_membership(2);
    manager_log_append_map(&fixture->log, fixture->membership);
    for (uint32_t i = 0; i < SERVERS; i++)
        register_one(fixture->membership, i, 1000);
    append(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    close_log(fixture);
    scratch_remove(fixture->directory);
    free(fixture);
    return 0;
}

/* Takes the lead of all partitions of one server, in one call. */
static void lead_all(struct membership *membership, uint32_t server)
{
    struct propose_args args = {.who = identity_of(CLUSTER, server, store_of(server), 1)};
    struct proposal proposals[PARTITIONS];
    struct membership_reply reply;
    struct buffer bytes;

    args.proposals.proposals_val = proposals;
    buffer_init(&bytes, PARTITIONS * CAIRN_PACKED_LIMIT);
    assert_int_equal(buffer_reserve(&bytes, PARTITIONS * CAIRN_PACKED_LIMIT), 0);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct configuration next = membership->map.configurations[i];
        const size_t before = bytes.length;

        if (!configuration_has_member(&next, server, store_of(server)))
            continue;
        proposals[args.proposals.proposals_len].expected_epoch = next.epoch++;
        next.primary = (struct replica_id){server, store_of(server), 1};
        assert_int_equal(configuration_pack(&next, &bytes, NULL), 0);
        proposals[args.proposals.proposals_len++].configuration =
            (struct view){bytes.data + before, (uint32_t)(bytes.length - before)};
    }
    assert_int_equal(membership_propose(membership, 1000, &args, &reply), 0);
    assert_int_equal(membership->change_count, args.proposals.proposals_len);
    assert_true(args.proposals.proposals_len > 1);
    membership_reply_free(&reply);
    buffer_free(&bytes);
}

static void pack_state(const struct membership *membership, struct buffer *out)
{
    buffer_init(out, CAIRN_MAP_LIMIT);
    assert_int_equal(cluster_map_pack(&membership->map, out, NULL), 0);
}

/* Reopens and compares. */
static void assert_reopens_equal(struct fixture *fixture)
{
    const size_t retired = fixture->membership->retired_count;
    struct buffer before, after;

    pack_state(fixture->membership, &before);
    close_log(fixture);
    assert_int_equal(open_log(fixture, NULL), 0);
    assert_non_null(fixture->membership);
    pack_state(fixture->membership, &after);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.data, after.data, before.length);
    assert_int_equal(fixture->membership->retired_count, retired);
    buffer_free(&before);
    buffer_free(&after);
}

static void a_batch_of_proposals_costs_one_sync(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t before = wal_syncs(fixture->log.wal);

    lead_all(fixture->membership, 0);
    append(fixture);
    assert_true(wal_syncs(fixture->log.wal) == before + 1);
    assert_reopens_equal(fixture);
}

static void nothing_changed_costs_nothing(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t before = wal_syncs(fixture->log.wal);

    append(fixture);
    assert_true(wal_syncs(fixture->log.wal) == before);
}

static void a_long_life_leaves_a_short_log(void **state)
{
    struct fixture *fixture = *state;

    for (int round = 0; round < 6000; round++) {
        assert_true(manager_log_has_room(&fixture->log, fixture->membership, PARTITIONS, 0));
        lead_all(fixture->membership, (uint32_t)round % 2);
        manager_log_append(&fixture->log, fixture->membership);
        if (round % 16 == 0)
            manager_log_flush(&fixture->log);
        else
            (void)manager_log_complete(&fixture->log);
    }
    manager_log_flush(&fixture->log);
    /* Some 3 MiB were written. What is left: the segment in use and those the last whole map did
     * not cover yet. */
    assert_true(wal_last_lsn(fixture->log.wal) > 20000);
    assert_true(wal_bytes(fixture->log.wal) < 3 << 20);
    assert_reopens_equal(fixture);
}

/* R10: retired stores are many here, so that they straddle segments where the log is cut. */
static void no_cut_forgets_a_store(void **state)
{
    struct fixture *fixture = *state;
    struct registration replaced = {.server = 2, .incarnation = 1, .replace_store = true};
    struct membership_reply reply;

    for (uint32_t i = 0; i < MEMBERSHIP_RETIRED_LIMIT; i++) {
        replaced.store = 0x100000 + i;
        replaced.now_ms += 1000000;
        assert_int_equal(try_register(fixture->membership, &replaced, &reply), MANAGER_OK);
        membership_reply_free(&reply);
    }
    append(fixture);
    for (int rounds = 400; rounds < 2000; rounds += 100) {
        for (int i = 0; i < rounds; i++) {
            lead_all(fixture->membership, (uint32_t)i % 2);
            manager_log_append(&fixture->log, fixture->membership);
            (void)manager_log_complete(&fixture->log);
        }
        manager_log_flush(&fixture->log);
        assert_reopens_equal(fixture);
    }
    assert_int_equal(fixture->membership->retired_count, MEMBERSHIP_RETIRED_LIMIT);
    assert_true(fixture->membership->retired[0].store == store_of(2));
}

static void large_clusters_fit(void **state)
{
    struct fixture *fixture = *state;
    struct cluster_map map = {
        .cluster = 1, .version = 1, .partitions = CAIRN_PARTITIONS_LIMIT, .replicas = 3};
    struct membership_reply reply;

    close_log(fixture);
    (void)snprintf(fixture->wal, sizeof fixture->wal, "%s/large", fixture->directory);
    map.server_count = SERVERS;
    map.servers = calloc(SERVERS, sizeof *map.servers);
    assert_non_null(map.servers);
    for (uint32_t i = 0; i < SERVERS; i++) {
        map.servers[i].id = i;
        assert_int_equal(address_parse("127.0.0.1:3777", &map.servers[i].address, NULL), 0);
        map.servers[i].address.port = (uint16_t)(FIRST_PORT + i);
        address_format(&map.servers[i].address, map.servers[i].address_text);
    }
    assert_int_equal(manager_log_open(&fixture->log, fixture->wal, map.partitions, 3, 1000,
                                      &fixture->membership, NULL),
                     0);
    assert_int_equal(membership_create(&map, 1000, &fixture->membership, NULL), 0);
    manager_log_append_map(&fixture->log, fixture->membership);
    for (uint32_t i = 0; i < SERVERS; i++) {
        assert_true(manager_log_has_room(&fixture->log, fixture->membership, 1, 0));
        assert_int_equal(try_register(fixture->membership,
                                      &(struct registration){
                                          .server = i, .store = store_of(i), .incarnation = 1},
                                      &reply),
                         MANAGER_OK);
        membership_reply_free(&reply);
        append(fixture);
    }
    assert_non_null(fixture->membership->map.configurations);
    /* Reopened as if for a small cluster. */
    assert_reopens_equal(fixture);
    assert_true(
        manager_log_has_room(&fixture->log, fixture->membership, CAIRN_PARTITIONS_LIMIT, 0));
}

/* --- damage --- */

/* R10: a log that lost its beginning is not the log of a new cluster. */
static void a_log_without_a_map_is_not_empty(void **state)
{
    struct fixture *fixture = *state;
    const struct wal_options options = {.directory = fixture->wal,
                                        .backend = WAL_BACKEND_INLINE,
                                        .segment_bytes = 1 << 20,
                                        .spare_segments = 1};
    const struct replica_id server = {.server = 1, .store = 5, .incarnation = 6};
    struct error error = {0};
    struct buffer record;
    struct wal *wal;
    uint8_t *place;

    close_log(fixture);
    (void)snprintf(fixture->wal, sizeof fixture->wal, "%s/headless", fixture->directory);
    buffer_init(&record, 256);
    assert_int_equal(journal_encode_retired(&server, &record), 0);
    assert_int_equal(wal_open(&options, &wal, NULL, NULL), 0);
    place = wal_reserve(wal, JOURNAL_SERVER, (uint32_t)record.length);
    assert_non_null(place);
    memcpy(place, record.data, record.length);
    (void)wal_finish(wal);
    (void)wal_flush(wal);
    wal_close(wal);
    assert_int_equal(open_log(fixture, &error), CAIRN_ECORRUPT);
    assert_non_null(strstr(error.message, "no whole cluster map"));
    buffer_free(&record);
}

static void find_segment(const struct fixture *fixture, char path[512])
{
    DIR *directory = opendir(fixture->wal);
    const struct dirent *entry;

    assert_non_null(directory);
    path[0] = '\0';
    while ((entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, "wal-", 4) == 0)
            (void)snprintf(path, 512, "%s/%s", fixture->wal, entry->d_name);
    (void)closedir(directory);
    assert_int_not_equal(path[0], '\0');
}

static void flip(const char *path, off_t offset)
{
    const int file = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, offset), 1);
    (void)close(file);
}

/* W3: every byte that a synced mark covers is either not looked at or its damage is refused with
 * file and offset; a state that differs is never taken. */
static void damaged_bytes_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buffer before, after;
    uint32_t refused = 0;
    char path[512];

    pack_state(fixture->membership, &before);
    close_log(fixture);
    find_segment(fixture, path);
    for (off_t offset = 0; offset < 600; offset += 7) {
        struct error error = {0};

        flip(path, offset);
        if (open_log(fixture, &error) == 0) {
            assert_non_null(fixture->membership);
            pack_state(fixture->membership, &after);
            assert_int_equal(before.length, after.length);
            assert_memory_equal(before.data, after.data, before.length);
            buffer_free(&after);
            close_log(fixture);
            find_segment(fixture, path); /* it may have been rewritten (W1) */
            break;
        }
        assert_true(error.code == CAIRN_ECORRUPT || error.code == CAIRN_EVERSION);
        assert_non_null(strstr(error.message, strrchr(path, '/') + 1));
        refused++;
        flip(path, offset);
    }
    assert_true(refused > 40);
    buffer_free(&before);
    assert_int_equal(open_log(fixture, NULL), 0);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_batch_of_proposals_costs_one_sync), LOG_TEST(nothing_changed_costs_nothing),
        LOG_TEST(a_long_life_leaves_a_short_log),      LOG_TEST(no_cut_forgets_a_store),
        LOG_TEST(a_log_without_a_map_is_not_empty),    LOG_TEST(large_clusters_fit),
        LOG_TEST(damaged_bytes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
