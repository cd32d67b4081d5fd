/* The manager's journal: what replays can be written down whole, and replays to the same.
 *
 * The input: records, each a byte for its kind, 16 bits for its length, its payload. */
#include <stdlib.h>

#include "base/check.h"
#include "manager/journal.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/fuzz/lib/maps.h"

enum { NOW_MS = 1000 };

/* The whole state as its records: the map, then the retired stores. */
static void write_state(const struct membership *membership, struct buffer *out)
{
    const struct change placed = {.kind = CHANGE_PLACED};
    enum journal_kind kind;
    struct buffer payload;

    buffer_init(&payload, CAIRN_MAP_LIMIT);
    CHECK(journal_encode(membership, &placed, &kind, &payload) == 0 && kind == JOURNAL_MAP);
    CHECK(payload.length <= journal_map_bound(&membership->map));
    seed_number(out, payload.length, 4);
    seed_bytes(out, payload.data, payload.length);
    for (size_t i = 0; i < membership->retired_count; i++) {
        buffer_clear(&payload);
        CHECK(journal_encode_retired(&membership->retired[i], &payload) == 0);
        CHECK(payload.length < JOURNAL_CHANGE_BYTES);
        seed_number(out, payload.length, 4);
        seed_bytes(out, payload.data, payload.length);
    }
    buffer_free(&payload);
}

static struct membership *replay_state(const struct buffer *state)
{
    struct journal_replay replay = {.now_ms = NOW_MS};
    struct input input = {state->data, state->length};
    struct error error = {0};

    for (unsigned i = 0; input.left > 0; i++) {
        const size_t wanted = (size_t)input_number(&input, 4);
        size_t length;
        const uint8_t *payload = input_bytes(&input, wanted, &length);

        CHECK(journal_apply(&replay, i == 0 ? JOURNAL_MAP : JOURNAL_RETIRED, payload, length,
                            &error) == 0);
    }
    return replay.membership;
}

static void round_trip(const struct membership *membership)
{
    struct membership *again;
    struct buffer once, twice;
    struct error error = {0};

    CHECK(cluster_map_check(&membership->map, &error) == 0);
    buffer_init(&once, SIZE_MAX / 2);
    buffer_init(&twice, SIZE_MAX / 2);
    write_state(membership, &once);
    again = replay_state(&once);
    CHECK(again != NULL && again->retired_count == membership->retired_count);
    maps_require_same(&membership->map, &again->map);
    for (size_t i = 0; i < again->retired_count; i++)
        CHECK(again->retired[i].server == membership->retired[i].server &&
              again->retired[i].store == membership->retired[i].store);
    write_state(again, &twice);
    CHECK(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
    membership_free(again);
    buffer_free(&once);
    buffer_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_replay replay = {.now_ms = NOW_MS};
    struct input input = {data, size};
    int status = 0;

    while (input.left > 0 && status == 0) {
        const uint16_t kind = input_u8(&input);
        const size_t wanted = (size_t)input_number(&input, 2);
        struct error error = {0};
        size_t length;
        const uint8_t *payload = input_bytes(&input, wanted, &length);

        status = journal_apply(&replay, kind, payload, length, &error);
        CHECK(status == error.code);
    }
    if (status == 0)
        fuzz_accepted++;
    if (replay.membership != NULL)
        round_trip(replay.membership); /* what could not follow changed nothing of the rules */
    membership_free(replay.membership);
    return 0;
}

/* --- valid inputs -------------------------------------------------------------------------------
 */

enum { SERVERS = 3, PARTITIONS = 2 };

static struct membership *seed_membership(bool placed)
{
    static struct map_server servers[SERVERS];
    static struct configuration configurations[PARTITIONS];
    static struct target targets[PARTITIONS];
    struct cluster_map map = {.cluster = 5,
                              .version = 1,
                              .partitions = PARTITIONS,
                              .replicas = 1,
                              .server_count = SERVERS,
                              .founders = SERVERS,
                              .servers = servers};
    struct membership *membership;
    struct cluster_map own;
    struct error error = {0};

    for (uint32_t i = 0; i < SERVERS; i++) {
        servers[i] = (struct map_server){.id = i, .store = 10 + i, .incarnation = 1};
        CHECK(address_parse("server:3777", &servers[i].address, &error) == 0);
        servers[i].address.port = (uint16_t)(3777 + i);
        address_format(&servers[i].address, servers[i].address_text);
    }
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        configurations[i] = (struct configuration){.partition = i,
                                                   .history = 1,
                                                   .epoch = 1,
                                                   .primary = {i, 10 + i, 1},
                                                   .member_count = 1,
                                                   .members = {{i, 10 + i, 0}}};
        targets[i] = (struct target){.server_count = 1, .servers = {i}, .primary = TARGET_ANY};
    }
    if (placed) {
        map.configurations = configurations;
        map.targets = targets;
    }
    CHECK(cluster_map_copy(&map, &own) == 0);
    CHECK(membership_create(&own, NOW_MS, &membership, &error) == 0);
    return membership;
}

static void put_change(const struct membership *membership, const struct change *change,
                       struct buffer *out)
{
    enum journal_kind kind;
    struct buffer payload;

    buffer_init(&payload, UINT16_MAX);
    CHECK(journal_encode(membership, change, &kind, &payload) == 0);
    seed_number(out, kind, 1);
    seed_number(out, payload.length, 2);
    seed_bytes(out, payload.data, payload.length);
    buffer_free(&payload);
}

static void put_changes(const struct membership *membership, struct buffer *out)
{
    struct change target = {.kind = CHANGE_TARGET};
    struct change server = {.kind = CHANGE_SERVER, .server = {2, 12, 2}};
    struct change roster = {.kind = CHANGE_ROSTER, .roster = membership->map.servers[2]};
    struct change configuration = {.kind = CHANGE_CONFIGURATION,
                                   .configuration = membership->map.configurations[1]};

    target.target.partition = 1;
    target.target.target = (struct target){2, {1, 2}, 1};
    configuration.configuration.epoch++;
    configuration.configuration.learner_count = 1;
    configuration.configuration.learners[0] = (struct replica_id){2, 12, 0};
    roster.roster.incarnation = 2;
    roster.roster.draining = true;
    put_change(membership, &target, out);
    put_change(membership, &configuration, out);
    put_change(membership, &server, out);
    put_change(membership, &roster, out);
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    const struct change whole = {.kind = CHANGE_PLACED};
    const struct replica_id retired = {1, 99, 0};
    struct membership *membership;
    struct buffer payload;

    if (number >= 4)
        return false;
    membership = seed_membership(number > 0);
    put_change(membership, &whole, out);
    if (number == 2)
        put_changes(membership, out);
    if (number == 3) {
        buffer_init(&payload, UINT16_MAX);
        CHECK(journal_encode_retired(&retired, &payload) == 0);
        seed_number(out, JOURNAL_RETIRED, 1);
        seed_number(out, payload.length, 2);
        seed_bytes(out, payload.data, payload.length);
        put_change(membership, &whole, out);
        buffer_free(&payload);
    }
    membership_free(membership);
    return true;
}
