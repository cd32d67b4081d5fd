/* A pass over the log on disk gives every follower exactly the entries that it lacks: in order,
 * without gaps, none that was dropped from the log meanwhile, none that is not settled (R4, W6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "proto/durable.pb-c.h"
#include "server/catch_up.h"
#include "server/entry_peek.h"
#include "wal/io_memory.h"

enum {
    PARTITIONS = 4,
    ENTRIES_MAX = 600, /* of one partition */
    SELF = 1,
    PEER = 2,
    PEER_STORE = 77,
    HISTORY = 3,
    EPOCH = 900, /* of the configuration that is led under */
};

/* An entry as it must arrive. */
struct truth {
    uint64_t epoch, lsn;
    uint8_t *bytes;
    uint32_t length;
};

/* A partition's log as it is in the end: entries behind `start`. */
struct truth_log {
    struct replica_position start;
    uint64_t last_index;
    struct truth entries[ENTRIES_MAX];
    uint64_t arrived_index; /* the follower has all up to here */
};

struct scene {
    struct memory_disk *disk;
    struct node node;
    struct partition partitions[PARTITIONS];
    struct map_server servers[2];
    struct append_builder builder;
    struct truth_log logs[PARTITIONS];
    uint64_t written; /* makes every entry another one */
    uint32_t runs;
};

/* --- a log -------------------------------------------------------------------------------------
 */

static _Noreturn void on_fatal(void *context, const char *message)
{
    (void)context;
    print_error("%s\n", message);
    abort();
}

static void set_up(struct scene *s)
{
    struct error error;
    memset(s, 0, sizeof *s);
    s->disk = memory_disk_create();
    const struct wal_options options = {
        .directory = "/log",
        .io = memory_disk_io(s->disk),
        .backend = WAL_BACKEND_INLINE,
        .segment_bytes = WAL_SEGMENT_BYTES_MINIMUM,
        .batch_bytes = 48 << 10,
        .owner_submits = true,
        .fatal = on_fatal,
    };
    assert_int_equal(wal_open(&options, &s->node.journal.wal, NULL, &error), 0);
    s->node.identity = (struct identity){.cluster = 5, .server = SELF, .store = 11};
    s->node.partitions = s->partitions;
    s->node.partition_count = PARTITIONS;
    s->servers[0] = (struct map_server){.id = SELF, .store = 11};
    s->servers[1] = (struct map_server){.id = PEER, .store = PEER_STORE};
    s->node.map = (struct cluster_map){.server_count = 2, .servers = s->servers};
    assert_int_equal(append_builder_init(&s->builder), CAIRN_OK);
}

static void tear_down(struct scene *s)
{
    wal_close(s->node.journal.wal);
    append_builder_free(&s->builder);
    for (size_t p = 0; p < PARTITIONS; p++)
        for (size_t i = 0; i < ENTRIES_MAX; i++)
            free(s->logs[p].entries[i].bytes);
    memory_disk_free(s->disk);
}

static uint8_t *reserve(struct scene *s, enum log_kind kind, uint32_t length)
{
    uint8_t *bytes = wal_reserve(s->node.journal.wal, (uint16_t)kind, length);
    if (bytes != NULL)
        return bytes;
    wal_flush(s->node.journal.wal);
    bytes = wal_reserve(s->node.journal.wal, (uint16_t)kind, length);
    assert_non_null(bytes);
    return bytes;
}

/* Appends an entry at `index`, which voids what the log has from there on. */
static void put(struct scene *s, uint32_t partition, uint64_t index, uint64_t epoch,
                uint32_t value_length)
{
    struct truth_log *log = &s->logs[partition];
    struct truth *truth = &log->entries[index];
    struct entry *entry = entry_create();
    assert_true(index > log->start.index && index <= log->last_index + 1 && index < ENTRIES_MAX);
    uint8_t *value = calloc(1, value_length + 1);
    assert_true(entry != NULL && value != NULL);
    entry->partition = partition;
    entry->kind = COMMAND_PUT;
    entry->history = HISTORY;
    entry->epoch = epoch;
    entry->index = index;
    entry->log_time_ms = ++s->written;
    entry->item = item_create((const uint8_t *)"k", 1, value, value_length);
    assert_non_null(entry->item);
    free(truth->bytes);
    truth->length = entry_packed_size(entry);
    truth->bytes = malloc(truth->length);
    assert_non_null(truth->bytes);
    entry_pack(entry, truth->bytes);
    truth->epoch = epoch;
    memcpy(reserve(s, LOG_KIND_ENTRY, truth->length), truth->bytes, truth->length);
    truth->lsn = wal_finish(s->node.journal.wal);
    log->last_index = index;
    entry_free(entry);
    free(value);
}

/* Writes entries that the log holds once more, as node_carry.c does. If they are all up to the end,
 * the log may be cut behind their first records. */
static void put_again(struct scene *s, uint32_t partition, uint64_t first, uint64_t last)
{
    for (uint64_t index = first; index <= last; index++) {
        struct truth *truth = &s->logs[partition].entries[index];
        memcpy(reserve(s, LOG_KIND_ENTRY, truth->length), truth->bytes, truth->length);
        uint64_t lsn = wal_finish(s->node.journal.wal);
        if (last == s->logs[partition].last_index)
            truth->lsn = lsn;
    }
}

static void put_range(struct scene *s, uint32_t partition, uint64_t first, uint64_t last,
                      uint64_t epoch)
{
    for (uint64_t index = first; index <= last; index++)
        put(s, partition, index, epoch, 100);
}

/* An install took place here: the log goes on behind `position`. */
static void put_reset(struct scene *s, uint32_t partition, struct replica_position position)
{
    Cairn__Reset reset = CAIRN__RESET__INIT;
    uint8_t packed[64];
    reset.partition = partition;
    reset.history = HISTORY;
    reset.install = 1;
    uint32_t length = (uint32_t)cairn__reset__pack(&reset, packed);
    memcpy(reserve(s, LOG_KIND_RESET, length), packed, length);
    wal_finish(s->node.journal.wal);
    s->logs[partition].start = position;
    s->logs[partition].last_index = position.index;
}

static uint64_t epoch_at(const struct scene *s, uint32_t partition, uint64_t index)
{
    const struct truth_log *log = &s->logs[partition];
    return index == log->start.index ? log->start.epoch : log->entries[index].epoch;
}

/* --- a primary ---------------------------------------------------------------------------------
 */

/* This server leads the partition, has nothing of it in memory, and wants to send the follower what
 * follows `has_index`; the log on disk is said to begin behind `base_index`. */
static void lead(struct scene *s, uint32_t partition, uint64_t base_index, uint64_t has_index,
                 uint64_t commit_index)
{
    struct partition *led = &s->partitions[partition];
    uint64_t last_index = s->logs[partition].last_index;
    struct replica_position last = {.epoch = epoch_at(s, partition, last_index),
                                    .index = last_index};
    wal_flush(s->node.journal.wal);
    led->before = led->applied = last;
    led->base =
        (struct replica_position){.epoch = epoch_at(s, partition, base_index), .index = base_index};
    led->replica = (struct replica){
        .partition = partition,
        .self = {.server = SELF, .store = 11},
        .role = REPLICA_PRIMARY,
        .configuration = {.history = HISTORY, .epoch = EPOCH},
        .seen_history = HISTORY,
        .seen_epoch = EPOCH,
        .durable_epoch = EPOCH,
        .last = last,
        .base_index = base_index,
        .synced_index = last_index,
        .commit_index = commit_index,
        .barrier_index = 1,
        .follower_count = 2,
        .followers = {{.id = {.server = 3, .store = 88}, .next_index = last_index + 1},
                      {.id = {.server = PEER, .store = PEER_STORE, .incarnation = 4},
                       .member = true,
                       .mode = REPLICA_REPLICATE,
                       .next_index = has_index + 1}},
    };
    led->replica.followers[0].mode = REPLICA_REPLICATE;
    s->logs[partition].arrived_index = has_index;
}

static struct replica_follower *follower_of(struct scene *s, uint32_t partition)
{
    return &s->partitions[partition].replica.followers[1];
}

/* --- the follower ------------------------------------------------------------------------------
 */

static void take_run(struct scene *s, const struct append_run *run)
{
    struct truth_log *log = &s->logs[run->partition];
    const uint8_t *bytes = run->records.data, *end = bytes + run->records.length;
    assert_true(run->partition < PARTITIONS);
    assert_true(run->history == HISTORY && run->epoch == EPOCH);
    assert_int_equal(run->previous_index, log->arrived_index);
    assert_int_equal(run->previous_epoch, epoch_at(s, run->partition, log->arrived_index));
    assert_true(run->count > 0);
    for (uint32_t i = 0; i < run->count; i++) {
        const struct truth *truth = &log->entries[++log->arrived_index];
        uint32_t length;
        assert_true(log->arrived_index <= log->last_index);
        assert_true(end - bytes >= 4);
        length = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                 (uint32_t)bytes[3] << 24;
        assert_int_equal(length, truth->length);
        assert_true((size_t)(end - bytes) - 4 >= length);
        assert_memory_equal(bytes + 4, truth->bytes, length);
        bytes += 4 + length;
    }
    assert_ptr_equal(bytes, end);
    s->runs++;
}

/* Builds and delivers until nothing of the piece is left; returns the number of Appends. */
static uint32_t deliver(struct scene *s, struct catch_up *pass)
{
    uint32_t appends = 0, count;
    while ((count = catch_up_build(pass, &s->node, 1000, &s->builder)) > 0) {
        const append_args *args = &s->builder.args;
        assert_int_equal(args->runs.runs_len, count);
        assert_int_equal(args->from.to_store, PEER_STORE);
        for (uint32_t i = 0; i < count; i++)
            take_run(s, &args->runs.runs_val[i]);
        appends++;
    }
    return appends;
}

static struct catch_up *open_pass(struct scene *s)
{
    struct catch_up *pass;
    assert_int_equal(catch_up_open(&s->node, PEER, &pass), CAIRN_OK);
    assert_non_null(pass);
    return pass;
}

static void read_piece(struct catch_up *pass, uint64_t limit_bytes)
{
    struct error error = {0};
    int status = catch_up_read(pass, limit_bytes, &error);
    if (status != CAIRN_OK)
        print_error("%s\n", error.message);
    assert_int_equal(status, CAIRN_OK);
}

static void run_pass(struct scene *s, uint64_t limit_bytes)
{
    struct catch_up *pass = open_pass(s);
    while (!catch_up_done(pass)) {
        read_piece(pass, limit_bytes);
        deliver(s, pass);
    }
    catch_up_close(&s->node, pass);
}

/* All up to `index` arrived, and the core knows that it was sent. */
static void assert_arrived(struct scene *s, uint32_t partition, uint64_t index)
{
    assert_int_equal(s->logs[partition].arrived_index, index);
    assert_int_equal(follower_of(s, partition)->next_index, index + 1);
}

/* Reads pieces until one holds something to be sent. */
static void read_until_filled(struct catch_up *pass)
{
    for (int i = 0; i < 2; i++)
        read_piece(pass, 1 << 20);
}

/* --- what is sent ------------------------------------------------------------------------------
 */

static void test_a_follower_gets_what_it_lacks(void **state)
{
    (void)state;
    struct scene s;
    set_up(&s);
    for (uint64_t index = 1; index <= 300; index++) /* partitions side by side in one log */
        for (uint32_t p = 0; p < PARTITIONS; p++)
            put(&s, p, index, 1 + index / 100, 100);
    lead(&s, 0, 0, 0, 300);
    lead(&s, 1, 0, 120, 300);
    lead(&s, 2, 0, 298, 299);
    lead(&s, 3, 0, 300, 300); /* lacks nothing */
    run_pass(&s, 10000);
    assert_arrived(&s, 0, 300);
    assert_arrived(&s, 1, 300);
    assert_arrived(&s, 2, 299);
    assert_arrived(&s, 3, 300);
    tear_down(&s);
}

/* A copy that followed somebody else dropped the end of its log, twice: the records are still
 * there, the first ones long before those that count. A piece may end between any two of them. */
static void test_dropped_entries_are_never_sent(void **state)
{
    (void)state;
    for (uint64_t limit_bytes = 1; limit_bytes < 2000; limit_bytes += 97) {
        struct scene s;
        set_up(&s);
        put_range(&s, 1, 1, 20, 1);
        put_range(&s, 1, 21, 29, 2);
        put_range(&s, 1, 25, 40, 3);
        put_range(&s, 1, 23, 24, 4);
        put_range(&s, 1, 25, 38, 5);
        lead(&s, 1, 0, 19, 35);
        run_pass(&s, limit_bytes);
        assert_arrived(&s, 1, 35);
        tear_down(&s);
    }
}

/* W6: what is written again voids nothing, even where the rest has yet to follow; it is sent once.
 * A later drop at the same place does void. */
static void test_entries_written_again_void_nothing_W6(void **state)
{
    (void)state;
    for (uint64_t limit_bytes = 1; limit_bytes < 2000; limit_bytes += 97) {
        struct scene s;
        set_up(&s);
        put_range(&s, 1, 1, 10, 1);
        put_range(&s, 1, 11, 30, 2);
        put_again(&s, 1, 8, 14);
        put_range(&s, 1, 31, 32, 2);
        put_again(&s, 1, 15, 16);
        put_range(&s, 2, 1, 20, 1);
        put_range(&s, 2, 15, 30, 3);
        put_again(&s, 2, 12, 18);
        put_range(&s, 3, 1, 20, 1);
        put_again(&s, 3, 12, 14);
        put_range(&s, 3, 13, 30, 3);
        lead(&s, 1, 0, 7, 32);
        lead(&s, 2, 0, 11, 30);
        lead(&s, 3, 0, 11, 30);
        run_pass(&s, limit_bytes);
        assert_arrived(&s, 1, 32);
        assert_arrived(&s, 2, 30);
        assert_arrived(&s, 3, 30);
        tear_down(&s);
    }
}

/* R4: the epoch of the entry before the first one, also if that one was written more than once. */
static void test_the_entry_before_the_first_is_the_one_that_counts(void **state)
{
    (void)state;
    struct scene s;
    set_up(&s);
    put_range(&s, 1, 1, 20, 1);
    put_range(&s, 1, 10, 20, 2);
    put_range(&s, 1, 15, 20, 3);
    put_range(&s, 2, 1, 30, 7); /* something else in between */
    lead(&s, 1, 0, 12, 20);
    run_pass(&s, 50);
    assert_arrived(&s, 1, 20);
    tear_down(&s);
}

static void test_what_is_not_settled_is_not_sent(void **state)
{
    (void)state;
    struct scene s;
    set_up(&s);
    put_range(&s, 0, 1, 50, 1);
    put_range(&s, 1, 1, 50, 1);
    lead(&s, 0, 0, 10, 30); /* committed only so far */
    lead(&s, 1, 0, 10, 40);
    s.partitions[1].replica.synced_index = 33; /* durable here only so far */
    run_pass(&s, 1 << 20);
    assert_arrived(&s, 0, 30);
    assert_arrived(&s, 1, 33);
    tear_down(&s);
}

/* W6: the log begins anew behind an install; what it held before has the same indexes. */
static void test_nothing_from_before_an_install_is_sent(void **state)
{
    (void)state;
    struct scene s;
    set_up(&s);
    put_range(&s, 1, 1, 60, 1);
    put_range(&s, 2, 1, 5, 1);
    put_reset(&s, 1, (struct replica_position){.epoch = 6, .index = 30});
    put_range(&s, 1, 31, 70, 7);
    lead(&s, 1, 30, 30, 70); /* the base tells the entry before the first */
    lead(&s, 2, 0, 1, 5);
    run_pass(&s, 500);
    assert_arrived(&s, 1, 70);
    assert_arrived(&s, 2, 5);
    lead(&s, 1, 30, 45, 70);
    run_pass(&s, 500);
    assert_arrived(&s, 1, 70);
    tear_down(&s);
}

/* Each partition's log with drops, installs and cuts at random, against what must arrive. */
static void write_at_random(struct scene *s, struct random *random, uint64_t *epoch)
{
    for (int i = 0; i < 600; i++) {
        uint32_t p = (uint32_t)random_below(random, PARTITIONS);
        struct truth_log *log = &s->logs[p];
        uint64_t held = log->last_index - log->start.index, index = log->last_index + 1;
        uint64_t dice = random_below(random, 100);
        if (random_below(random, 300) == 0) {
            *epoch += 1;
            put_reset(
                s, p,
                (struct replica_position){.epoch = *epoch, .index = random_below(random, 100)});
            continue;
        }
        if (dice < 12 && held > 0) {
            *epoch += 1;
            index -= 1 + random_below(random, held < 20 ? held : 20);
        }
        if (index < ENTRIES_MAX)
            put(s, p, index, *epoch, (uint32_t)random_below(random, 900));
        if (dice > 85 && log->last_index > log->start.index) {
            uint64_t again =
                log->start.index + 1 + random_below(random, log->last_index - log->start.index);
            put_again(s, p, again, again + random_below(random, log->last_index - again + 1));
        }
        if (dice > 90)
            wal_flush(s->node.journal.wal);
    }
}

static void lead_at_random(struct scene *s, struct random *random)
{
    uint64_t needed_lsn = UINT64_MAX;
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        struct truth_log *log = &s->logs[p];
        uint64_t held = log->last_index - log->start.index;
        uint64_t base = log->start.index + random_below(random, held + 1);
        uint64_t commit = base + random_below(random, log->last_index - base + 1);
        uint64_t has = base + random_below(random, commit - base + 1);
        if (base < log->last_index && log->entries[base + 1].lsn < needed_lsn)
            needed_lsn = log->entries[base + 1].lsn;
        lead(s, p, base, has, commit);
    }
    if (random_below(random, 2) == 0 && needed_lsn != UINT64_MAX)
        wal_cut(s->node.journal.wal, needed_lsn);
}

static void test_any_log_gives_exactly_what_is_lacking(void **state)
{
    (void)state;
    static struct scene s;
    uint32_t runs = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct random random;
        uint64_t epoch = 1;
        struct catch_up *pass;
        random_seed(&random, seed);
        set_up(&s);
        write_at_random(&s, &random, &epoch);
        lead_at_random(&s, &random);
        int status = catch_up_open(&s.node, PEER, &pass);
        catch_up_close(&s.node, pass);
        if (status == CAIRN_OK)
            run_pass(&s, 1 + random_below(&random, 5000));
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            uint64_t commit_index = s.partitions[p].replica.commit_index;
            if (s.logs[p].arrived_index != commit_index)
                print_error("seed %llu\n", (unsigned long long)seed);
            assert_arrived(&s, p, commit_index);
        }
        runs += s.runs;
        tear_down(&s);
    }
    assert_true(runs > 2000);
}

/* --- Appends -----------------------------------------------------------------------------------
 */

static void test_a_large_piece_takes_several_appends(void **state)
{
    (void)state;
    struct scene s;
    set_up(&s);
    for (uint64_t index = 1; index <= 90; index++)
        put(&s, 0, index, 1, 30000);
    lead(&s, 0, 0, 0, 90);
    struct catch_up *pass = open_pass(&s);
    read_piece(pass, 1 << 30); /* looks */
    read_piece(pass, 1 << 30); /* takes all */
    assert_int_equal(deliver(&s, pass), 90 * 30000 / APPEND_BYTES_TARGET + 1);
    assert_true(catch_up_done(pass));
    assert_arrived(&s, 0, 90);
    catch_up_close(&s.node, pass);
    tear_down(&s);
}

/* --- followers that moved on -------------------------------------------------------------------
 */

enum change {
    ITS_PROGRESS,
    ITS_MODE,
    ITS_STORE,
    ITS_SERVER_IN_THE_MAP,
    OUR_LEAD,
    OUR_EPOCH_RECORD,
    OUR_HISTORY,
    CHANGES
};

static void change(struct scene *s, enum change what)
{
    struct replica *replica = &s->partitions[1].replica;
    switch (what) {
    case ITS_PROGRESS:
        follower_of(s, 1)->next_index += 2;
        break;
    case ITS_MODE:
        follower_of(s, 1)->mode = REPLICA_PROBE;
        break;
    case ITS_STORE:
        follower_of(s, 1)->id.store++;
        break;
    case ITS_SERVER_IN_THE_MAP:
        s->servers[1].store++;
        break;
    case OUR_LEAD:
        replica->barrier_index = 0;
        break;
    case OUR_EPOCH_RECORD: /* R2: the epoch is not durable yet */
        replica->configuration.epoch++;
        break;
    case OUR_HISTORY:
        replica->configuration.history++;
        break;
    case CHANGES:
        fail();
    }
}

static void test_a_follower_that_moved_on_is_left_out(void **state)
{
    (void)state;
    for (int what = 0; what < CHANGES; what++) {
        struct scene s;
        set_up(&s);
        put_range(&s, 1, 1, 50, 1);
        put_range(&s, 2, 1, 50, 1);
        lead(&s, 1, 0, 10, 50);
        lead(&s, 2, 0, 10, 50);
        struct catch_up *pass = open_pass(&s);
        read_until_filled(pass);
        change(&s, (enum change)what);
        uint64_t next_index = follower_of(&s, 1)->next_index;
        deliver(&s, pass);
        assert_int_equal(s.logs[1].arrived_index, 10);
        assert_int_equal(follower_of(&s, 1)->next_index, next_index);
        if (what != ITS_SERVER_IN_THE_MAP)
            assert_arrived(&s, 2, 50); /* the other one goes on */
        read_piece(pass, 1 << 20);
        assert_true(catch_up_done(pass));
        catch_up_close(&s.node, pass);
        tear_down(&s);
    }
}

/* What was not sent leaves a gap: nothing behind it may follow in this pass. */
static void test_a_piece_that_was_not_sent_ends_the_run(void **state)
{
    (void)state;
    struct scene s;
    set_up(&s);
    put_range(&s, 1, 1, 50, 1);
    lead(&s, 1, 0, 10, 50);
    struct catch_up *pass = open_pass(&s);
    read_piece(pass, 1 << 20);
    read_piece(pass, 500);
    read_piece(pass, 500);
    assert_int_equal(deliver(&s, pass), 0);
    assert_true(catch_up_done(pass));
    catch_up_close(&s.node, pass);
    run_pass(&s, 500); /* the next one begins where the follower is */
    assert_arrived(&s, 1, 50);
    tear_down(&s);
}

static void test_nobody_behind_is_not_found(void **state)
{
    (void)state;
    struct scene s;
    struct catch_up *pass;
    set_up(&s);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        put_range(&s, p, 1, 50, 1);
        lead(&s, p, 0, 10, 50);
    }
    s.partitions[0].before = (struct replica_position){.epoch = 1, .index = 10}; /* in memory */
    s.partitions[0].entry_count = 40;
    follower_of(&s, 1)->mode = REPLICA_PROBE;
    s.partitions[2].replica.barrier_index = 0;
    s.partitions[3].base = (struct replica_position){.epoch = 1, .index = 11}; /* cut */
    assert_int_equal(catch_up_open(&s.node, PEER, &pass), CAIRN_ENOTFOUND);
    assert_null(pass);
    assert_int_equal(catch_up_open(&s.node, 9, &pass), CAIRN_ENOTFOUND);
    catch_up_close(&s.node, NULL);
    tear_down(&s);
}

/* --- the log itself ----------------------------------------------------------------------------
 */

static void test_the_log_is_kept_during_a_pass(void **state)
{
    (void)state;
    struct scene s;
    set_up(&s);
    for (uint64_t index = 1; index <= 300; index++)
        put(&s, 1, index, 1, 1000);
    lead(&s, 1, 0, 10, 300);
    uint64_t bytes = wal_bytes(s.node.journal.wal);
    struct catch_up *pass = open_pass(&s);
    read_piece(pass, 1 << 20); /* looked at, not taken yet */
    wal_cut(s.node.journal.wal, 300);
    assert_int_equal(wal_bytes(s.node.journal.wal), bytes);
    while (!catch_up_done(pass)) {
        wal_cut(s.node.journal.wal, 300);
        read_piece(pass, 20000);
        deliver(&s, pass);
    }
    assert_arrived(&s, 1, 300);
    catch_up_close(&s.node, pass);
    wal_cut(s.node.journal.wal, 300);
    assert_true(wal_bytes(s.node.journal.wal) < bytes / 2);
    tear_down(&s);
}

static void test_damage_is_an_error(void **state)
{
    (void)state;
    struct scene s;
    struct error error = {0};
    set_up(&s);
    put_range(&s, 1, 1, 50, 1);
    lead(&s, 1, 0, 10, 50);
    size_t length;
    uint8_t *file = memory_disk_file(s.disk, "wal-0000000000000001.seg", &length);
    assert_non_null(file);
    file[4096 + 30 * 176] ^= 1;
    struct catch_up *pass = open_pass(&s);
    assert_int_equal(catch_up_read(pass, 1 << 20, &error), CAIRN_ECORRUPT);
    assert_non_null(strstr(error.message, "wal-0000000000000001.seg"));
    assert_int_equal(deliver(&s, pass), 0);
    catch_up_close(&s.node, pass);
    tear_down(&s);
}

/* The log lacks what the base promises: nothing is sent for that partition, the others go on. */
static void test_missing_entries_are_not_skipped(void **state)
{
    (void)state;
    struct scene s;
    set_up(&s);
    put_range(&s, 1, 1, 20, 1);
    put_range(&s, 2, 1, 40, 1);
    s.logs[1].last_index = 24; /* 21 to 24 never reach the log */
    put_range(&s, 1, 25, 40, 1);
    lead(&s, 1, 0, 10, 40);
    lead(&s, 2, 0, 10, 40);
    run_pass(&s, 300);
    assert_arrived(&s, 1, 20);
    assert_arrived(&s, 2, 40);
    lead(&s, 1, 0, 20, 40); /* the first one is missing */
    lead(&s, 3, 0, 0, 0);
    run_pass(&s, 300);
    assert_arrived(&s, 1, 20);
    lead(&s, 1, 0, 24, 40); /* the one before the first is missing */
    run_pass(&s, 300);
    assert_arrived(&s, 1, 24);
    tear_down(&s);
}

/* The same where an install lies between: what was before it makes up for nothing. */
static void test_entries_before_an_install_do_not_make_up_for_missing_ones(void **state)
{
    (void)state;
    struct scene s;
    set_up(&s);
    put_range(&s, 1, 1, 60, 1);
    put_reset(&s, 1, (struct replica_position){.epoch = 6, .index = 30});
    s.logs[1].last_index = 39; /* 31 to 39 never reach the log */
    put_range(&s, 1, 40, 50, 7);
    lead(&s, 1, 30, 39, 50); /* the one before the first is missing */
    run_pass(&s, 1 << 20);
    assert_arrived(&s, 1, 39);
    lead(&s, 1, 30, 30, 50); /* the first one is */
    struct catch_up *pass = open_pass(&s);
    read_piece(pass, 1 << 20);
    assert_true(catch_up_done(pass)); /* there is nothing to be taken */
    catch_up_close(&s.node, pass);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_follower_gets_what_it_lacks),
        cmocka_unit_test(test_dropped_entries_are_never_sent),
        cmocka_unit_test(test_entries_written_again_void_nothing_W6),
        cmocka_unit_test(test_the_entry_before_the_first_is_the_one_that_counts),
        cmocka_unit_test(test_what_is_not_settled_is_not_sent),
        cmocka_unit_test(test_nothing_from_before_an_install_is_sent),
        cmocka_unit_test(test_any_log_gives_exactly_what_is_lacking),
        cmocka_unit_test(test_a_large_piece_takes_several_appends),
        cmocka_unit_test(test_a_follower_that_moved_on_is_left_out),
        cmocka_unit_test(test_a_piece_that_was_not_sent_ends_the_run),
        cmocka_unit_test(test_nobody_behind_is_not_found),
        cmocka_unit_test(test_the_log_is_kept_during_a_pass),
        cmocka_unit_test(test_damage_is_an_error),
        cmocka_unit_test(test_missing_entries_are_not_skipped),
        cmocka_unit_test(test_entries_before_an_install_do_not_make_up_for_missing_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
