/* The transactions of an install (see install.h). As those of a checkpoint, every one may be filled
 * twice, when the map grew (W7): nothing of the job changes before the commit. */
#include "server/install.h"

#include <stdlib.h>

#include "base/check.h"
#include "server/position_write.h"
#include "server/store_row.h"

/* What one transaction writes or deletes, in bytes of rows. Rows of the expiry table lie scattered,
 * so each may dirty a page of its own. */
enum { TRANSACTION_BYTES = 16 << 20, ROW_COST_BYTES = 128, EXPIRY_COST_BYTES = 1024 };

static const struct slice nothing = {NULL, 0};

struct install_job *install_job_create(uint32_t partition, const struct store_position *mark,
                                       struct memtable *discarded)
{
    struct install_job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return NULL;
    STAILQ_INIT(&job->waiting);
    STAILQ_INIT(&job->taken);
    job->partition = partition;
    job->mark = *mark;
    job->discarded = *discarded;
    memtable_init(discarded);
    return job;
}

static void chunks_free(struct install_chunks *chunks)
{
    struct install_chunk *chunk;
    while ((chunk = STAILQ_FIRST(chunks)) != NULL) {
        STAILQ_REMOVE_HEAD(chunks, next);
        free(chunk);
    }
}

void install_job_free(struct install_job *job)
{
    if (job == NULL)
        return;
    chunks_free(&job->waiting);
    chunks_free(&job->taken);
    memtable_free(&job->discarded);
    free(job);
}

/* --- mark and clear -----------------------------------------------------------------------------
 */

static int fill_mark(void *context, struct lmdb_writer *writer)
{
    const struct install_job *job = context;
    return position_write(writer, job->partition, &job->mark);
}

struct clear {
    uint32_t partition;
    bool left; /* out: more than one transaction clears */
};

/* Deletes the partition's rows of one table, as far as the budget goes. */
static int clear_table(struct clear *clear, struct lmdb_writer *writer, enum lmdb_table table,
                       uint64_t *cost)
{
    struct stored_key from;
    data_key(&from, clear->partition, NULL, 0);
    for (;;) {
        struct slice key, value;
        int code =
            lmdb_find_from(writer, table, (struct slice){from.bytes, from.length}, &key, &value);
        if (code == CAIRN_ENOTFOUND)
            return CAIRN_OK;
        if (code == CAIRN_OK && key.length < PREFIX_BYTES)
            code = CAIRN_ECORRUPT;
        if (code != CAIRN_OK)
            return code;
        if (partition_prefix(key.data) != clear->partition)
            return CAIRN_OK;
        if (*cost >= TRANSACTION_BYTES) {
            clear->left = true;
            return CAIRN_OK;
        }
        *cost += ROW_COST_BYTES + key.length + value.length;
        code = lmdb_delete_found(writer, table);
        if (code != CAIRN_OK)
            return code;
    }
}

static int fill_clear(void *context, struct lmdb_writer *writer)
{
    static const enum lmdb_table tables[] = {LMDB_DATA, LMDB_EXPIRY, LMDB_SESSIONS};
    struct clear *clear = context;
    uint64_t cost = 0;
    int code = CAIRN_OK;
    clear->left = false;
    for (size_t i = 0; code == CAIRN_OK && i < sizeof(tables) / sizeof(*tables); i++)
        code = clear_table(clear, writer, tables[i], &cost);
    return code;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

struct transfer {
    const struct install_job *job;
    uint64_t cost;
    struct store_keys keys; /* with those of the transactions before */
    /* Out: behind the last row written. */
    struct install_chunk *chunk; /* NULL: all of them */
    size_t written;
};

static int write_pair(struct lmdb_writer *writer, uint32_t partition, const struct row *row,
                      struct transfer *transfer)
{
    struct stored_key key;
    uint32_t key_length = (uint32_t)row->key.length;
    store_keys_add(&transfer->keys, row->key.data, row->key.length);
    data_key(&key, partition, row->key.data, key_length);
    int code =
        lmdb_put(writer, LMDB_DATA, (struct slice){key.bytes, key.length}, row->record, nothing);
    if (code != CAIRN_OK || row->value.expires_ms == 0)
        return code;
    transfer->cost += EXPIRY_COST_BYTES;
    expiry_key(&key, partition, row->value.expires_ms, row->key.data, key_length);
    return lmdb_put(writer, LMDB_EXPIRY, (struct slice){key.bytes, key.length}, nothing, nothing);
}

static int write_row(struct lmdb_writer *writer, uint32_t partition, const struct row *row,
                     struct transfer *transfer)
{
    struct stored_key key;
    transfer->cost += ROW_COST_BYTES + row_bytes(row);
    if (row->kind == ROW_PAIR)
        return write_pair(writer, partition, row, transfer);
    if (row->kind == ROW_END)
        return CAIRN_OK;
    session_key(&key, partition, row->session.client);
    return lmdb_put(writer, LMDB_SESSIONS, (struct slice){key.bytes, key.length}, row->record,
                    nothing);
}

static int write_chunk(struct transfer *transfer, struct lmdb_writer *writer)
{
    const struct install_chunk *chunk = transfer->chunk;
    while (transfer->written < chunk->length && transfer->cost < TRANSACTION_BYTES) {
        struct slice rest = {chunk->bytes + transfer->written, chunk->length - transfer->written};
        struct row row;
        /* They were verified when they came. */
        CHECK(row_take(&rest, transfer->job->partition, &row) == CAIRN_OK);
        int code = write_row(writer, transfer->job->partition, &row, transfer);
        if (code != CAIRN_OK)
            return code;
        transfer->written = chunk->length - rest.length;
    }
    return CAIRN_OK;
}

static int fill_rows(void *context, struct lmdb_writer *writer)
{
    struct transfer *transfer = context;
    const struct install_job *job = transfer->job;
    transfer->cost = 0;
    transfer->keys = job->keys;
    transfer->chunk = STAILQ_FIRST(&job->taken);
    transfer->written = transfer->chunk == NULL ? 0 : transfer->chunk->written;
    while (transfer->chunk != NULL) {
        int code = write_chunk(transfer, writer);
        if (code != CAIRN_OK)
            return code;
        if (transfer->written < transfer->chunk->length)
            return CAIRN_OK;
        transfer->chunk = STAILQ_NEXT(transfer->chunk, next);
        transfer->written = 0;
    }
    /* W5: the position comes with the last of what it stands for. */
    if (!job->end_taken)
        return CAIRN_OK;
    int code = position_keys_put(writer, job->partition, &transfer->keys);
    return code == CAIRN_OK ? position_write(writer, job->partition, &job->end) : code;
}

/* Drops what is in LMDB now. */
static void transfer_done(struct install_job *job, const struct transfer *transfer)
{
    struct install_chunk *chunk;
    job->keys = transfer->keys;
    while ((chunk = STAILQ_FIRST(&job->taken)) != transfer->chunk) {
        STAILQ_REMOVE_HEAD(&job->taken, next);
        free(chunk);
    }
    if (chunk != NULL)
        chunk->written = transfer->written;
}

/* --- the steps ----------------------------------------------------------------------------------
 */

static int write_mark(struct lmdb *lmdb, struct install_job *job, enum install_step *next,
                      struct error *error)
{
    int code = lmdb_write(lmdb, TRANSACTION_BYTES, fill_mark, job, error);
    memtable_free(&job->discarded);
    *next = INSTALL_CLEAR;
    return code;
}

static int write_clear(struct lmdb *lmdb, const struct install_job *job, enum install_step *next,
                       struct error *error)
{
    struct clear clear = {.partition = job->partition};
    int code = lmdb_write(lmdb, 2 * TRANSACTION_BYTES, fill_clear, &clear, error);
    *next = clear.left ? INSTALL_CLEAR : INSTALL_ROWS;
    return code;
}

static int write_rows(struct lmdb *lmdb, struct install_job *job, enum install_step *next,
                      struct error *error)
{
    struct transfer transfer = {.job = job};
    int code = lmdb_write(lmdb, 8 * TRANSACTION_BYTES, fill_rows, &transfer, error);
    if (code == CAIRN_OK)
        transfer_done(job, &transfer);
    *next = job->end_taken && STAILQ_EMPTY(&job->taken) ? INSTALL_ENDED : INSTALL_ROWS;
    return code;
}

int install_write(struct lmdb *lmdb, struct install_job *job, enum install_step *next,
                  struct error *error)
{
    switch (job->step) {
    case INSTALL_MARK:
        return write_mark(lmdb, job, next, error);
    case INSTALL_CLEAR:
        return write_clear(lmdb, job, next, error);
    case INSTALL_ROWS:
        return write_rows(lmdb, job, next, error);
    case INSTALL_ENDED:
        break;
    }
    CHECK(false);
}
