/* Recovery's reading: visits the records in LSN order, collects the synced marks, finds the end of
 * the log and tells a torn tail from damage (W3). The argument is in recover.c. */
#include <string.h>

#include "wal/recover_internal.h"

enum { SCAN_BYTES = 256 << 10 };

static int open_part(struct recovery *recovery, size_t index)
{
    uint64_t sequence = recovery->parts[index].sequence;
    int rc = reader_open(&recovery->reader, recovery->store->io,
                         segment_path(recovery->store, SEGMENT_FILE_LIVE, sequence));
    if (rc != 0)
        return recovery_failed(recovery, sequence, rc);
    if (recovery->reader.size < recovery->parts[index].size)
        return recovery_damaged(recovery, sequence, recovery->reader.size, "the file is cut off");
    recovery->reader.size = recovery->parts[index].size;
    return 0;
}

/* True if a good record is the one to come here. */
static bool continues(const struct recovery *recovery, uint64_t offset,
                      const struct record_header *header)
{
    if (header->kind == WAL_KIND_MARK)
        return offset > WAL_BLOCK_BYTES && header->lsn == recovery->last_lsn;
    return !recovery->started || header->lsn == recovery->last_lsn + 1;
}

/* Takes up what a record says about what was synced. */
static void note_mark(struct recovery *recovery, size_t index, uint64_t offset,
                      const struct record_header *header)
{
    if (header->synced_lsn <= recovery->marked_lsn)
        return;
    recovery->marked_lsn = header->synced_lsn;
    /* Else unmarked records may lie further back: copying skips the marked ones among them. */
    if (header->kind == WAL_KIND_MARK)
        offset += record_bytes(0);
    else if (header->synced_lsn + 1 != header->lsn)
        return;
    recovery->unmarked_part = index;
    recovery->unmarked_offset = offset;
}

static int visit_record(struct recovery *recovery, struct part *part,
                        const struct record_header *header, const uint8_t *bytes)
{
    recovery->report.bytes += record_bytes(header->length);
    if (header->kind == WAL_KIND_MARK)
        return 0;
    recovery->last_lsn = header->lsn;
    recovery->started = true;
    if (part->first_live == 0)
        part->first_live = header->lsn;
    if (recovery->report.records++ == 0)
        recovery->report.first_lsn = header->lsn;
    recovery->report.last_lsn = header->lsn;
    if (!recovery->options->visit)
        return 0;
    struct wal_record record = {
        .lsn = header->lsn,
        .kind = header->kind,
        .length = header->length,
        .payload = bytes + sizeof *header,
    };
    return recovery->options->visit(recovery->options->visit_context, &record, recovery->error);
}

/* Visits the open part's records up to its limit or its first bad record. */
static int read_records(struct recovery *recovery, size_t index)
{
    struct part *part = &recovery->parts[index];
    uint64_t offset = WAL_BLOCK_BYTES;
    recovery->end_part = index;
    part->end_offset = offset;
    recovery->report.segments++;
    while (!recovery->started || recovery->last_lsn + 1 < part->limit_lsn) {
        struct record_header header;
        enum record_result result;
        const uint8_t *bytes;
        int rc = reader_record(&recovery->reader, offset, part->id, &result, &header, &bytes);
        if (rc != 0)
            return recovery_failed(recovery, part->sequence, rc);
        if (result != RECORD_GOOD || !continues(recovery, offset, &header))
            break;
        if (header.lsn >= part->limit_lsn)
            break;
        /* What was before the log's first record was durable when it was cut off (W6). */
        if (!recovery->started && recovery->marked_lsn < header.lsn - 1)
            recovery->marked_lsn = header.lsn - 1;
        note_mark(recovery, index, offset, &header);
        rc = visit_record(recovery, part, &header, bytes);
        if (rc != 0)
            return rc;
        offset += record_bytes(header.length);
        part->end_offset = offset;
    }
    return 0;
}

static int damaged_at_end(struct recovery *recovery, const char *what)
{
    const struct part *end = &recovery->parts[recovery->end_part];
    return recovery_damaged(recovery, end->sequence, end->end_offset, what);
}

/* True if the part begins with the record that comes next. */
static int begins_next(struct recovery *recovery, size_t index, bool *begins)
{
    struct record_header header;
    enum record_result result;
    const uint8_t *bytes;
    int rc = reader_record(&recovery->reader, WAL_BLOCK_BYTES, recovery->parts[index].id, &result,
                           &header, &bytes);
    *begins = rc == 0 && result == RECORD_GOOD && continues(recovery, WAL_BLOCK_BYTES, &header);
    return rc == 0 ? 0 : recovery_failed(recovery, recovery->parts[index].sequence, rc);
}

/* Reads part after part; `*stopped` is the first one that does not go on from those before it. */
static int read_parts(struct recovery *recovery, size_t *stopped)
{
    for (*stopped = 0; *stopped < recovery->count; ++*stopped) {
        size_t i = *stopped;
        struct part *part = &recovery->parts[i];
        if (recovery->started && part->limit_lsn <= recovery->last_lsn + 1)
            continue; /* superseded as a whole */
        int rc = open_part(recovery, i);
        if (rc != 0)
            return rc;
        bool begins = part->first_lsn != 0;
        if (begins && recovery->started && part->first_lsn != recovery->last_lsn + 1)
            return damaged_at_end(recovery, "records are missing up to the next segment");
        if (!begins && (rc = begins_next(recovery, i, &begins)) != 0)
            return rc;
        if (!begins && !recovery->started)
            return recovery_damaged(recovery, part->sequence, WAL_BLOCK_BYTES,
                                    "the log's first record fails its check");
        if (!begins)
            return 0;
        if (part->first_lsn != 0) {
            recovery->last_lsn = part->first_lsn - 1;
            recovery->started = true;
            if (part->born_lsn > recovery->marked_lsn)
                recovery->marked_lsn = part->born_lsn;
            recovery->unmarked_part = i;
            recovery->unmarked_offset = WAL_BLOCK_BYTES;
        }
        rc = read_records(recovery, i);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Looks at a place behind the log's end where the segment's id lies: a good record there shows
 * whether what is bad at the end was once synced. Sets how many bytes to skip. */
static int judge_candidate(struct recovery *recovery, const struct part *part, uint64_t offset,
                           uint64_t *skip, uint64_t *torn_end)
{
    struct record_header header;
    enum record_result result;
    const uint8_t *bytes;
    *skip = WAL_RECORD_ALIGNMENT;
    int rc = reader_record(&recovery->reader, offset, part->id, &result, &header, &bytes);
    if (rc != 0)
        return recovery_failed(recovery, part->sequence, rc);
    if (record_plausible(&header, part->id, part->size - offset) &&
        offset + record_bytes(header.length) > *torn_end)
        *torn_end = offset + record_bytes(header.length);
    if (result != RECORD_GOOD)
        return 0;
    if (header.synced_lsn > recovery->last_lsn)
        return damaged_at_end(recovery, "a synced record fails its check");
    /* The next record of the log, or an earlier one, further on: what lies before it was synced,
     * since it did not go with the same batch. */
    if (header.kind != WAL_KIND_MARK && header.lsn <= recovery->last_lsn + 1)
        return damaged_at_end(recovery, "a synced mark fails its check");
    *skip = record_bytes(header.length);
    return 0;
}

/* Searches the open part from `offset` to its end for records that carry its id. */
static int scan_part(struct recovery *recovery, const struct part *part, uint64_t offset)
{
    enum { ID_OFFSET = offsetof(struct record_header, segment_id) };
    uint64_t torn_end = offset, start = offset;
    while (offset + WAL_RECORD_HEADER_BYTES <= part->size) {
        uint64_t rest = part->size - offset;
        size_t length = rest < SCAN_BYTES ? (size_t)rest : SCAN_BYTES;
        const uint8_t *bytes;
        int rc = reader_need(&recovery->reader, offset, length, &bytes);
        if (rc != 0)
            return recovery_failed(recovery, part->sequence, rc);
        size_t at = 0;
        uint64_t id = 0;
        for (; at + ID_OFFSET + sizeof id <= length; at += WAL_RECORD_ALIGNMENT) {
            memcpy(&id, bytes + at + ID_OFFSET, sizeof id);
            if (id == part->id)
                break;
        }
        offset += at;
        if (id != part->id || at + ID_OFFSET + sizeof id > length)
            continue;
        uint64_t skip;
        rc = judge_candidate(recovery, part, offset, &skip, &torn_end);
        if (rc != 0)
            return rc;
        offset += skip;
    }
    recovery->report.torn_bytes += torn_end - start;
    return 0;
}

int recovery_read(struct recovery *recovery)
{
    size_t stopped;
    int rc = read_parts(recovery, &stopped);
    if (rc != 0 || recovery->count == 0)
        return rc;
    if (recovery->marked_lsn > recovery->last_lsn)
        return damaged_at_end(recovery, "a synced record fails its check");
    rc = open_part(recovery, recovery->end_part);
    if (rc == 0)
        rc = scan_part(recovery, &recovery->parts[recovery->end_part],
                       recovery->parts[recovery->end_part].end_offset);
    for (size_t i = stopped; rc == 0 && i < recovery->count; i++) {
        if (recovery->parts[i].first_lsn != 0)
            return damaged_at_end(recovery, "records are missing up to the next segment");
        rc = open_part(recovery, i);
        if (rc == 0)
            rc = scan_part(recovery, &recovery->parts[i], WAL_BLOCK_BYTES);
    }
    return rc;
}

/* Just what was visited: behind that may lie records that went on from another end. */
static int copy_part(struct recovery *recovery, size_t index, uint64_t offset, uint64_t id,
                     struct buffer *records)
{
    const struct part *part = &recovery->parts[index];
    while (offset < part->end_offset) {
        struct record_header header;
        enum record_result result;
        const uint8_t *bytes;
        int rc = reader_record(&recovery->reader, offset, part->id, &result, &header, &bytes);
        if (rc != 0)
            return recovery_failed(recovery, part->sequence, rc);
        if (result != RECORD_GOOD)
            return recovery_damaged(recovery, part->sequence, offset,
                                    "a record that was good fails its check now");
        uint64_t size = record_bytes(header.length);
        offset += size;
        if (header.kind == WAL_KIND_MARK || header.lsn <= recovery->marked_lsn)
            continue;
        if (buffer_append(records, bytes, size) != 0)
            return error_set(recovery->error, CAIRN_ENOMEM, "%s: out of memory",
                             recovery->store->directory);
        record_seal(records->data + records->length - size, id, recovery->marked_lsn);
        recovery->report.rewritten++;
    }
    return 0;
}

int recovery_copy_unmarked(struct recovery *recovery, uint64_t id, struct buffer *records)
{
    if (recovery->count == 0 || recovery->marked_lsn == recovery->last_lsn)
        return 0;
    for (size_t i = recovery->unmarked_part; i <= recovery->end_part; i++) {
        bool first = i == recovery->unmarked_part;
        if (!first && recovery->parts[i].first_live == 0)
            continue;
        int rc = open_part(recovery, i);
        if (rc == 0)
            rc = copy_part(recovery, i, first ? recovery->unmarked_offset : WAL_BLOCK_BYTES, id,
                           records);
        if (rc != 0)
            return rc;
    }
    return 0;
}
