/* A log of arbitrary segments (W1, W3, W9): recovery takes nothing that is not there whole and in
 * its place, refuses without changing anything, and what it found is found again after it.
 *
 * The input: flags, the number of segments, then each one's length (16 bits), the 64 bytes of its
 * header, and the bytes behind the header's block. With CHECKSUMS the checksums are put right, so
 * that damage gets past them; the other flags put right what would be hit too seldom. */
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "tests/fuzz/lib/fuzz.h"
#include "wal/format.h"
#include "wal/internal.h"
#include "wal/io_memory.h"
#include "wal/recover.h"

enum { CHECKSUMS = 1, PLACES = 2, IDS = 4, WHOLE_LOG = 8, OTHER_FILES = 16, NEXT_LSNS = 32 };
enum { SEGMENTS_MAX = 4, SEGMENT_BYTES = 16 << 10, CHAIN_MAX = 1024, BATCH_BYTES = 8 << 10 };
/* Beyond, numbers of records would not fit 64 bits; none of a real log comes near. */
static const uint64_t LSN_MAX = UINT64_C(1) << 62;
static char directory[] = "/log";

/* A segment's file as it lies on the disk. */
struct image {
    uint8_t *bytes;
    size_t length;
};

/* A record that lies whole where recovery may look for it. */
struct link {
    struct record_header header;
    const uint8_t *payload;
};

struct log_input {
    unsigned flags;
    struct memory_disk *disk;
    struct image images[SEGMENTS_MAX];
    unsigned image_count;
    struct link chain[CHAIN_MAX];
    size_t chain_length;
    bool chain_cut; /* there was no room for all */
};

/* What was visited. */
struct visited {
    const struct log_input *input; /* NULL: the records need not be the input's */
    uint64_t count, first, last, sum;
};

/* --- the disk -----------------------------------------------------------------------------------
 */

/* Calls `each` with the records that follow one another from the first block on. */
static void walk(struct log_input *input, struct image *image,
                 void (*each)(struct log_input *input, struct image *image, uint8_t *record))
{
    size_t at = WAL_BLOCK_BYTES;

    while (at + WAL_RECORD_HEADER_BYTES <= image->length) {
        struct record_header header;

        memcpy(&header, image->bytes + at, sizeof header);
        if (record_bytes(header.length) > image->length - at)
            return;
        each(input, image, image->bytes + at);
        at += record_bytes(header.length);
    }
}

static void seal(struct log_input *input, struct image *image, uint8_t *record)
{
    struct segment_header segment;
    struct record_header header;

    memcpy(&segment, image->bytes, sizeof segment);
    memcpy(&header, record, sizeof header);
    if ((input->flags & NEXT_LSNS) != 0) {
        header.lsn = header.kind == WAL_KIND_MARK ? input->chain_length : ++input->chain_length;
        header.zero = 0;
        memcpy(record, &header, sizeof header);
    }
    record_seal(record, (input->flags & IDS) != 0 ? segment.id : header.segment_id,
                header.synced_lsn);
}

static void remember(struct log_input *input, struct image *image, uint8_t *record)
{
    struct link *link = &input->chain[input->chain_length];

    (void)image;
    if (!record_intact(record))
        return;
    input->chain_cut = input->chain_length == CHAIN_MAX;
    if (input->chain_cut)
        return;
    memcpy(&link->header, record, sizeof link->header);
    link->payload = record + sizeof link->header;
    input->chain_length++;
}

/* `number` counts from 1, as sequences do. */
static void make_image(struct log_input *input, struct image *image, uint64_t number,
                       struct input *from)
{
    const size_t wanted = (size_t)input_number(from, 2);
    struct segment_header header = {0};
    size_t length;
    const uint8_t *bytes = input_bytes(from, sizeof header, &length);

    if (length > 0)
        memcpy(&header, bytes, length);
    bytes = input_bytes(from, wanted % (2 * SEGMENT_BYTES), &length);
    image->length = WAL_BLOCK_BYTES + block_ceiling(length + 1);
    image->bytes = calloc(1, image->length);
    CHECK(image->bytes != NULL);
    if (length > 0)
        memcpy(image->bytes + WAL_BLOCK_BYTES, bytes, length);
    if ((input->flags & PLACES) != 0) {
        memcpy(header.magic, WAL_MAGIC, sizeof header.magic);
        header.block_bytes = WAL_BLOCK_BYTES;
        header.sequence = number;
        header.size = image->length;
    }
    memcpy(image->bytes, &header, sizeof header);
    if ((input->flags & CHECKSUMS) == 0)
        return;
    header.checksum = hash_bytes(image->bytes + 8, WAL_BLOCK_BYTES - 8);
    memcpy(image->bytes, &header.checksum, sizeof header.checksum);
    walk(input, image, seal);
}

static void write_file(struct memory_disk *disk, const char *path, const struct image *image)
{
    const struct io *io = memory_disk_io(disk);
    struct io_file *file;

    CHECK(io->open(io->context, path, true, &file) == 0);
    CHECK(io->write(io->context, file, 0, image->bytes, image->length) == 0);
    CHECK(io->sync(io->context, file) == 0);
    io->close(io->context, file);
    CHECK(io->sync_directory(io->context, directory) == 0);
}

static struct segment_store store_of(struct memory_disk *disk)
{
    return (struct segment_store){memory_disk_io(disk), directory};
}

static void make_log(struct log_input *input, struct input *from)
{
    const unsigned count = input_u8(from) % (SEGMENTS_MAX + 1);
    struct segment_store store;

    input->disk = memory_disk_create();
    store = store_of(input->disk);
    for (unsigned i = 0; i < count; i++) {
        struct image *image = &input->images[i];

        make_image(input, image, i + 1, from);
        write_file(input->disk, segment_path(&store, SEGMENT_FILE_LIVE, i + 1), image);
    }
    input->image_count = count;
    input->chain_length = 0;
    for (unsigned i = 0; i < count; i++)
        walk(input, &input->images[i], remember);
    if ((input->flags & OTHER_FILES) != 0 && count > 0) {
        write_file(input->disk, segment_path(&store, SEGMENT_FILE_SPARE, 5), &input->images[0]);
        write_file(input->disk, segment_path(&store, SEGMENT_FILE_NEW, 9), &input->images[0]);
    }
}

static void free_log(struct log_input *input)
{
    for (unsigned i = 0; i < input->image_count; i++)
        free(input->images[i].bytes);
    memory_disk_free(input->disk);
}

/* --- reading ------------------------------------------------------------------------------------
 */

static bool is_there(const struct log_input *input, const struct wal_record *record)
{
    for (size_t i = 0; i < input->chain_length; i++) {
        const struct link *link = &input->chain[i];

        if (link->header.lsn == record->lsn && link->header.kind == record->kind &&
            link->header.length == record->length &&
            memcmp(link->payload, record->payload, record->length) == 0)
            return true;
    }
    return input->chain_cut;
}

static int visit(void *context, const struct wal_record *record, struct error *error)
{
    struct visited *visited = context;

    (void)error;
    CHECK((uintptr_t)record->payload % WAL_RECORD_ALIGNMENT == 0);
    CHECK(record->kind != WAL_KIND_MARK && record->lsn > 0);
    CHECK(visited->count == 0 || record->lsn == visited->last + 1);
    CHECK(visited->input == NULL || is_there(visited->input, record));
    if (visited->count++ == 0)
        visited->first = record->lsn;
    visited->last = record->lsn;
    visited->sum = hash_seeded(record->payload, record->length, visited->sum + record->kind);
    return 0;
}

static _Noreturn void fail(void *context, const char *message)
{
    (void)context;
    check_failed(__FILE__, __LINE__, "wal", message);
}

static struct wal_options options_of(struct memory_disk *disk, struct visited *visited,
                                     uint64_t segment_bytes)
{
    return (struct wal_options){.directory = directory,
                                .io = memory_disk_io(disk),
                                .backend = WAL_BACKEND_INLINE,
                                .segment_bytes = segment_bytes,
                                .batch_bytes = BATCH_BYTES,
                                .spare_segments = 1,
                                .visit = visit,
                                .visit_context = visited,
                                .fatal = fail};
}

/* Recovery alone, then the power fails. */
static int recover(struct memory_disk *disk, struct visited *visited)
{
    const struct segment_store store = store_of(disk);
    const struct wal_options options = options_of(disk, visited, SEGMENT_BYTES);
    struct recovered recovered;
    struct segment *segment;
    struct error error = {0};
    const int status = wal_recover(&store, &options, &recovered, &error);

    CHECK(status == error.code);
    if (status != 0)
        return status;
    CHECK(recovered.report.records == visited->count);
    CHECK(visited->count == 0 || recovered.last_lsn == visited->last);
    while ((segment = TAILQ_FIRST(&recovered.segments)) != NULL) {
        TAILQ_REMOVE(&recovered.segments, segment, link);
        segment_free(&store, segment);
    }
    buffer_free(&recovered.tail);
    return 0;
}

static void require_same(const struct visited *left, const struct visited *right)
{
    CHECK(left->count == right->count && left->first == right->first && left->last == right->last &&
          left->sum == right->sum);
}

static void append(struct wal *wal, struct visited *visited)
{
    static const uint64_t payload = 77;
    struct wal_record record = {.kind = WAL_KIND_USER, .length = sizeof payload};
    uint8_t *to = wal_reserve(wal, record.kind, record.length);

    while (to == NULL) {
        (void)wal_complete(wal);
        to = wal_reserve(wal, record.kind, record.length);
    }
    memcpy(to, &payload, sizeof payload);
    record.lsn = wal_finish(wal);
    record.payload = (const uint8_t *)&payload;
    CHECK(visit(visited, &record, NULL) == 0);
    CHECK(wal_flush(wal) == visited->last);
}

/* All of the log: opened, read back by a cursor, appended to, opened again. */
static int use_log(struct memory_disk *disk, struct visited *visited)
{
    const struct wal_options options = options_of(disk, visited, WAL_SEGMENT_BYTES_MINIMUM);
    struct visited back = {0};
    struct wal_cursor *cursor;
    struct error error = {0};
    struct wal *wal;
    const int status = wal_open(&options, &wal, NULL, &error);

    if (status != 0)
        return status;
    if (wal_cursor_open(wal, 0, &cursor) == 0) {
        (void)wal_cursor_extend(wal, cursor);
        CHECK(wal_cursor_read(cursor, UINT64_MAX, visit, &back, &error) == 0);
        require_same(visited, &back);
        wal_cursor_close(wal, cursor);
    }
    visited->input = NULL;
    if (wal_last_lsn(wal) < LSN_MAX && visited->count > 0)
        append(wal, visited);
    wal_abandon(wal);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { CHANGES = MEMORY_WRITE | MEMORY_PREALLOCATE | MEMORY_RENAME | MEMORY_REMOVE };
    static struct log_input log;
    struct input input = {data, size};
    struct visited first = {.input = &log}, second = {0};
    uint64_t changes;
    int status;

    log = (struct log_input){.flags = input_u8(&input)};
    make_log(&log, &input);
    changes = memory_disk_calls(log.disk, CHANGES);
    status = (log.flags & WHOLE_LOG) != 0 ? use_log(log.disk, &first) : recover(log.disk, &first);
    if (status == 0) {
        fuzz_accepted++;
        if (first.last < LSN_MAX) {
            CHECK(recover(log.disk, &second) == 0);
            require_same(&first, &second);
        }
    } else {
        CHECK(status == CAIRN_ECORRUPT || status == CAIRN_EVERSION);
        CHECK(memory_disk_calls(log.disk, CHANGES) == changes);
    }
    free_log(&log);
    return 0;
}

/* --- valid inputs -------------------------------------------------------------------------------
 */

struct draft {
    struct segment_header header;
    struct buffer records;
    uint64_t lsn, synced;
};

static void begin(struct draft *draft, uint64_t sequence, uint64_t lsn)
{
    *draft = (struct draft){.header = {.major = 1, .sequence = sequence, .id = 1000 + sequence},
                            .lsn = lsn,
                            .synced = lsn - 1};
    buffer_init(&draft->records, SEGMENT_BYTES);
}

static void add(struct draft *draft, uint16_t kind, const char *text)
{
    struct record_header header = {.length = (uint32_t)strlen(text), .kind = kind};
    const size_t at = draft->records.length;

    header.lsn = kind == WAL_KIND_MARK ? draft->lsn - 1 : draft->lsn++;
    if (kind == WAL_KIND_MARK)
        draft->synced = header.lsn;
    seed_bytes(&draft->records, &header, sizeof header);
    seed_text(&draft->records, text);
    seed_number(&draft->records, 0,
                (unsigned)(record_bytes(header.length) - sizeof header) - (unsigned)header.length);
    record_seal(draft->records.data + at, draft->header.id, draft->synced);
}

static void end(struct draft *draft, struct buffer *out)
{
    uint8_t block[WAL_BLOCK_BYTES];

    draft->header.size = WAL_BLOCK_BYTES + block_ceiling(draft->records.length + 1);
    segment_header_encode(&draft->header, block);
    seed_number(out, draft->records.length, 2);
    seed_bytes(out, block, sizeof draft->header);
    seed_bytes(out, draft->records.data, draft->records.length);
    buffer_free(&draft->records);
}

static void put_plain(uint64_t sequence, uint64_t lsn, const char *text, struct buffer *out)
{
    struct draft draft;

    begin(&draft, sequence, lsn);
    for (int i = 0; i < 3; i++)
        add(&draft, WAL_KIND_USER, text);
    add(&draft, WAL_KIND_MARK, "");
    add(&draft, WAL_KIND_USER + 1, "behind the mark");
    end(&draft, out);
}

/* One that recovery made: it supersedes LSN 3 and later of what is before it. */
static void put_born(uint64_t sequence, struct buffer *out)
{
    struct draft draft;

    begin(&draft, sequence, 3);
    draft.header.first_lsn = 3;
    draft.header.born_lsn = 4;
    add(&draft, WAL_KIND_USER, "third");
    add(&draft, WAL_KIND_USER, "fourth");
    add(&draft, WAL_KIND_USER, "and on");
    end(&draft, out);
}

bool fuzz_seed(unsigned number, struct buffer *out)
{
    const unsigned flags = number < 5 ? 0 : CHECKSUMS | PLACES | IDS;

    if (number >= 10)
        return false;
    seed_number(out, flags | (number % 5 == 4 ? WHOLE_LOG | OTHER_FILES : 0), 1);
    switch (number % 5) {
    case 0: /* no log yet */
        seed_number(out, 0, 1);
        break;
    case 1:
        seed_number(out, 1, 1);
        put_plain(1, 1, "record", out);
        break;
    case 2: /* LSNs 1 to 4, 5 to 8 */
        seed_number(out, 2, 1);
        put_plain(1, 1, "first", out);
        put_plain(2, 5, "second segment", out);
        break;
    case 3: /* a torn tail */
        seed_number(out, 1, 1);
        put_plain(1, 1, "torn", out);
        out->data[out->length - 1] ^= flags == 0;
        break;
    default:
        seed_number(out, 2, 1);
        put_plain(1, 1, "superseded", out);
        put_born(2, out);
    }
    return true;
}
