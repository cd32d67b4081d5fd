/* See journal.h. */
#include "server/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/durable.pb-c.h"

enum { MARKS_INITIAL = 1024, SMALL_BYTES_MAX = 64, RESETS_INITIAL = 8 };

/* What visit_record needs. */
struct replaying {
    const struct journal_replay *replay;
    struct journal *journal;
};

static int bad_record(const struct wal_record *record, const char *what, struct error *error)
{
    return error_set(error, CAIRN_ECORRUPT, "log record %llu: not %s",
                     (unsigned long long)record->lsn, what);
}

static int replay_epoch(const struct journal_replay *replay, const struct wal_record *record,
                        struct error *error)
{
    Cairn__EpochSeen *seen = cairn__epoch_seen__unpack(NULL, record->length, record->payload);
    int status;

    if (seen == NULL)
        return bad_record(record, "an epoch record", error);
    status = replay->epoch(replay->context, seen->partition, seen->history, seen->epoch, error);
    cairn__epoch_seen__free_unpacked(seen, NULL);
    return status;
}

static int replay_entry(const struct journal_replay *replay, const struct wal_record *record,
                        struct error *error)
{
    struct entry *entry;
    int status = entry_unpack(record->payload, record->length, &entry, error);

    if (status != CAIRN_OK)
        return status;
    entry->lsn = record->lsn;
    entry->packed_length = record->length;
    return replay->entry(replay->context, entry, error);
}

static bool reserve_reset(struct journal *journal)
{
    size_t capacity = journal->reset_capacity == 0 ? RESETS_INITIAL : 2 * journal->reset_capacity;
    struct journal_reset *resets;

    if (journal->reset_count < journal->reset_capacity)
        return true;
    resets = realloc(journal->resets, capacity * sizeof *resets);
    if (resets == NULL)
        return false;
    journal->resets = resets;
    journal->reset_capacity = capacity;
    return true;
}

/* Only a partition's last one counts. */
static void note_reset(struct journal *journal, uint32_t partition, uint64_t install, uint64_t lsn)
{
    size_t kept = 0;

    for (size_t i = 0; i < journal->reset_count; i++)
        if (journal->resets[i].partition != partition)
            journal->resets[kept++] = journal->resets[i];
    CHECK(kept < journal->reset_capacity);
    journal->resets[kept] =
        (struct journal_reset){.lsn = lsn, .install = install, .partition = partition};
    journal->reset_count = kept + 1;
}

static int replay_reset(const struct replaying *replaying, const struct wal_record *record,
                        struct error *error)
{
    const struct journal_replay *replay = replaying->replay;
    Cairn__Reset *reset = cairn__reset__unpack(NULL, record->length, record->payload);
    int status = CAIRN_OK;

    if (reset == NULL)
        return bad_record(record, "a reset record", error);
    if (!reserve_reset(replaying->journal))
        status = error_set(error, CAIRN_ENOMEM, "log: out of memory");
    else
        status = replay->reset(replay->context, reset->partition, reset->history, reset->install,
                               record->lsn, error);
    if (status == CAIRN_OK)
        note_reset(replaying->journal, reset->partition, reset->install, record->lsn);
    cairn__reset__free_unpacked(reset, NULL);
    return status;
}

static int visit_record(void *context, const struct wal_record *record, struct error *error)
{
    const struct replaying *replaying = context;

    switch (record->kind) {
    case LOG_KIND_ENTRY:
        return replay_entry(replaying->replay, record, error);
    case LOG_KIND_EPOCH:
        return replay_epoch(replaying->replay, record, error);
    case LOG_KIND_RESET:
        return replay_reset(replaying, record, error);
    default:
        /* W9: a newer version's record must not be skipped. */
        return error_set(error, CAIRN_EVERSION, "log record %llu: unknown kind %u",
                         (unsigned long long)record->lsn, (unsigned)record->kind);
    }
}

int journal_open(struct journal *journal, const struct journal_options *options,
                 const struct journal_replay *replay, struct wal_recovery *recovery,
                 struct error *error)
{
    struct replaying visitor = {.replay = replay, .journal = journal};
    struct wal_options wal_options = {
        .directory = options->directory,
        .backend = options->backend,
        .segment_bytes = options->segment_bytes,
        .spare_segments = 1,
        .owner_submits = true, /* node_end_turn gathers */
        .visit = visit_record,
        .visit_context = &visitor,
    };

    memset(journal, 0, sizeof *journal);
    journal->capacity = MARKS_INITIAL;
    journal->marks = calloc(journal->capacity, sizeof *journal->marks);
    if (journal->marks == NULL)
        return error_set(error, CAIRN_ENOMEM, "log: out of memory");
    int status = wal_open(&wal_options, &journal->wal, recovery, error);

    if (status != CAIRN_OK) {
        free(journal->marks);
        free(journal->resets);
        memset(journal, 0, sizeof *journal);
    }
    return status;
}

void journal_close(struct journal *journal)
{
    wal_close(journal->wal);
    free(journal->marks);
    free(journal->resets);
    memset(journal, 0, sizeof *journal);
}

/* Room for one more mark, before anything is appended. */
static bool reserve_mark(struct journal *journal)
{
    struct journal_mark *marks;

    if (journal->count < journal->capacity)
        return true;
    marks = calloc(journal->capacity * 2, sizeof *marks);
    if (marks == NULL)
        return false;
    for (size_t i = 0; i < journal->count; i++)
        marks[i] = journal->marks[(journal->first + i) & (journal->capacity - 1)];
    free(journal->marks);
    journal->marks = marks;
    journal->first = 0;
    journal->capacity *= 2;
    return true;
}

static void add_mark(struct journal *journal, const struct journal_mark *mark)
{
    size_t slot = (journal->first + journal->count) & (journal->capacity - 1);

    journal->marks[slot] = *mark;
    journal->count++;
}

static void add_entry_mark(struct journal *journal, uint32_t partition, uint64_t index,
                           uint64_t lsn)
{
    struct journal_mark mark = {
        .lsn = lsn, .index = index, .partition = partition, .kind = LOG_KIND_ENTRY};

    add_mark(journal, &mark);
}

bool journal_append(struct journal *journal, struct entry *entry)
{
    uint32_t length = entry_packed_size(entry);
    uint8_t *bytes;

    if (!reserve_mark(journal))
        return false;
    bytes = wal_reserve(journal->wal, LOG_KIND_ENTRY, length);
    if (bytes == NULL)
        return false;
    entry_pack(entry, bytes);
    CHECK(!entry->packed_owned);
    entry->packed = bytes;
    entry->packed_length = length;
    entry->packed_turn = journal->turn;
    entry->lsn = wal_finish(journal->wal);
    journal->appended_bytes += length;
    add_entry_mark(journal, entry->partition, entry->index, entry->lsn);
    return true;
}

bool journal_append_raw(struct journal *journal, uint32_t partition, uint64_t index,
                        const uint8_t *bytes, uint32_t length, uint64_t *lsn)
{
    uint8_t *room;

    if (!reserve_mark(journal))
        return false;
    room = wal_reserve(journal->wal, LOG_KIND_ENTRY, length);
    if (room == NULL)
        return false;
    memcpy(room, bytes, length);
    *lsn = wal_finish(journal->wal);
    journal->appended_bytes += length;
    add_entry_mark(journal, partition, index, *lsn);
    return true;
}

/* Appends a small record and its mark; its LSN, or 0 without room. */
static uint64_t append_small(struct journal *journal, const uint8_t *packed, size_t length,
                             struct journal_mark *mark)
{
    uint8_t *bytes;

    if (!reserve_mark(journal))
        return 0;
    bytes = wal_reserve(journal->wal, (uint16_t)mark->kind, (uint32_t)length);
    if (bytes == NULL)
        return 0;
    memcpy(bytes, packed, length);
    mark->lsn = wal_finish(journal->wal);
    add_mark(journal, mark);
    return mark->lsn;
}

bool journal_append_epoch(struct journal *journal, uint32_t partition, uint64_t history,
                          uint64_t epoch)
{
    Cairn__EpochSeen seen = CAIRN__EPOCH_SEEN__INIT;
    struct journal_mark mark = {
        .index = epoch, .history = history, .partition = partition, .kind = LOG_KIND_EPOCH};
    uint8_t packed[SMALL_BYTES_MAX];
    size_t length;

    seen.partition = partition;
    seen.history = history;
    seen.epoch = epoch;
    length = cairn__epoch_seen__pack(&seen, packed);
    CHECK(length <= sizeof packed);
    return append_small(journal, packed, length, &mark) != 0;
}

bool journal_append_reset(struct journal *journal, uint32_t partition, uint64_t history,
                          uint64_t install)
{
    Cairn__Reset reset = CAIRN__RESET__INIT;
    struct journal_mark mark = {
        .index = install, .history = history, .partition = partition, .kind = LOG_KIND_RESET};
    uint8_t packed[SMALL_BYTES_MAX];
    size_t length;

    reset.partition = partition;
    reset.history = history;
    reset.install = install;
    length = cairn__reset__pack(&reset, packed);
    CHECK(length <= sizeof packed);
    if (!reserve_reset(journal) || append_small(journal, packed, length, &mark) == 0)
        return false;
    note_reset(journal, partition, install, mark.lsn);
    return true;
}

const uint8_t *journal_packed(const struct journal *journal, const struct entry *entry)
{
    if (entry->packed == NULL || (!entry->packed_owned && entry->packed_turn != journal->turn))
        return NULL;
    return entry->packed;
}

void journal_submit(struct journal *journal)
{
    journal->turn++;
    wal_submit(journal->wal);
}

bool journal_next_durable(struct journal *journal, uint64_t durable_lsn, struct journal_mark *mark)
{
    if (journal->count == 0 || journal->marks[journal->first].lsn > durable_lsn)
        return false;
    *mark = journal->marks[journal->first];
    journal->first = (journal->first + 1) & (journal->capacity - 1);
    journal->count--;
    return true;
}

void journal_reset_settled(struct journal *journal, uint32_t partition, uint64_t install)
{
    size_t kept = 0;

    for (size_t i = 0; i < journal->reset_count; i++) {
        const struct journal_reset *reset = &journal->resets[i];

        if (reset->partition != partition || reset->install != install)
            journal->resets[kept++] = *reset;
    }
    journal->reset_count = kept;
}
