/* The log's format on disk: encoding and checking of segment headers and records.
 *
 * A log is a directory of segments `wal-<sequence, 16 hex digits>.seg`, with consecutive sequence
 * numbers. Other files in it hold nothing: `spare-*.seg` are whole files to be reused, `new-*.tmp`
 * are files that were being made. All numbers are little-endian.
 *
 * Segment: one header block of 4096 bytes, then records up to the segment's size.
 *
 *   offset  bytes  segment header, format 1.0
 *        0      8  checksum: XXH3-64 of bytes 8 to 4095
 *        8      8  magic "CairnWAL"
 *       16      2  format major: a reader refuses a newer one (W9)
 *       18      2  format minor: a reader ignores a newer one
 *       20      4  block bytes: 4096
 *       24      8  sequence, as in the file's name
 *       32      8  id: random, never 0, new whenever the file becomes a segment
 *       40      8  size of the file in bytes, a multiple of the block
 *       48      8  first LSN of a segment born in recovery; 0 in any other: its first record says
 *       56      8  born LSN: records up to it were synced before the file got its name
 *       64   4032  zeros
 *
 * Checksum, magic and major keep their place and meaning in all versions.
 *
 *   offset  bytes  record, format 1
 *        0      8  checksum: XXH3-64, seeded with the segment's id, of all that follows
 *        8      4  length of the payload
 *       12      2  kind: 0 is a mark of the log's own, others are the owner's
 *       14      2  zero
 *       16      8  LSN: that of the record before plus one; a mark repeats it and is never first
 *       24      8  the segment's id
 *       32      8  synced LSN: all records up to it were synced when this one was submitted (W3)
 *       40      n  payload, padded with zeros to a multiple of 8
 *
 * Invariants:
 *  1. A file named wal-* was written whole, synced, renamed and its directory synced before any
 *     record but the born ones went into it (W4). So its header is always readable, or damaged.
 *  2. Segments get their names in the order of their sequence and lose them oldest first, each
 *     step with its own directory sync. So there is never a gap between sequence numbers.
 *  3. A segment's id is written once, by one process life, which appends and never overwrites
 *     anything but the unsynced or identical rest of a block. So a record that matches the id was
 *     written to this place by that life, and old bytes of a recycled file never match.
 *  4. One batch is under way at a time, and a batch lies in one segment. So all records before
 *     those of the batch under way are synced, and each record says so (W3).
 *
 * The argument why recovery is right is in recover.c. */
#include "wal/format.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"

static uint64_t record_checksum(const uint8_t *record, const struct record_header *header)
{
    size_t skip = sizeof header->checksum;
    return hash_seeded(record + skip, record_bytes(header->length) - skip, header->segment_id);
}

void record_seal(uint8_t *record, uint64_t segment_id, uint64_t synced_lsn)
{
    struct record_header header;
    memcpy(&header, record, sizeof header);
    header.segment_id = segment_id;
    header.synced_lsn = synced_lsn;
    memcpy(record, &header, sizeof header);
    header.checksum = record_checksum(record, &header);
    memcpy(record, &header.checksum, sizeof header.checksum);
}

bool record_plausible(const struct record_header *header, uint64_t segment_id, uint64_t available)
{
    if (header->segment_id != segment_id || header->zero != 0 || header->lsn == 0)
        return false;
    if (header->kind == WAL_KIND_MARK ? header->synced_lsn != header->lsn || header->length != 0
                                      : header->synced_lsn >= header->lsn)
        return false;
    return record_bytes(header->length) <= available;
}

bool record_intact(const uint8_t *record)
{
    struct record_header header;
    memcpy(&header, record, sizeof header);
    return header.checksum == record_checksum(record, &header);
}

static uint64_t segment_header_checksum(const uint8_t *block)
{
    return hash_bytes(block + sizeof(uint64_t), WAL_BLOCK_BYTES - sizeof(uint64_t));
}

void segment_header_encode(const struct segment_header *fields, uint8_t block[WAL_BLOCK_BYTES])
{
    struct segment_header header = *fields;
    memcpy(header.magic, WAL_MAGIC, sizeof header.magic);
    header.major = WAL_FORMAT_MAJOR;
    header.minor = WAL_FORMAT_MINOR;
    header.block_bytes = WAL_BLOCK_BYTES;
    memset(block, 0, WAL_BLOCK_BYTES);
    memcpy(block, &header, sizeof header);
    header.checksum = segment_header_checksum(block);
    memcpy(block, &header.checksum, sizeof header.checksum);
}

int segment_header_decode(const uint8_t block[WAL_BLOCK_BYTES], struct segment_header *fields)
{
    memcpy(fields, block, sizeof *fields);
    if (memcmp(fields->magic, WAL_MAGIC, sizeof fields->magic) != 0 ||
        fields->checksum != segment_header_checksum(block))
        return CAIRN_ECORRUPT;
    if (fields->major > WAL_FORMAT_MAJOR)
        return CAIRN_EVERSION; /* W9 */
    bool sane = fields->major == WAL_FORMAT_MAJOR && fields->block_bytes == WAL_BLOCK_BYTES &&
                fields->id != 0 && fields->size > WAL_BLOCK_BYTES &&
                fields->size % WAL_BLOCK_BYTES == 0;
    /* Born segments hold the records from first to born LSN, possibly none. */
    if (fields->first_lsn == 0 ? fields->born_lsn != 0 : fields->born_lsn + 1 < fields->first_lsn)
        sane = false;
    return sane ? 0 : CAIRN_ECORRUPT;
}
