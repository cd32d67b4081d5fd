/* Reading the log back while its owner goes on appending.
 *
 * Why a cursor sees each record once, in LSN order, and never one that is not durable:
 *
 * - It reads up to `limit_lsn`, the durable LSN of the last extend, and no further: everything up
 *   to there lies whole in the files. Bytes that the window took from behind it may have been half
 *   written: they are dropped at the extend that makes their records readable. What an append
 *   writes again in the block that a durable record ends in is the same bit for bit.
 * - The owner's list of segments is copied at each extend, so that a read needs nothing that
 *   belongs to the owner. A segment is needed for the LSNs from its first up to the next one's:
 *   behind those may lie zeros, or records that recovery made durable again in a later segment
 *   (recover.c), which are not to be read a second time.
 * - Its segments stay as they are while it is open: wal_cut asks for the lowest LSN that any cursor
 *   still wants (W6).
 *
 * So within a segment's LSNs, anything else than the record wanted is damage. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wal/internal.h"
#include "wal/reader.h"

/* What a cursor has to know of a segment. */
struct piece {
    uint64_t sequence, id, size;
    uint64_t first_lsn, end_lsn; /* needed for first_lsn <= LSN < end_lsn */
};

struct wal_cursor {
    LIST_ENTRY(wal_cursor) link;
    const struct segment_store *store;
    struct piece *pieces; /* that hold LSNs from next_lsn to limit_lsn, oldest first */
    size_t count, capacity;
    uint64_t limit_lsn;
    uint64_t next_lsn;
    /* What wal_cut asks for: next_lsn after the last read, whichever thread that was on. */
    _Atomic uint64_t pinned_lsn;
    struct reader reader;
    uint64_t open_sequence, open_id; /* of the segment that is open; 0: none */
    uint64_t offset;                 /* in it, of the next record */
};

int wal_cursor_open(struct wal *wal, uint64_t from_lsn, struct wal_cursor **opened)
{
    uint64_t oldest = TAILQ_FIRST(&wal->segments)->first_lsn;
    *opened = NULL;
    if (from_lsn == 0)
        from_lsn = oldest;
    if (from_lsn < oldest)
        return CAIRN_ENOTFOUND;
    struct wal_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return CAIRN_ENOMEM;
    cursor->store = &wal->store;
    cursor->next_lsn = from_lsn;
    atomic_init(&cursor->pinned_lsn, from_lsn);
    LIST_INSERT_HEAD(&wal->cursors, cursor, link);
    *opened = cursor;
    return 0;
}

void wal_cursor_close(struct wal *wal, struct wal_cursor *cursor)
{
    (void)wal;
    if (!cursor)
        return;
    LIST_REMOVE(cursor, link);
    reader_free(&cursor->reader);
    free(cursor->pieces);
    free(cursor);
}

void wal_cursor_skip(struct wal_cursor *cursor, uint64_t lsn)
{
    if (lsn > cursor->next_lsn)
        cursor->next_lsn = lsn;
    atomic_store(&cursor->pinned_lsn, cursor->next_lsn);
}

uint64_t wal_cursor_next_lsn(const struct wal_cursor *cursor)
{
    return cursor->next_lsn;
}

uint64_t wal_pinned_lsn(const struct wal *wal)
{
    uint64_t lowest = UINT64_MAX;
    struct wal_cursor *cursor;
    LIST_FOREACH(cursor, &wal->cursors, link)
    {
        uint64_t pinned = atomic_load(&cursor->pinned_lsn);
        if (pinned < lowest)
            lowest = pinned;
    }
    return lowest;
}

/* --- what may be read ---------------------------------------------------------------------------
 */

static bool make_room(struct wal_cursor *cursor, const struct wal *wal)
{
    size_t wanted = 0;
    const struct segment *segment;
    TAILQ_FOREACH(segment, &wal->segments, link)
    wanted++;
    if (wanted <= cursor->capacity)
        return true;
    struct piece *pieces = realloc(cursor->pieces, wanted * sizeof *pieces);
    if (!pieces)
        return false;
    cursor->pieces = pieces;
    cursor->capacity = wanted;
    return true;
}

uint64_t wal_cursor_extend(struct wal *wal, struct wal_cursor *cursor)
{
    if (!make_room(cursor, wal))
        return cursor->limit_lsn; /* reads what it may, no more */
    cursor->count = 0;
    cursor->limit_lsn = wal->durable_lsn;
    const struct segment *segment;
    TAILQ_FOREACH(segment, &wal->segments, link)
    {
        const struct segment *next = TAILQ_NEXT(segment, link);
        uint64_t end = next ? next->first_lsn : UINT64_MAX;
        if (end <= cursor->next_lsn || segment->first_lsn > cursor->limit_lsn)
            continue;
        cursor->pieces[cursor->count++] = (struct piece){
            .sequence = segment->sequence,
            .id = segment->id,
            .size = segment->size,
            .first_lsn = segment->first_lsn,
            .end_lsn = end,
        };
    }
    reader_forget(&cursor->reader); /* may hold what was not yet durable then */
    return cursor->limit_lsn;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static const char *piece_path(const struct wal_cursor *cursor, const struct piece *piece)
{
    return segment_path(cursor->store, SEGMENT_FILE_LIVE, piece->sequence);
}

static int damaged(const struct wal_cursor *cursor, const struct piece *piece, uint64_t offset,
                   const char *what, struct error *error)
{
    return error_set(error, CAIRN_ECORRUPT, "%s: damaged at offset %llu: %s",
                     piece_path(cursor, piece), (unsigned long long)offset, what);
}

static int check_header(struct wal_cursor *cursor, const struct piece *piece, struct error *error)
{
    struct segment_header header;
    const uint8_t *block;
    if (cursor->reader.size < piece->size)
        return damaged(cursor, piece, cursor->reader.size, "the file is cut off", error);
    int rc = reader_need(&cursor->reader, 0, WAL_BLOCK_BYTES, &block);
    if (rc != 0)
        return segment_error(error, piece_path(cursor, piece), "read", rc);
    if (segment_header_decode(block, &header) != 0 || header.id != piece->id ||
        header.sequence != piece->sequence)
        return damaged(cursor, piece, 0, "the segment's header fails its check", error);
    return 0;
}

static int open_piece(struct wal_cursor *cursor, const struct piece *piece, struct error *error)
{
    if (cursor->open_id == piece->id && cursor->open_sequence == piece->sequence)
        return 0;
    cursor->open_id = 0;
    const char *path = piece_path(cursor, piece);
    int rc = reader_open(&cursor->reader, cursor->store->io, path);
    if (rc != 0)
        return segment_error(error, path, "open", rc);
    rc = check_header(cursor, piece, error);
    if (rc != 0)
        return rc;
    cursor->open_sequence = piece->sequence;
    cursor->open_id = piece->id;
    cursor->offset = WAL_BLOCK_BYTES;
    return 0;
}

/* The one that holds the next LSN. */
static const struct piece *find_piece(const struct wal_cursor *cursor)
{
    size_t i = 0;
    while (i < cursor->count && cursor->pieces[i].end_lsn <= cursor->next_lsn)
        i++;
    CHECK(i < cursor->count && cursor->pieces[i].first_lsn <= cursor->next_lsn);
    return &cursor->pieces[i];
}

/* Takes the first record that is not below the next LSN: it is the wanted one, or that is missing.
 */
static int take_record(const struct wal_cursor *cursor, const struct piece *piece,
                       const struct record_header *header, const uint8_t *bytes,
                       struct wal_record *record, struct error *error)
{
    if (header->lsn != cursor->next_lsn || header->kind == WAL_KIND_MARK)
        return damaged(cursor, piece, cursor->offset, "records are missing before it", error);
    *record = (struct wal_record){
        .lsn = header->lsn,
        .kind = header->kind,
        .length = header->length,
        .payload = bytes + sizeof *header,
    };
    return 0;
}

/* Reads on to the next LSN's record. */
static int next_record(struct wal_cursor *cursor, struct wal_record *record, struct error *error)
{
    const struct piece *piece = find_piece(cursor);
    int rc = open_piece(cursor, piece, error);
    while (rc == 0) {
        struct record_header header;
        enum record_result result;
        const uint8_t *bytes;
        rc = reader_record(&cursor->reader, cursor->offset, piece->id, &result, &header, &bytes);
        if (rc != 0)
            return segment_error(error, piece_path(cursor, piece), "read", rc);
        if (result != RECORD_GOOD)
            return damaged(cursor, piece, cursor->offset, "a synced record fails its check", error);
        if (header.lsn >= cursor->next_lsn)
            return take_record(cursor, piece, &header, bytes, record, error);
        cursor->offset += record_bytes(header.length); /* a mark, or before what was asked for */
    }
    return rc;
}

int wal_cursor_read(struct wal_cursor *cursor, uint64_t limit_bytes, wal_visit visit, void *context,
                    struct error *error)
{
    uint64_t visited = 0;
    int rc = 0;
    while (cursor->next_lsn <= cursor->limit_lsn && visited < limit_bytes) {
        struct wal_record record;
        rc = next_record(cursor, &record, error);
        if (rc == 0)
            rc = visit(context, &record, error);
        if (rc != 0)
            break;
        cursor->offset += record_bytes(record.length);
        cursor->next_lsn++;
        visited += record.length;
    }
    atomic_store(&cursor->pinned_lsn, cursor->next_lsn);
    return rc;
}
