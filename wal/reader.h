/* Reads a segment from front to back in large pieces. Private to wal/. */
#ifndef CAIRN_WAL_READER_H
#define CAIRN_WAL_READER_H

#include <stddef.h>
#include <stdint.h>

#include "wal/format.h"
#include "wal/io.h"

/* A window on one file at a time; keeps its memory between files. Zeroed: ready for reader_open. */
struct reader {
    const struct io *io;
    struct io_file *file;
    uint64_t size;
    uint8_t *window; /* aligned to a block */
    size_t capacity;
    uint64_t start; /* the window's place in the file */
    size_t length;
};

/* Negative errno on failure; a file that was open is closed first. */
int reader_open(struct reader *reader, const struct io *io, const char *path);
void reader_close(struct reader *reader); /* the file */
void reader_free(struct reader *reader);  /* file and memory */
/* Drops what the window holds: the next call reads anew. */
void reader_forget(struct reader *reader);
/* Bytes [offset, offset + length) of the file, valid until the next call; 8-byte aligned if the
 * offset is. The caller checked them against size. Negative errno on failure. */
int reader_need(struct reader *reader, uint64_t offset, size_t length, const uint8_t **bytes);

enum record_result {
    RECORD_GOOD,
    RECORD_BAD, /* no record of this segment lies here, or its bytes are damaged */
};
/* The record at `offset`: `header` is set if there is room for one, `bytes` if it is good. */
int reader_record(struct reader *reader, uint64_t offset, uint64_t segment_id,
                  enum record_result *result, struct record_header *header, const uint8_t **bytes);

#endif
