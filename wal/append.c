/* Appending: records gather in one batch while another is written and synced.
 *
 * A batch has a part for each segment it goes to, mostly one. Parts are written and synced one
 * after the other: a record is never durable before those below it are (invariant 4 in format.c).
 * All writes are whole blocks, so that they can go past the page cache: the first block of a part
 * repeats the records that already lie in it (`edge`), bit for bit, and its last is filled up with
 * zeros. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "wal/internal.h"

static uint64_t segment_room(const struct wal *wal)
{
    return wal->active->size - wal->append_offset;
}

/* Begins a part of the gathering batch at the append offset of the active segment. */
static void begin_part(struct wal *wal)
{
    struct batch *batch = wal->gathering;
    CHECK(batch->count < BATCH_PARTS_MAX);
    size_t start = (size_t)block_ceiling(batch->used) +
                   (size_t)(wal->append_offset - block_floor(wal->append_offset));
    batch->parts[batch->count++] = (struct batch_part){
        .segment = wal->active,
        .file_offset = wal->append_offset,
        .memory_offset = start,
        .last_lsn = wal->last_lsn,
    };
    batch->used = start;
}

/* Goes on to the next prepared segment; false if there is none. */
static bool roll(struct wal *wal)
{
    if (wal->gathering->count == BATCH_PARTS_MAX)
        return false;
    struct segment *segment = keeper_take(wal->keeper);
    if (!segment)
        return false;
    segment->first_lsn = wal->last_lsn + 1;
    TAILQ_INSERT_TAIL(&wal->segments, segment, link);
    wal->active = segment;
    wal->append_offset = WAL_BLOCK_BYTES;
    wal->live_bytes += segment->size;
    begin_part(wal);
    return true;
}

static uint8_t *reserve(struct wal *wal, uint16_t kind, uint32_t length)
{
    struct batch *batch = wal->gathering;
    uint64_t size = record_bytes(length);
    if (batch->bytes + size > wal->options.batch_bytes)
        return NULL;
    if (size > segment_room(wal)) {
        if (!roll(wal))
            return NULL;
    } else if (batch->count == 0) {
        begin_part(wal);
    }
    CHECK(size <= segment_room(wal) && batch->used + size <= wal->memory_bytes);
    wal->record = batch->memory + batch->used;
    wal->record_length = length;
    wal->reserved = true;
    struct record_header header = {.length = length, .kind = kind};
    memcpy(wal->record, &header, sizeof header);
    return wal->record + sizeof header;
}

uint8_t *wal_reserve(struct wal *wal, uint16_t kind, uint32_t length)
{
    CHECK(!wal->reserved);
    CHECK(kind >= WAL_KIND_USER);
    CHECK(record_bytes(length) <= wal->options.batch_bytes);
    CHECK(record_bytes(length) <= wal->options.segment_bytes - WAL_BLOCK_BYTES);
    wal_check_keeper(wal);
    return reserve(wal, kind, length);
}

static void finish(struct wal *wal, uint64_t lsn)
{
    struct batch *batch = wal->gathering;
    struct batch_part *part = &batch->parts[batch->count - 1];
    uint64_t size = record_bytes(wal->record_length);
    size_t content = WAL_RECORD_HEADER_BYTES + (size_t)wal->record_length;
    memset(wal->record + content, 0, size - content);
    memcpy(wal->record + offsetof(struct record_header, lsn), &lsn, sizeof lsn);
    part->length += size;
    part->last_lsn = lsn;
    batch->used += size;
    batch->bytes += size;
    wal->append_offset += size;
    wal->last_lsn = lsn;
    wal->reserved = false;
}

uint64_t wal_finish(struct wal *wal)
{
    CHECK(wal->reserved);
    finish(wal, wal->last_lsn + 1);
    return wal->last_lsn;
}

/* Fills in what is known only now: each record's segment, synced LSN (W3) and checksum. */
static void seal_part(struct wal *wal, struct batch *batch, struct batch_part *part)
{
    uint8_t *record = batch->memory + part->memory_offset;
    const uint8_t *end = record + part->length;
    while (record < end) {
        struct record_header header;
        memcpy(&header, record, sizeof header);
        record_seal(record, part->segment->id, wal->durable_lsn);
        record += record_bytes(header.length);
    }
    CHECK(record == end);
}

/* Seals the next part of the batch in flight, makes it whole blocks and hands it to the backend. */
static void start_part(struct wal *wal)
{
    struct batch *batch = wal->in_flight;
    struct batch_part *part = &batch->parts[wal->next_part];
    if (wal->writing != part->segment) {
        segment_close(&wal->store, wal->writing);
        wal->writing = part->segment;
    }
    seal_part(wal, batch, part);
    wal->stated_lsn = wal->durable_lsn;
    uint64_t offset = block_floor(part->file_offset);
    size_t lead = (size_t)(part->file_offset - offset);
    uint8_t *data = batch->memory + part->memory_offset - lead;
    size_t length = lead + part->length;
    size_t whole = (size_t)block_ceiling(length);
    memcpy(data, wal->edge, lead);
    memset(data + length, 0, whole - length);
    size_t edge = (size_t)block_floor(length);
    memcpy(wal->edge, data + edge, length - edge);
    const struct backend_request request = {
        .io = wal->store.io,
        .file = part->segment->file,
        .descriptor = part->segment->descriptor,
        .offset = offset,
        .data = data,
        .length = whole,
    };
    int rc = wal->backend->operations->start(wal->backend, &request);
    wal->busy = rc == 0;
    if (rc != 0)
        wal_fail(wal, "%s: cannot write: %s",
                 segment_path(&wal->store, SEGMENT_FILE_LIVE, part->segment->sequence),
                 strerror(-rc));
}

static void start_batch(struct wal *wal)
{
    struct batch *batch = wal->gathering;
    wal->gathering = wal->in_flight;
    wal->in_flight = batch;
    wal->gathering->used = 0;
    wal->gathering->bytes = 0;
    wal->gathering->count = 0;
    wal->next_part = 0;
    start_part(wal);
}

/* Takes what is done and starts what comes next, up to the end of the batch that is in flight (and
 * the start of the next one with `more`). */
static void advance(struct wal *wal, bool wait, bool more)
{
    while (wal->busy) {
        int rc = wal->backend->operations->poll(wal->backend, wait);
        const struct batch_part *part = &wal->in_flight->parts[wal->next_part];
        if (rc == BACKEND_UNDER_WAY)
            return;
        wal->busy = false;
        if (rc < 0)
            wal_fail(wal, "%s: cannot write or sync: %s",
                     segment_path(&wal->store, SEGMENT_FILE_LIVE, part->segment->sequence),
                     strerror(-rc));
        CHECK(part->last_lsn >= wal->durable_lsn);
        wal->durable_lsn = part->last_lsn;
        wal->marked_lsn = wal->stated_lsn;
        wal->syncs++;
        if (++wal->next_part < wal->in_flight->count)
            start_part(wal);
        else if (more && wal_waiting(wal))
            start_batch(wal);
    }
}

void wal_submit(struct wal *wal)
{
    CHECK(!wal->reserved);
    if (wal->busy || !wal_waiting(wal))
        return;
    start_batch(wal);
    if (wal->event < 0)
        advance(wal, true, false);
}

uint64_t wal_complete(struct wal *wal)
{
    CHECK(!wal->reserved);
    uint64_t count;
    if (wal->event >= 0 && read(wal->event, &count, sizeof count) < 0)
        CHECK(errno == EAGAIN || errno == EINTR);
    wal_check_keeper(wal);
    keeper_poke(wal->keeper);
    advance(wal, false, !wal->options.owner_submits);
    return wal->durable_lsn;
}

uint64_t wal_flush(struct wal *wal)
{
    CHECK(!wal->reserved);
    wal_submit(wal);
    advance(wal, true, true);
    CHECK(wal->durable_lsn == wal->last_lsn);
    return wal->durable_lsn;
}

void wal_mark(struct wal *wal)
{
    CHECK(!wal->reserved);
    /* A batch waiting or under way is no idleness; the one after it will state what is synced. A
     * mark is never a segment's first record: a new segment's first user record says as much. */
    if (wal->busy || wal_waiting(wal) || wal->marked_lsn >= wal->durable_lsn ||
        wal->append_offset == WAL_BLOCK_BYTES || segment_room(wal) < record_bytes(0))
        return;
    CHECK(reserve(wal, WAL_KIND_MARK, 0));
    finish(wal, wal->last_lsn);
    wal_submit(wal);
}

size_t wal_waiting(const struct wal *wal)
{
    return wal->gathering->bytes;
}

bool wal_busy(const struct wal *wal)
{
    return wal->busy;
}
