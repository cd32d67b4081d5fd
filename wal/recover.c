/* Recovery of a log: what is read becomes durable, and appending goes on in a new segment.
 *
 * Why everything reported durable is found again, and nothing else is taken for it:
 *
 * - The log is read in LSN order. It ends at E, the last record before the first bad one; a record
 *   is bad if it does not carry the segment's id, its checksum or the next LSN. By invariant 3 of
 *   format.c a good one was written there by this log, so no wrong record is ever visited.
 * - M is the highest synced LSN that any record or header of the log states, those behind the bad
 *   record included; all records up to M were synced. So if M > E, or if a later segment shows that
 *   an earlier one was complete, something synced is damaged: an error that names the place (W3).
 * - Else no batch after the one that E+1 belongs to was ever begun (invariant 4: a later batch's
 *   records state that E+1 was synced). If E+1 was reported durable its batch was synced whole, and
 *   its damage cannot be told from a crash in the middle of it: that is why wal_mark exists. If it
 *   was not reported, dropping it breaks no promise. Everything from E+1 on is dropped.
 * - The records above M may lie in the page cache only. They are copied into a new file with a new
 *   id, synced before it gets a segment's name (W1, W4). Its header says that it begins at M+1 and
 *   that it was born with records up to E: older copies at or above M+1 are superseded, and so
 *   is the torn tail, which could otherwise match again when LSNs are used a second time.
 *   Until the new name is durable the old copies count, after it the new ones do: an interrupted
 *   recovery loses neither.
 * - Segments behind the end hold nothing. They lose their names before the new one appears, newest
 *   first. If the segment at the end holds no record up to M, the new one takes its place (so that
 *   idle restarts do not pile up segments), else it comes next in sequence. */
#include "wal/recover.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/random.h"
#include "wal/keeper.h"
#include "wal/recover_internal.h"

/* Room for the tail of records is bounded by memory, not by us: they came from one batch. */
enum { LIST_BYTES_MAX = 64 << 20 };

/* How many of the found segments stay; the new one follows them. */
static size_t parts_kept(const struct recovery *recovery)
{
    if (recovery->count == 0)
        return 0;
    const struct part *end = &recovery->parts[recovery->end_part];
    bool needed = end->first_live != 0 && end->first_live <= recovery->marked_lsn;
    return needed ? recovery->end_part + 1 : recovery->end_part;
}

static int bear_segment(struct recovery *recovery, size_t kept, struct recovered *recovered)
{
    struct buffer records;
    buffer_init(&records, SIZE_MAX / 2);
    struct segment_spec spec = {
        .sequence = recovery->count > 0 ? recovery->parts[0].sequence + kept : 1,
        .size = recovery->options->segment_bytes,
        .first_lsn = recovery->marked_lsn + 1,
        .born_lsn = recovery->last_lsn,
        .id = random_id(),
        .fresh = recovered->next_file++,
    };
    int rc = recovery_copy_unmarked(recovery, spec.id, &records);
    reader_close(&recovery->reader);
    if (rc != 0)
        goto out;
    spec.records = records.data;
    spec.length = records.length;
    uint64_t needed = WAL_BLOCK_BYTES + block_ceiling(records.length);
    if (needed > spec.size) /* it was written with larger segments */
        spec.size = needed;
    else if (recovered->spare_count > 0)
        spec.spare = recovered->spares[--recovered->spare_count];
    rc = segment_make(recovery->store, &spec, &recovered->active, recovery->error);
    if (rc != 0) {
        rc = segment_error_code(rc);
        goto out;
    }
    recovered->append_offset = WAL_BLOCK_BYTES + records.length;
    recovered->next_sequence = spec.sequence + 1;
    uint64_t whole = block_floor(records.length);
    if (records.length > whole && /* else there may be no bytes to point at */
        buffer_append(&recovered->tail, records.data + whole, records.length - whole) != 0)
        rc = error_set(recovery->error, CAIRN_ENOMEM, "%s: out of memory",
                       recovery->store->directory);
out:
    buffer_free(&records);
    return rc;
}

/* The list of segments with the LSN from which on each is needed. */
static int list_segments(struct recovery *recovery, size_t kept, struct recovered *recovered)
{
    uint64_t first = recovered->active->first_lsn;
    TAILQ_INSERT_TAIL(&recovered->segments, recovered->active, link);
    for (size_t i = kept; i-- > 0;) {
        const struct part *part = &recovery->parts[i];
        struct segment *segment = calloc(1, sizeof *segment);
        if (!segment)
            return error_set(recovery->error, CAIRN_ENOMEM, "%s: out of memory",
                             recovery->store->directory);
        /* A segment without needed records goes with the one before it. */
        if (part->first_live != 0 && part->first_live < first)
            first = part->first_live;
        *segment = (struct segment){
            .sequence = part->sequence,
            .id = part->id,
            .size = part->size,
            .first_lsn = first,
            .descriptor = -1,
        };
        TAILQ_INSERT_HEAD(&recovered->segments, segment, link);
    }
    return 0;
}

static void free_segments(const struct segment_store *store, struct recovered *recovered)
{
    bool listed = !TAILQ_EMPTY(&recovered->segments);
    struct segment *segment;
    while ((segment = TAILQ_FIRST(&recovered->segments))) {
        TAILQ_REMOVE(&recovered->segments, segment, link);
        segment_free(store, segment);
    }
    if (!listed && recovered->active)
        segment_free(store, recovered->active);
    recovered->active = NULL;
    buffer_free(&recovered->tail);
}

static int recover_all(struct recovery *recovery, struct recovered *recovered)
{
    int rc = recovery_list(recovery);
    if (rc == 0)
        rc = recovery_read(recovery);
    if (rc != 0)
        return rc;
    /* From here on the directory changes. */
    size_t end = recovery->count > 0 ? recovery->end_part + 1 : 0;
    size_t kept = parts_kept(recovery);
    rc = recovery_tidy(recovery, end, recovered);
    if (rc == 0)
        rc = bear_segment(recovery, kept, recovered);
    if (rc == 0)
        rc = list_segments(recovery, kept, recovered);
    recovered->last_lsn = recovery->last_lsn;
    recovered->report = recovery->report;
    return rc;
}

int wal_recover(const struct segment_store *store, const struct wal_options *options,
                struct recovered *recovered, struct error *error)
{
    struct error local = {0};
    struct recovery recovery = {
        .store = store,
        .options = options,
        .error = error ? error : &local,
        .unmarked_offset = WAL_BLOCK_BYTES, /* all, until a record or header says less */
    };
    buffer_init(&recovery.parts_bytes, LIST_BYTES_MAX);
    buffer_init(&recovery.spare_numbers, LIST_BYTES_MAX);
    buffer_init(&recovery.new_numbers, LIST_BYTES_MAX);
    *recovered = (struct recovered){0};
    TAILQ_INIT(&recovered->segments);
    buffer_init(&recovered->tail, WAL_BLOCK_BYTES);
    int rc = recover_all(&recovery, recovered);
    if (rc != 0)
        free_segments(store, recovered);
    reader_free(&recovery.reader);
    buffer_free(&recovery.parts_bytes);
    buffer_free(&recovery.spare_numbers);
    buffer_free(&recovery.new_numbers);
    return rc;
}
