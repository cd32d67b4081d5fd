/* What the journal holds gives the same state again, and nothing else is taken for it. */
#include "base/random.h"
#include "manager/journal.h"
#include "manager/reconcile.h"
#include "tests/unit/configuration_compare.h"
#include "tests/unit/manager_fixture.h"

enum { RECORDS_MAX = 4096 };

/* A log in memory. */
struct tape {
    size_t count;
    struct {
        enum journal_kind kind;
        size_t offset, length;
    } records[RECORDS_MAX];
    struct buffer bytes;
};

static void tape_init(struct tape *tape)
{
    tape->count = 0;
    buffer_init(&tape->bytes, 64 << 20);
}

static void tape_change(struct tape *tape, const struct membership *membership,
                        const struct change *change)
{
    const size_t offset = tape->bytes.length;

    assert_true(tape->count < RECORDS_MAX);
    assert_int_equal(
        journal_encode(membership, change, &tape->records[tape->count].kind, &tape->bytes), 0);
    tape->records[tape->count].offset = offset;
    tape->records[tape->count].length = tape->bytes.length - offset;
    if (tape->records[tape->count].kind != JOURNAL_MAP)
        assert_true(tape->bytes.length - offset <= JOURNAL_CHANGE_BYTES);
    else
        assert_true(tape->bytes.length - offset <= journal_map_bound(&membership->map));
    tape->count++;
}

static void tape_map(struct tape *tape, const struct membership *membership)
{
    tape_change(tape, membership, &(struct change){.kind = CHANGE_PLACED});
    for (size_t i = 0; i < membership->retired_count; i++) {
        const size_t offset = tape->bytes.length;

        assert_int_equal(journal_encode_retired(&membership->retired[i], &tape->bytes), 0);
        tape->records[tape->count].kind = JOURNAL_RETIRED;
        tape->records[tape->count].offset = offset;
        tape->records[tape->count].length = tape->bytes.length - offset;
        tape->count++;
    }
}

/* As the driver does after each event. */
static void tape_changes(struct tape *tape, struct membership *membership)
{
    for (size_t i = 0; i < membership->change_count; i++)
        tape_change(tape, membership, &membership->changes[i]);
    membership_clear_changes(membership);
}

static int replay_from(const struct tape *tape, size_t first, struct journal_replay *replay,
                       struct error *error)
{
    memset(replay, 0, sizeof *replay);
    for (size_t i = first; i < tape->count; i++) {
        const int status = journal_apply(replay, (uint16_t)tape->records[i].kind,
                                         tape->bytes.data + tape->records[i].offset,
                                         tape->records[i].length, error);

        if (status != 0)
            return status;
    }
    return 0;
}

static void assert_same_state(const struct membership *left, const struct membership *right)
{
    struct buffer a, b;

    buffer_init(&a, CAIRN_MAP_LIMIT);
    buffer_init(&b, CAIRN_MAP_LIMIT);
    assert_int_equal(cluster_map_pack(&left->map, &a, NULL), 0);
    assert_int_equal(cluster_map_pack(&right->map, &b, NULL), 0);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
    assert_int_equal(left->retired_count, right->retired_count);
    for (size_t i = 0; i < left->retired_count; i++)
        assert_same_replica(&left->retired[i], &right->retired[i]);
    buffer_free(&a);
    buffer_free(&b);
}

static void lead_again(struct membership *membership, uint32_t partition)
{
    const struct configuration *present = &membership->map.configurations[partition];
    const uint32_t server = present->members[present->epoch % present->member_count].server;
    const struct map_server *known = &membership->map.servers[server];
    struct configuration next = *present;
    struct proposal wanted = {.expected_epoch = present->epoch};
    struct propose_args args = {.who =
                                    identity_of(CLUSTER, server, known->store, known->incarnation)};
    struct membership_reply reply;
    struct buffer bytes;

    next.epoch++;
    next.primary = (struct replica_id){server, known->store, known->incarnation};
    buffer_init(&bytes, CAIRN_PACKED_LIMIT);
    if (configuration_pack(&next, &bytes, NULL) == 0) { /* not if its store was replaced */
        wanted.configuration = (struct view){bytes.data, (uint32_t)bytes.length};
        args.proposals.proposals_len = 1;
        args.proposals.proposals_val = &wanted;
        assert_int_equal(membership_propose(membership, 2000, &args, &reply), 0);
        assert_int_equal(reply.results[0].status, MANAGER_OK);
        membership_reply_free(&reply);
    }
    buffer_free(&bytes);
}

static void restart(struct membership *membership, uint32_t server, bool replaced, uint64_t now_ms)
{
    const struct map_server *known = &membership->map.servers[server];
    const struct registration wanted = {.cluster = replaced ? 0 : CLUSTER,
                                        .server = server,
                                        .store = replaced ? 0x90000 + now_ms : known->store,
                                        .incarnation = replaced ? 1 : known->incarnation + 1,
                                        .replace_store = replaced,
                                        .now_ms = now_ms};
    struct membership_reply reply;

    assert_int_equal(try_register(membership, &wanted, &reply), MANAGER_OK);
    membership_reply_free(&reply);
}

/* One call of each kind that changes something; some are refused. */
static void operate(struct membership *membership, struct random *random, uint64_t now_ms)
{
    char address[32];
    struct admin_args args = {.kind = (enum admin_kind)(1 + random_below(random, 7))};
    struct membership_reply reply;

    for (uint32_t i = 0; i < membership->map.server_count; i++)
        if (membership->map.servers[i].store != 0 && random_below(random, 4) > 0)
            beat(membership, i, now_ms);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u",
                   9000 + (uint32_t)random_below(random, 4));
    args.partition = (uint32_t)random_below(random, PARTITIONS);
    args.server = (uint32_t)random_below(random, membership->map.server_count);
    args.address = view_of_text(address);
    (void)ask_manager(membership, now_ms, &args, &reply);
    membership_reply_free(&reply);
    assert_int_equal(membership_reconcile(membership, now_ms), 0);
}

/* A random life: restarts, replaced stores, proposals, operators, whole maps in between. */
static struct membership *live(struct tape *tape, uint64_t seed, size_t *last_map)
{
    struct membership *membership = new_membership(2);
    struct random random;

    random_seed(&random, seed);
    tape_init(tape);
    *last_map = 0;
    tape_map(tape, membership);
    for (uint32_t i = 0; i < SERVERS; i++) {
        register_one(membership, i, 1000);
        tape_changes(tape, membership);
    }
    for (uint64_t step = 1; step <= 300; step++) {
        const uint64_t choice = random_below(&random, 100);

        if (choice < 20)
            operate(membership, &random, step * 10000);
        else if (choice < 60)
            lead_again(membership, (uint32_t)random_below(&random, PARTITIONS));
        else if (choice < 95)
            restart(membership, (uint32_t)random_below(&random, SERVERS), false, step * 10000);
        else if (choice < 98)
            restart(membership, (uint32_t)random_below(&random, SERVERS), true, step * 10000);
        tape_changes(tape, membership);
        if (choice >= 98) {
            *last_map = tape->count;
            tape_map(tape, membership);
        }
    }
    return membership;
}

static void replaying_gives_the_same_state(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static struct tape tape;
        struct journal_replay replay;
        size_t last_map;
        struct membership *membership = live(&tape, seed, &last_map);

        assert_int_equal(replay_from(&tape, 0, &replay, NULL), 0);
        assert_same_state(membership, replay.membership);
        membership_free(replay.membership);
        buffer_free(&tape.bytes);
        membership_free(membership);
    }
}

/* The cut drops whole segments only, so the log may begin with records that the map covers. */
static void a_cut_log_gives_the_same_state(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static struct tape tape;
        struct journal_replay replay;
        size_t last_map;
        struct membership *membership = live(&tape, seed, &last_map);

        for (size_t back = 0; back <= 5 && back <= last_map; back++) {
            assert_int_equal(replay_from(&tape, last_map - back, &replay, NULL), 0);
            assert_same_state(membership, replay.membership);
            assert_true(replay.skipped <= back);
            membership_free(replay.membership);
        }
        buffer_free(&tape.bytes);
        membership_free(membership);
    }
}

static void a_lost_record_is_found(void **state)
{
    static struct tape tape, shorter;
    struct journal_replay replay;
    struct membership *membership = placed_membership(1);
    struct error error = {0};

    (void)state;
    tape_init(&tape);
    tape_map(&tape, membership);
    membership_clear_changes(membership);
    for (int i = 0; i < 5; i++)
        lead_again(membership, 3);
    tape_changes(&tape, membership);
    assert_int_equal(tape.count, 6);
    shorter = tape;
    memmove(&shorter.records[2], &shorter.records[3], 3 * sizeof shorter.records[0]);
    shorter.count--;
    assert_int_equal(replay_from(&shorter, 0, &replay, &error), CAIRN_ECORRUPT);
    assert_non_null(strstr(error.message, "partition 3: epoch 4 after 2"));
    membership_free(replay.membership);
    shorter = tape; /* twice the same */
    shorter.records[2] = shorter.records[1];
    assert_int_equal(replay_from(&shorter, 0, &replay, &error), CAIRN_ECORRUPT);
    membership_free(replay.membership);
    buffer_free(&tape.bytes);
    membership_free(membership);
}

static int apply_bytes(struct membership **membership, uint16_t kind, const void *payload,
                       size_t length, struct error *error)
{
    struct journal_replay replay = {.membership = *membership};
    const int status = journal_apply(&replay, kind, payload, length, error);

    *membership = replay.membership;
    return status;
}

/* Every kind of record must occur in those lives, else they prove nothing about it. */
static void every_kind_of_change_is_recorded(void **state)
{
    uint32_t kinds[JOURNAL_ROSTER + 1] = {0};
    bool drained = false, added = false, recovered = false;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static struct tape tape;
        size_t last_map;
        struct membership *membership = live(&tape, seed, &last_map);

        for (size_t i = 0; i < tape.count; i++)
            kinds[tape.records[i].kind]++;
        for (uint32_t i = 0; i < membership->map.server_count; i++)
            drained = drained || membership->map.servers[i].draining;
        for (uint32_t i = 0; i < PARTITIONS; i++)
            recovered = recovered || membership->map.configurations[i].history > 1;
        added = added || membership->map.server_count > SERVERS;
        membership_free(membership);
        buffer_free(&tape.bytes);
    }
    for (int kind = JOURNAL_MAP; kind <= JOURNAL_ROSTER; kind++)
        assert_true(kinds[kind] > 20);
    assert_true(drained && added && recovered);
}

/* R10: an id is not used again, an address and a store belong to it for ever; a removed server
 * holds nothing. */
static void rosters_that_cannot_follow_are_refused(void **state)
{
    struct membership *membership = placed_membership(1);
    const uint32_t used = membership->map.targets[0].servers[0];
    struct change change = {.kind = CHANGE_ROSTER, .roster = membership->map.servers[1]};

    (void)state;
    change.roster.store++;
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    change.roster = membership->map.servers[1];
    change.roster.address.port++;
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    change.roster = membership->map.servers[1];
    change.roster.id = SERVERS + 1;
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    change.roster.id = SERVERS; /* a new one, but it has a store */
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    change.roster = membership->map.servers[used];
    change.roster.removed = true;
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        membership->map.targets[i].servers[0] = (used + 1) % SERVERS;
    assert_int_equal(membership_apply(membership, &change, NULL), 0);
    change.roster.removed = false;
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    change.kind = CHANGE_TARGET;
    change.target.partition = 0;
    change.target.target =
        (struct target){.server_count = 1, .servers = {used}, .primary = TARGET_ANY};
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    change.target.target.servers[0] = (used + 1) % SERVERS;
    change.target.partition = PARTITIONS;
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    membership_free(membership);
}

/* R9, R11: a history is given up one at a time, and configurations name servers of the map. */
static void configurations_that_cannot_follow_are_refused(void **state)
{
    struct membership *membership = placed_membership(1);
    struct change change = {.kind = CHANGE_CONFIGURATION};

    (void)state;
    change.configuration = membership->map.configurations[2];
    change.configuration.epoch++;
    change.configuration.history += 2;
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    change.configuration.history--;
    change.configuration.primary.server = change.configuration.members[0].server = SERVERS;
    assert_int_equal(membership_apply(membership, &change, NULL), CAIRN_EINVAL);
    change.configuration.primary.server = change.configuration.members[0].server = 0;
    assert_int_equal(membership_apply(membership, &change, NULL), 0);
    membership_free(membership);
}

static void malformed_records_are_refused(void **state)
{
    static const uint8_t garbage[] = {0xff, 0xff, 0xff, 0xff};
    struct membership *membership = placed_membership(1);
    struct error error = {0};

    (void)state;
    for (int kind = JOURNAL_MAP; kind <= JOURNAL_ROSTER; kind++) {
        assert_int_equal(apply_bytes(&membership, (uint16_t)kind, garbage, sizeof garbage, &error),
                         CAIRN_ECORRUPT);
        assert_non_null(strstr(error.message, "journal"));
        assert_int_equal(apply_bytes(&membership, (uint16_t)kind, garbage, 0, &error),
                         CAIRN_ECORRUPT);
    }
    assert_int_equal(apply_bytes(&membership, JOURNAL_ROSTER + 1, garbage, 0, &error),
                     CAIRN_EVERSION);
    assert_int_equal(apply_bytes(&membership, 0, garbage, 0, &error), CAIRN_EVERSION);
    membership_free(membership);
}

static void refuse_record(struct membership *membership, enum journal_kind kind, uint32_t server,
                          uint64_t store, uint64_t incarnation)
{
    const struct replica_id replica = {server, store, incarnation};
    struct error error = {0};
    struct buffer bytes;

    buffer_init(&bytes, 256);
    assert_int_equal(journal_encode_retired(&replica, &bytes), 0);
    assert_int_equal(apply_bytes(&membership, (uint16_t)kind, bytes.data, bytes.length, &error),
                     CAIRN_ECORRUPT);
    buffer_free(&bytes);
}

static void records_that_cannot_follow_are_refused(void **state)
{
    struct membership *membership = placed_membership(1);

    (void)state;
    refuse_record(membership, JOURNAL_SERVER, SERVERS, 1, 1);
    refuse_record(membership, JOURNAL_SERVER, 0, 0, 1);
    refuse_record(membership, JOURNAL_SERVER, 0, 1, 0);
    refuse_record(membership, JOURNAL_SERVER, 0, store_of(0), 1);
    refuse_record(membership, JOURNAL_RETIRED, SERVERS, 1, 0);
    refuse_record(membership, JOURNAL_RETIRED, 0, 0, 0);
    refuse_record(membership, JOURNAL_RETIRED, 0, store_of(0), 0);
    membership_free(membership);
}

typedef void (*spoil)(struct cluster_map *map);

static void other_cluster(struct cluster_map *map)
{
    map->cluster++;
}
static void older_version(struct cluster_map *map)
{
    map->version--;
}
static void more_replicas(struct cluster_map *map)
{
    map->replicas++;
}
static void other_address(struct cluster_map *map)
{
    map->servers[1].address.port++;
    address_format(&map->servers[1].address, map->servers[1].address_text);
}
static void other_ids(struct cluster_map *map)
{
    map->servers[2].id = 7;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        if (map->configurations[i].primary.server == 2)
            map->configurations[i].primary.server = map->configurations[i].members[0].server =
                map->targets[i].servers[0] = 7;
}
static void older_epoch(struct cluster_map *map)
{
    map->version++;
    map->configurations[3].epoch--;
}
static void unplaced(struct cluster_map *map)
{
    map->version++;
    free(map->configurations);
    free(map->targets);
    map->configurations = NULL;
    map->targets = NULL;
}

static void a_map_that_goes_back_is_refused(void **state)
{
    const spoil spoils[] = {other_cluster, older_version, more_replicas, other_address,
                            other_ids,     older_epoch,   unplaced};
    struct membership *membership = placed_membership(1);

    (void)state;
    lead_again(membership, 3);
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        struct cluster_map map;
        struct buffer bytes;
        struct error error = {0};

        assert_int_equal(cluster_map_copy(&membership->map, &map), 0);
        spoils[i](&map);
        buffer_init(&bytes, CAIRN_MAP_LIMIT);
        assert_int_equal(cluster_map_pack(&map, &bytes, &error), 0);
        assert_int_equal(apply_bytes(&membership, JOURNAL_MAP, bytes.data, bytes.length, &error),
                         CAIRN_ECORRUPT);
        buffer_free(&bytes);
        cluster_map_free(&map);
    }
    membership_free(membership);
}

static void flipped_records_never_break_the_state(void **state)
{
    static struct tape tape;
    size_t last_map;
    struct membership *membership = live(&tape, 7, &last_map);

    (void)state;
    membership_free(membership);
    for (size_t i = 0; i < tape.bytes.length; i += 3) {
        struct journal_replay replay;

        tape.bytes.data[i] ^= (uint8_t)(1u << (i % 8));
        if (replay_from(&tape, 0, &replay, NULL) == 0)
            assert_int_equal(cluster_map_check(&replay.membership->map, NULL), 0);
        membership_free(replay.membership);
        tape.bytes.data[i] ^= (uint8_t)(1u << (i % 8));
    }
    buffer_free(&tape.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaying_gives_the_same_state),
        cmocka_unit_test(a_cut_log_gives_the_same_state),
        cmocka_unit_test(a_lost_record_is_found),
        cmocka_unit_test(every_kind_of_change_is_recorded),
        cmocka_unit_test(rosters_that_cannot_follow_are_refused),
        cmocka_unit_test(configurations_that_cannot_follow_are_refused),
        cmocka_unit_test(malformed_records_are_refused),
        cmocka_unit_test(records_that_cannot_follow_are_refused),
        cmocka_unit_test(a_map_that_goes_back_is_refused),
        cmocka_unit_test(flipped_records_never_break_the_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
