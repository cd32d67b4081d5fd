/* The membership's records in a write-ahead log: see log.h. */
#include "manager/log.h"

#include <poll.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "manager/journal.h"

enum {
    /* Two segments are preallocated: small ones do for all but huge clusters. */
    SEGMENT_SMALL_BYTES = 1 << 20,
    SEGMENT_LARGE_BYTES = 32 << 20,
    /* A batch takes a whole map and the changes that gather meanwhile. */
    BATCH_BYTES = 16 << 20,
    /* Least that is appended between two whole maps. */
    MAP_INTERVAL_BYTES = 256 << 10,
    WAIT_STEP_MS = 50,
    WAIT_LIMIT_MS = 30000,
    RECORD_HEAD_BYTES = 64, /* at least what the log adds to a payload */
};

static uint64_t segment_bytes(const struct cluster_map *map)
{
    return journal_map_bound(map) > SEGMENT_SMALL_BYTES / 4 ? SEGMENT_LARGE_BYTES
                                                            : SEGMENT_SMALL_BYTES;
}

static int visit(void *context, const struct wal_record *record, struct error *error)
{
    struct error reason = {0};
    int status = journal_apply(context, record->kind, record->payload, record->length, &reason);

    if (status == 0)
        return 0;
    return error_set(error, status, "%.400s (record %llu)", reason.message,
                     (unsigned long long)record->lsn);
}

static int open_once(struct manager_log *log, const char *directory, uint64_t segment,
                     struct journal_replay *replay, struct wal_recovery *recovery,
                     struct error *error)
{
    const struct wal_options options = {
        .directory = directory,
        .backend = WAL_BACKEND_AUTO,
        .segment_bytes = segment,
        .batch_bytes = BATCH_BYTES,
        .spare_segments = 1,
        .visit = visit,
        .visit_context = replay,
    };
    int status;

    memset(log, 0, sizeof *log);
    memset(recovery, 0, sizeof *recovery);
    status = wal_open(&options, &log->wal, recovery, error);
    /* R10: a log that lost its beginning must not pass for an empty one. */
    if (status == 0 && replay->membership == NULL && recovery->records > 0)
        status = error_set(error, CAIRN_ECORRUPT,
                           "%s: %llu records, but no whole cluster map among them", directory,
                           (unsigned long long)recovery->records);
    if (status != 0) {
        membership_free(replay->membership);
        replay->membership = NULL;
        manager_log_close(log);
    }
    return status;
}

int manager_log_open(struct manager_log *log, const char *directory, uint32_t partitions,
                     uint32_t replicas, uint64_t now_ms, struct membership **membership,
                     struct error *error)
{
    const struct cluster_map expected = {
        .partitions = partitions, .replicas = replicas, .server_count = CAIRN_SERVERS_LIMIT};
    const uint64_t segment = segment_bytes(&expected);
    struct journal_replay replay = {.now_ms = now_ms};
    struct wal_recovery recovery;
    int status = open_once(log, directory, segment, &replay, &recovery, error);

    if (status == 0 && replay.membership != NULL &&
        segment_bytes(&replay.membership->map) > segment) {
        const uint64_t larger = segment_bytes(&replay.membership->map);

        membership_free(replay.membership);
        replay.membership = NULL;
        manager_log_close(log);
        status = open_once(log, directory, larger, &replay, &recovery, error);
    }
    if (status == 0) {
        log->bytes_since_map = recovery.bytes;
        log_info("manager", "journal recovered records=%llu bytes=%llu torn_bytes=%llu backend=%s",
                 (unsigned long long)recovery.records, (unsigned long long)recovery.bytes,
                 (unsigned long long)recovery.torn_bytes, wal_backend_name(log->wal));
    }
    *membership = replay.membership;
    return status;
}

void manager_log_close(struct manager_log *log)
{
    wal_close(log->wal);
    memset(log, 0, sizeof *log);
}

bool manager_log_has_room(struct manager_log *log, const struct membership *membership,
                          uint32_t changes, uint32_t targets)
{
    /* Whatever is changed, a whole map may follow: at placing, or for the cut. */
    const uint64_t needed = (uint64_t)changes * JOURNAL_CHANGE_BYTES +
                            (uint64_t)targets * JOURNAL_TARGET_BYTES +
                            2 * (journal_map_bound(&membership->map) + RECORD_HEAD_BYTES) +
                            membership->retired_count * JOURNAL_CHANGE_BYTES;

    return wal_room(log->wal) >= needed;
}

/* A place in the log, waiting for the disk if it is slower than the changes: until the batch is
 * written, and until the next segment is prepared. There was room when the changes were made
 * (manager_log_has_room), so this passes; if it does not, the state is ahead of its log. */
static uint8_t *reserve(struct manager_log *log, enum journal_kind kind, size_t length)
{
    uint8_t *place = wal_reserve(log->wal, (uint16_t)kind, (uint32_t)length);

    for (int waited_ms = 0; place == NULL && waited_ms < WAIT_LIMIT_MS; waited_ms += WAIT_STEP_MS) {
        struct pollfd event = {.fd = wal_descriptor(log->wal), .events = POLLIN};

        (void)wal_flush(log->wal);
        place = wal_reserve(log->wal, (uint16_t)kind, (uint32_t)length);
        if (place != NULL)
            break;
        (void)poll(&event, 1, WAIT_STEP_MS);
        (void)wal_complete(log->wal);
        place = wal_reserve(log->wal, (uint16_t)kind, (uint32_t)length);
    }
    CHECK(place != NULL);
    return place;
}

static void append(struct manager_log *log, enum journal_kind kind, const struct buffer *payload)
{
    uint8_t *place = reserve(log, kind, payload->length);

    memcpy(place, payload->data, payload->length);
    (void)wal_finish(log->wal);
    log->bytes_since_map += payload->length + RECORD_HEAD_BYTES;
}

/* R10: the retired stores follow each whole map, because the cut takes the records that told of
 * them. Until the last of them is durable nothing is cut. */
static void append_map(struct manager_log *log, const struct membership *membership,
                       struct buffer *payload)
{
    const struct change whole = {.kind = CHANGE_PLACED};
    enum journal_kind kind;

    buffer_clear(payload);
    CHECK(journal_encode(membership, &whole, &kind, payload) == 0);
    append(log, kind, payload);
    log->map_first_lsn = wal_last_lsn(log->wal);
    for (size_t i = 0; i < membership->retired_count; i++) {
        buffer_clear(payload);
        CHECK(journal_encode_retired(&membership->retired[i], payload) == 0);
        append(log, JOURNAL_RETIRED, payload);
    }
    log->map_last_lsn = wal_last_lsn(log->wal);
    log->bytes_since_map = 0;
}

static bool map_is_due(const struct manager_log *log, const struct membership *membership)
{
    const uint64_t interval = 4 * (uint64_t)journal_map_bound(&membership->map);

    return log->map_last_lsn == 0 &&
           log->bytes_since_map > (interval > MAP_INTERVAL_BYTES ? interval : MAP_INTERVAL_BYTES);
}

void manager_log_append(struct manager_log *log, struct membership *membership)
{
    struct buffer payload;
    enum journal_kind kind;

    if (membership->change_count == 0)
        return;
    buffer_init(&payload, CAIRN_MAP_LIMIT);
    for (size_t i = 0; i < membership->change_count; i++) {
        const struct change *change = &membership->changes[i];

        if (change->kind == CHANGE_PLACED) {
            append_map(log, membership, &payload);
            continue;
        }
        buffer_clear(&payload);
        CHECK(journal_encode(membership, change, &kind, &payload) == 0);
        append(log, kind, &payload);
    }
    if (map_is_due(log, membership))
        append_map(log, membership, &payload);
    buffer_free(&payload);
    membership_clear_changes(membership);
    wal_submit(log->wal);
}

void manager_log_append_map(struct manager_log *log, const struct membership *membership)
{
    struct buffer payload;

    buffer_init(&payload, CAIRN_MAP_LIMIT);
    append_map(log, membership, &payload);
    buffer_free(&payload);
    wal_submit(log->wal);
}

uint64_t manager_log_complete(struct manager_log *log)
{
    const uint64_t durable = wal_complete(log->wal);

    if (log->map_last_lsn != 0 && durable >= log->map_last_lsn) {
        wal_cut(log->wal, log->map_first_lsn);
        log->map_first_lsn = log->map_last_lsn = 0;
    }
    return durable;
}

void manager_log_flush(struct manager_log *log)
{
    (void)wal_flush(log->wal);
    (void)manager_log_complete(log);
}
