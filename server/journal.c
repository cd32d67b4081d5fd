/* See journal.h. */
#include "server/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/durable.pb-c.h"

enum { MARKS_INITIAL = 1024, EPOCH_BYTES_MAX = 64 };

static int replay_epoch(const struct journal_replay *replay, const struct wal_record *record,
                        struct error *error)
{
    Cairn__EpochSeen *seen = cairn__epoch_seen__unpack(NULL, record->length, record->payload);
    int status;

    if (seen == NULL)
        return error_set(error, CAIRN_ECORRUPT, "log record %llu: not an epoch record",
                         (unsigned long long)record->lsn);
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
    return replay->entry(replay->context, entry, error);
}

static int visit_record(void *context, const struct wal_record *record, struct error *error)
{
    const struct journal_replay *replay = context;

    switch (record->kind) {
    case LOG_KIND_ENTRY:
        return replay_entry(replay, record, error);
    case LOG_KIND_EPOCH:
        return replay_epoch(replay, record, error);
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
    struct journal_replay visitor = *replay;
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
        journal->marks = NULL;
    }
    return status;
}

void journal_close(struct journal *journal)
{
    wal_close(journal->wal);
    free(journal->marks);
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

static void add_mark(struct journal *journal, uint64_t lsn, uint32_t partition, uint64_t index)
{
    size_t slot = (journal->first + journal->count) & (journal->capacity - 1);

    journal->marks[slot] =
        (struct journal_mark){.lsn = lsn, .index = index, .partition = partition};
    journal->count++;
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
    entry->lsn = wal_finish(journal->wal);
    journal->appended_bytes += length;
    add_mark(journal, entry->lsn, entry->partition, entry->index);
    return true;
}

bool journal_append_epoch(struct journal *journal, uint32_t partition, uint64_t history,
                          uint64_t epoch)
{
    Cairn__EpochSeen seen = CAIRN__EPOCH_SEEN__INIT;
    uint8_t packed[EPOCH_BYTES_MAX];
    size_t length;
    uint8_t *bytes;

    seen.partition = partition;
    seen.history = history;
    seen.epoch = epoch;
    length = cairn__epoch_seen__pack(&seen, packed);
    CHECK(length <= sizeof packed);
    if (!reserve_mark(journal))
        return false;
    bytes = wal_reserve(journal->wal, LOG_KIND_EPOCH, (uint32_t)length);
    if (bytes == NULL)
        return false;
    memcpy(bytes, packed, length);
    add_mark(journal, wal_finish(journal->wal), partition, 0);
    return true;
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
