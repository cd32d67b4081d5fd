/* A log under test: records whose bytes tell who wrote them, a visitor that checks them, and a
 * `fatal` that comes back to the test. */
#ifndef CAIRN_TESTS_WAL_FIXTURE_H
#define CAIRN_TESTS_WAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "wal/internal.h"
#include "wal/io_memory.h"
#include "wal/wal.h"

enum { TRUTH_LSN_MAX = 4096 };

struct fixture {
    struct memory_disk *disk; /* NULL: real files */
    struct wal_options options;
    struct wal *wal;
    struct error error;
    struct wal_recovery recovery;
    /* Set by the visitor, from scratch at each opening. */
    uint64_t first, last, count;
    const char *wrong; /* what the visitor found wrong; NULL: nothing */
    /* The truth: which life wrote an LSN last, and how long the record is. */
    uint32_t life;
    uint32_t writer[TRUTH_LSN_MAX];
    uint32_t length[TRUTH_LSN_MAX];
    uint64_t finished; /* highest LSN ever handed out and not dropped since */
    uint64_t durable;  /* highest LSN reported durable */
    uint64_t cut;      /* records below it may be gone */
    /* wal_fail ends here. */
    jmp_buf escape;
    char fatal[ERROR_MESSAGE_MAX];
};

static inline uint8_t fixture_byte(uint32_t life, uint64_t lsn, uint32_t at)
{
    return (uint8_t)(lsn * 31 + life * 101 + at * 7 + (at >> 8));
}

static inline int fixture_visit(void *context, const struct wal_record *record, struct error *error)
{
    struct fixture *f = context;
    (void)error;
    if (f->count++ == 0)
        f->first = record->lsn;
    else if (record->lsn != f->last + 1)
        f->wrong = "LSNs are not in order";
    f->last = record->lsn;
    if ((uintptr_t)record->payload % 8 != 0)
        f->wrong = "a payload is not aligned";
    if (record->lsn >= TRUTH_LSN_MAX || f->writer[record->lsn] == 0) {
        f->wrong = "a record that was never written";
        return 0;
    }
    uint32_t life = f->writer[record->lsn];
    if (record->length != f->length[record->lsn] || record->kind != 1 + life % 7)
        f->wrong = "a record of another length or kind";
    else
        for (uint32_t i = 0; i < record->length; i++)
            if (record->payload[i] != fixture_byte(life, record->lsn, i))
                f->wrong = "a record with wrong bytes";
    return 0;
}

static inline void fixture_fatal(void *context, const char *message)
{
    struct fixture *f = context;
    snprintf(f->fatal, sizeof f->fatal, "%s", message);
    longjmp(f->escape, 1);
}

/* Options for a small log on `disk` (NULL: real files in `directory`). */
static inline void fixture_init(struct fixture *f, struct memory_disk *disk, const char *directory,
                                enum wal_backend backend)
{
    memset(f, 0, sizeof *f);
    f->disk = disk;
    f->cut = 1;
    f->options = (struct wal_options){
        .directory = directory,
        .io = disk ? memory_disk_io(disk) : NULL,
        .backend = backend,
        .segment_bytes = WAL_SEGMENT_BYTES_MINIMUM,
        .batch_bytes = 32 << 10,
        .spare_segments = 1,
        .visit = fixture_visit,
        .visit_context = f,
        .fatal = fixture_fatal,
        .fatal_context = f,
    };
}

static inline int fixture_open(struct fixture *f)
{
    f->first = f->last = f->count = 0;
    f->wrong = NULL;
    f->error = (struct error){0};
    f->life++;
    return wal_open(&f->options, &f->wal, &f->recovery, &f->error);
}

/* What must hold for the records that were visited, whatever happened before (W1, W3). */
static inline const char *fixture_verdict(const struct fixture *f)
{
    if (f->wrong)
        return f->wrong;
    if (f->count == 0)
        return f->durable >= f->cut ? "all durable records are gone" : NULL;
    if (f->first > f->cut)
        return "the first records are gone";
    if (f->last < f->durable)
        return "durable records are gone";
    return f->last > f->finished ? "more records than were written" : NULL;
}

/* Opens and states that everything is as it must be; what was visited is durable from now on. */
static inline void fixture_reopen(struct fixture *f)
{
    int rc = fixture_open(f);
    if (rc != 0)
        print_error("wal_open: %d %s\n", rc, f->error.message);
    assert_int_equal(rc, 0);
    const char *verdict = fixture_verdict(f);
    if (verdict)
        print_error("visited %llu to %llu, durable %llu: %s\n", (unsigned long long)f->first,
                    (unsigned long long)f->last, (unsigned long long)f->durable, verdict);
    assert_null(verdict);
    /* An empty log after a cut goes on where it was. */
    f->finished = f->durable = wal_last_lsn(f->wal);
    assert_int_equal(wal_durable_lsn(f->wal), f->durable);
    if (f->count > 0)
        assert_int_equal(f->last, f->durable);
}

/* One record of `length` bytes; false if wal_reserve refused it. */
static inline bool fixture_append(struct fixture *f, uint32_t length)
{
    uint64_t lsn = wal_last_lsn(f->wal) + 1;
    assert_true(lsn < TRUTH_LSN_MAX);
    uint8_t *payload = wal_reserve(f->wal, (uint16_t)(1 + f->life % 7), length);
    if (!payload)
        return false;
    assert_int_equal((uintptr_t)payload % 8, 0);
    for (uint32_t i = 0; i < length; i++)
        payload[i] = fixture_byte(f->life, lsn, i);
    f->writer[lsn] = f->life;
    f->length[lsn] = length;
    f->finished = lsn;
    assert_int_equal(wal_finish(f->wal), lsn);
    return true;
}

static inline void fixture_flush(struct fixture *f)
{
    f->durable = wal_flush(f->wal);
    assert_int_equal(f->durable, f->finished);
}

/* `count` records of `length` bytes, each durable before the next. */
static inline void fixture_fill(struct fixture *f, unsigned count, uint32_t length)
{
    for (unsigned i = 0; i < count; i++) {
        while (!fixture_append(f, length))
            wal_complete(f->wal);
        fixture_flush(f);
    }
}

static inline void fixture_close(struct fixture *f)
{
    wal_close(f->wal);
    f->wal = NULL;
}

/* Ends without a word to the disk, as a crash does. */
static inline void fixture_abandon(struct fixture *f)
{
    if (f->wal)
        wal_abandon(f->wal);
    f->wal = NULL;
}

/* A new temporary directory; free with fixture_remove_directory. */
static inline char *fixture_directory(void)
{
    char *path = strdup("/tmp/cairn-wal-XXXXXX");
    assert_non_null(path);
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void fixture_remove_name(void *context, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", (const char *)context, name);
    assert_int_equal(io_posix()->remove(NULL, path), 0);
}

static inline void fixture_remove_directory(char *path)
{
    assert_int_equal(io_posix()->list(NULL, path, fixture_remove_name, path), 0);
    assert_int_equal(remove(path), 0);
    free(path);
}

#endif
