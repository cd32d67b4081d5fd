/* The directory's part of recovery: which segments there are, their headers, and tidying up. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "wal/keeper.h"
#include "wal/recover_internal.h"

int recovery_damaged(struct recovery *recovery, uint64_t sequence, uint64_t offset,
                     const char *what)
{
    return error_set(recovery->error, CAIRN_ECORRUPT, "%s: damaged at offset %" PRIu64 ": %s",
                     segment_path(recovery->store, SEGMENT_FILE_LIVE, sequence), offset, what);
}

int recovery_failed(struct recovery *recovery, uint64_t sequence, int result)
{
    return segment_error(recovery->error,
                         segment_path(recovery->store, SEGMENT_FILE_LIVE, sequence), "read",
                         result);
}

static void visit_name(void *visitor, const char *name)
{
    struct recovery *recovery = visitor;
    struct part part = {0};
    int rc = 0;
    switch (segment_file_parse(name, &part.sequence)) {
    case SEGMENT_FILE_LIVE:
        rc = buffer_append(&recovery->parts_bytes, &part, sizeof part);
        break;
    case SEGMENT_FILE_SPARE:
        rc = buffer_append(&recovery->spare_numbers, &part.sequence, sizeof part.sequence);
        break;
    case SEGMENT_FILE_NEW:
        rc = buffer_append(&recovery->new_numbers, &part.sequence, sizeof part.sequence);
        break;
    case SEGMENT_FILE_OTHER:
        break;
    }
    if (rc != 0)
        recovery->out_of_memory = true;
}

static int compare_parts(const void *left, const void *right)
{
    const struct part *a = left, *b = right;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

static int read_header(struct recovery *recovery, struct part *part)
{
    struct reader *reader = &recovery->reader;
    const char *path = segment_path(recovery->store, SEGMENT_FILE_LIVE, part->sequence);
    int rc = reader_open(reader, recovery->store->io, path);
    if (rc != 0)
        return recovery_failed(recovery, part->sequence, rc);
    if (reader->size < WAL_BLOCK_BYTES)
        return recovery_damaged(recovery, part->sequence, reader->size, "the header is cut off");
    const uint8_t *block;
    rc = reader_need(reader, 0, WAL_BLOCK_BYTES, &block);
    if (rc != 0)
        return recovery_failed(recovery, part->sequence, rc);
    struct segment_header header;
    rc = segment_header_decode(block, &header);
    if (rc == CAIRN_EVERSION) /* W9 */
        return error_set(recovery->error, rc, "%s: format %u.%u is newer than %d.%d", path,
                         header.major, header.minor, WAL_FORMAT_MAJOR, WAL_FORMAT_MINOR);
    if (rc != 0)
        return recovery_damaged(recovery, part->sequence, 0, "the header fails its check");
    if (header.sequence != part->sequence)
        return recovery_damaged(recovery, part->sequence, 0, "the header is of another segment");
    if (header.size > reader->size)
        return recovery_damaged(recovery, part->sequence, reader->size, "the file is cut off");
    part->id = header.id;
    part->size = header.size;
    part->first_lsn = header.first_lsn;
    part->born_lsn = header.born_lsn;
    return 0;
}

int recovery_list(struct recovery *recovery)
{
    const struct segment_store *store = recovery->store;
    int rc = store->io->list(store->io->context, store->directory, visit_name, recovery);
    if (rc == 0 && recovery->out_of_memory)
        rc = -ENOMEM;
    if (rc != 0)
        return segment_error(recovery->error, store->directory, "list", rc);
    recovery->parts = (struct part *)(void *)recovery->parts_bytes.data;
    recovery->count = recovery->parts_bytes.length / sizeof(struct part);
    if (recovery->count == 0)
        return 0;
    qsort(recovery->parts, recovery->count, sizeof(struct part), compare_parts);
    for (size_t i = 0; i < recovery->count; i++) {
        uint64_t expected = recovery->parts[0].sequence + i;
        if (recovery->parts[i].sequence != expected)
            return recovery_damaged(recovery, expected, 0, "the file is missing");
        rc = read_header(recovery, &recovery->parts[i]);
        if (rc != 0)
            return rc;
    }
    uint64_t limit = UINT64_MAX;
    for (size_t i = recovery->count; i-- > 0;) {
        struct part *part = &recovery->parts[i];
        part->limit_lsn = limit;
        if (part->first_lsn != 0 && part->first_lsn < limit)
            limit = part->first_lsn;
    }
    return 0;
}

/* The highest number in names of spare and new files, so that new names are free. */
static uint64_t highest_file(const struct recovery *recovery)
{
    uint64_t highest = 0;
    const struct buffer *lists[] = {&recovery->spare_numbers, &recovery->new_numbers};
    for (size_t l = 0; l < 2; l++) {
        const uint64_t *numbers = (const uint64_t *)(const void *)lists[l]->data;
        for (size_t i = 0; i < lists[l]->length / sizeof *numbers; i++)
            if (numbers[i] > highest)
                highest = numbers[i];
    }
    return highest;
}

static int remove_file(struct recovery *recovery, enum segment_file_kind kind, uint64_t number)
{
    const struct io *io = recovery->store->io;
    const char *path = segment_path(recovery->store, kind, number);
    int rc = io->remove(io->context, path);
    return rc == 0 ? 0 : segment_error(recovery->error, path, "remove", rc);
}

/* Keeps the spares that have the right size, as many as there is use for; removes the others. */
static int sort_spares(struct recovery *recovery, uint64_t size, struct recovered *recovered)
{
    const uint64_t *numbers = (const uint64_t *)(const void *)recovery->spare_numbers.data;
    size_t count = recovery->spare_numbers.length / sizeof *numbers;
    for (size_t i = 0; i < count; i++) {
        const char *path = segment_path(recovery->store, SEGMENT_FILE_SPARE, numbers[i]);
        int rc = reader_open(&recovery->reader, recovery->store->io, path);
        if (rc != 0)
            return segment_error(recovery->error, path, "open", rc);
        bool fits = recovery->reader.size == size;
        reader_close(&recovery->reader);
        if (fits && recovered->spare_count < KEEPER_SPARES_MAX)
            recovered->spares[recovered->spare_count++] = numbers[i];
        else if ((rc = remove_file(recovery, SEGMENT_FILE_SPARE, numbers[i])) != 0)
            return rc;
    }
    return 0;
}

int recovery_tidy(struct recovery *recovery, size_t from, struct recovered *recovered)
{
    static_assert(sizeof recovered->spares / sizeof *recovered->spares == KEEPER_SPARES_MAX,
                  "room for all spares");
    reader_close(&recovery->reader);
    uint64_t size = recovery->options->segment_bytes;
    recovered->next_file = highest_file(recovery) + 1;
    const uint64_t *numbers = (const uint64_t *)(const void *)recovery->new_numbers.data;
    for (size_t i = 0; i < recovery->new_numbers.length / sizeof *numbers; i++) {
        int rc = remove_file(recovery, SEGMENT_FILE_NEW, numbers[i]);
        if (rc != 0)
            return rc;
    }
    int rc = sort_spares(recovery, size, recovered);
    /* Newest first, so that no gap arises if we are interrupted. */
    for (size_t i = recovery->count; rc == 0 && i-- > from;) {
        const struct part *part = &recovery->parts[i];
        bool keep = part->size == size && recovered->spare_count < KEEPER_SPARES_MAX;
        uint64_t spare = keep ? recovered->next_file++ : 0;
        int failed = segment_retire(recovery->store, part->sequence, spare, recovery->error);
        if (failed != 0)
            return segment_error_code(failed);
        if (keep)
            recovered->spares[recovered->spare_count++] = spare;
    }
    return rc;
}
