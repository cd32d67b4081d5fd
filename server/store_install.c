/* Installs, the loop thread's side: what arrives is verified here and handed to the checkpoint
 * thread (install.h), and the partition's memory follows what became durable. */
#include <stdlib.h>
#include <string.h>

#include "server/install.h"
#include "server/store_row.h"
#include "server/store_state.h"

struct partition_install {
    struct install_job *job; /* NULL: done */
    struct store_position mark;
    bool marked; /* the partition's checkpointed position says so */
    bool ending;
    struct store_position end;
    struct row_progress progress;
    struct session_table sessions; /* as they come; the partition's once all is durable */
};

void store_install_free(struct store *store, struct store_partition *at)
{
    if (at->install == NULL)
        return;
    checkpointer_install_drop(store->checkpointer, at->install->job);
    session_table_free(&at->install->sessions);
    free(at->install);
    at->install = NULL;
}

/* --- begin --------------------------------------------------------------------------------------
 */

/* Nothing of the partition's state is left in memory; of its position only what was seen (R2). */
static void forget(struct store *store, struct store_partition *at,
                   const struct store_position *mark)
{
    store_end_turn(store);
    store_install_free(store, at);
    session_table_free(&at->sessions);
    at->frozen = NULL;
    at->life++;
    at->applied = *mark; /* LMDB is still at its last checkpoint */
    /* Whether it is dirty stays: a checkpoint before the mark must still carry the epoch seen. */
}

int store_install_begin(struct store *store, uint32_t partition, uint64_t install)
{
    CHECK(install != 0);
    struct store_partition *at = store_at(store, partition);
    struct store_position mark = {.history = at->applied.history,
                                  .seen_epoch = at->applied.seen_epoch,
                                  .install = install,
                                  .installing = true};
    uint64_t bytes = at->live.bytes + at->sessions.dirty_bytes;
    struct partition_install *created = calloc(1, sizeof(*created));
    if (created == NULL)
        return CAIRN_ENOMEM;
    created->job = install_job_create(partition, &mark, &at->live);
    if (created->job == NULL) {
        free(created);
        return CAIRN_ENOMEM;
    }
    session_table_init(&created->sessions);
    created->mark = mark;
    store->live_bytes -= bytes;
    forget(store, at, &mark);
    at->install = created;
    checkpointer_install(store->checkpointer, created->job);
    return CAIRN_OK;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static int verify(uint32_t partition, const uint8_t *rows, size_t length,
                  struct row_progress *progress)
{
    struct slice rest = {rows, length};
    int code = CAIRN_OK;
    while (code == CAIRN_OK && rest.length > 0) {
        struct row row;
        code = row_take(&rest, partition, &row);
        if (code == CAIRN_OK)
            code = row_follow(progress, &row);
    }
    return code;
}

/* Their headers into memory; again after CAIRN_ENOMEM does no harm. */
static int keep_sessions(struct session_table *sessions, uint32_t partition, const uint8_t *rows,
                         size_t length)
{
    struct slice rest = {rows, length};
    while (rest.length > 0) {
        struct row row;
        CHECK(row_take(&rest, partition, &row) == CAIRN_OK);
        if (row.kind == ROW_SESSION && session_find(sessions, row.session.client) == NULL &&
            session_restore(sessions, &row.session) != CAIRN_OK)
            return CAIRN_ENOMEM;
    }
    return CAIRN_OK;
}

static int take(struct store *store, uint32_t partition, const uint8_t *rows, size_t length,
                const struct row_progress *progress)
{
    struct partition_install *install = store_at(store, partition)->install;
    struct install_chunk *chunk = malloc(sizeof(*chunk) + length);
    if (chunk == NULL)
        return CAIRN_ENOMEM;
    chunk->length = length;
    chunk->written = 0;
    memcpy(chunk->bytes, rows, length);
    if (progress->session_count > install->progress.session_count &&
        keep_sessions(&install->sessions, partition, rows, length) != CAIRN_OK) {
        free(chunk);
        return CAIRN_ENOMEM;
    }
    checkpointer_install_rows(store->checkpointer, install->job, chunk);
    install->progress = *progress;
    return CAIRN_OK;
}

int store_install_rows(struct store *store, uint32_t partition, const uint8_t *rows, size_t length,
                       struct error *error)
{
    CHECK(store_install_poll(store, partition) == STORE_INSTALL_RECEIVING);
    struct partition_install *install = store_at(store, partition)->install;
    struct row_progress progress = install->progress;
    if (length == 0)
        return CAIRN_OK;
    if (!checkpointer_install_room(store->checkpointer, install->job, length))
        return error_set(error, CAIRN_EFULL, "store: partition %u: rows wait to be written",
                         (unsigned)partition);
    int code = verify(partition, rows, length, &progress);
    if (code != CAIRN_OK)
        return error_set(error, code, "store: partition %u: rows of a snapshot are damaged",
                         (unsigned)partition);
    code = take(store, partition, rows, length, &progress);
    return code == CAIRN_OK
               ? code
               : error_set(error, code, "store: partition %u: out of memory", (unsigned)partition);
}

/* --- end ----------------------------------------------------------------------------------------
 */

int store_install_end(struct store *store, uint32_t partition,
                      const struct store_position *position)
{
    CHECK(store_install_poll(store, partition) == STORE_INSTALL_RECEIVING);
    struct store_partition *at = store_at(store, partition);
    struct partition_install *install = at->install;
    if (!install->progress.ended)
        return CAIRN_EPROTO;
    install->end = *position;
    install->end.seen_epoch = position->epoch;
    install->end.install = at->applied.install;
    install->end.installing = false;
    position_raise_seen(&install->end, at->applied.history, at->applied.seen_epoch);
    install->ending = true;
    checkpointer_install_end(store->checkpointer, install->job, &install->end);
    return CAIRN_OK;
}

/* All is durable: the partition lives again. False: no memory, try again. */
static bool revive(struct store *store, struct store_partition *at)
{
    struct partition_install *install = at->install;
    if (session_table_order(&install->sessions) != CAIRN_OK)
        return false;
    store_end_turn(store); /* the turn's snapshot may be older than the rows */
    session_table_move(&at->sessions, &install->sessions);
    at->frozen = NULL;
    at->life++;
    /* What was seen since then is dirty or in LMDB. */
    position_raise_seen(&install->end, at->applied.history, at->applied.seen_epoch);
    at->applied = at->checkpointed = install->end;
    checkpointer_install_drop(store->checkpointer, install->job);
    install->job = NULL;
    return true;
}

enum store_install_state store_install_poll(struct store *store, uint32_t partition)
{
    struct store_partition *at = store_at(store, partition);
    struct partition_install *install = at->install;
    if (install == NULL)
        return STORE_INSTALL_NONE;
    if (install->job == NULL)
        return STORE_INSTALL_DONE;
    enum install_step step = checkpointer_install_step(store->checkpointer, install->job);
    if (step != INSTALL_MARK && !install->marked) {
        install->marked = true;
        at->checkpointed = install->mark;
    }
    switch (step) {
    case INSTALL_MARK:
        return STORE_INSTALL_MARKING;
    case INSTALL_CLEAR:
    case INSTALL_ROWS:
        return install->ending ? STORE_INSTALL_ENDING : STORE_INSTALL_RECEIVING;
    case INSTALL_ENDED:
        break;
    }
    return revive(store, at) ? STORE_INSTALL_DONE : STORE_INSTALL_ENDING;
}
