/* What the log's bytes on disk are: see format.c for the tables and the invariants. Private to
 * wal/.
 */
#ifndef CAIRN_WAL_FORMAT_H
#define CAIRN_WAL_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WAL_BLOCK_BYTES = 4096, /* writes start and end on it; the header fills one */
    WAL_RECORD_HEADER_BYTES = 40,
    WAL_RECORD_ALIGNMENT = 8,
    WAL_FORMAT_MAJOR = 1,
    WAL_FORMAT_MINOR = 0,
    WAL_KIND_MARK = 0, /* the log's own record: carries a synced LSN and nothing else */
};

#define WAL_MAGIC "CairnWAL"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the log is stored little-endian");

struct record_header {
    uint64_t checksum;
    uint32_t length;
    uint16_t kind;
    uint16_t zero;
    uint64_t lsn;
    uint64_t segment_id;
    uint64_t synced_lsn;
};
static_assert(sizeof(struct record_header) == WAL_RECORD_HEADER_BYTES, "record header layout");
static_assert(offsetof(struct record_header, lsn) == 16, "record header layout");
static_assert(offsetof(struct record_header, segment_id) == 24, "record header layout");

struct segment_header {
    uint64_t checksum;
    uint8_t magic[8];
    uint16_t major;
    uint16_t minor;
    uint32_t block_bytes;
    uint64_t sequence;
    uint64_t id;
    uint64_t size;
    uint64_t first_lsn;
    uint64_t born_lsn;
};
static_assert(sizeof(struct segment_header) == 64, "segment header layout");
static_assert(sizeof(struct segment_header) <= 512, "a segment header lies in one sector");

/* Bytes that a record with this payload takes. */
static inline uint64_t record_bytes(uint32_t length)
{
    return WAL_RECORD_HEADER_BYTES +
           (((uint64_t)length + WAL_RECORD_ALIGNMENT - 1) & ~(uint64_t)(WAL_RECORD_ALIGNMENT - 1));
}

static inline uint64_t block_floor(uint64_t bytes)
{
    return bytes & ~(uint64_t)(WAL_BLOCK_BYTES - 1);
}

static inline uint64_t block_ceiling(uint64_t bytes)
{
    return block_floor(bytes + WAL_BLOCK_BYTES - 1);
}

/* Completes a record whose length, kind, LSN and padded payload are in place. */
void record_seal(uint8_t *record, uint64_t segment_id, uint64_t synced_lsn);
/* True if the header's own fields allow a record here, within `available` bytes. */
bool record_plausible(const struct record_header *header, uint64_t segment_id, uint64_t available);
/* True if the checksum over all of the record fits; only after record_plausible. */
bool record_intact(const uint8_t *record);

/* Fills one block. */
void segment_header_encode(const struct segment_header *fields, uint8_t block[WAL_BLOCK_BYTES]);
/* 0, CAIRN_ECORRUPT or CAIRN_EVERSION; `fields` is set in every case. */
int segment_header_decode(const uint8_t block[WAL_BLOCK_BYTES], struct segment_header *fields);

#endif
