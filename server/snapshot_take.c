/* The receiver of a snapshot (see snapshot.h, R8).
 *
 *   emptied    the core granted it: the log in memory is dropped; the log on disk shall be void
 *   logged     the RESET record says so, and is on its way to the disk
 *   storing    that is durable: the store marks itself, clears and takes rows (store.h)
 *
 * and at the end the core is told, and what was here is forgotten. After a crash the store says
 * `installing`, or the log's RESET does: whoever sends has to begin anew, with another install. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/log.h"
#include "server/exchange.h"
#include "server/node_internal.h"
#include "server/snapshot.h"

enum take_state { TAKE_EMPTIED, TAKE_LOGGED, TAKE_STORING };

struct snapshot_take_of {
    LIST_ENTRY(snapshot_take_of) link;
    uint32_t partition;
    uint64_t install, history;
    struct store_position position; /* what all rows together stand for */
    enum take_state state;
    uint64_t lsn; /* LOGGED: of the RESET record */
    uint64_t next_chunk;
    bool ended; /* all was taken */
};

struct snapshot_takes {
    LIST_HEAD(, snapshot_take_of) list;
};

static struct snapshot_take_of *find(const struct node *node, uint32_t partition)
{
    struct snapshot_take_of *take;
    if (node->takes == NULL)
        return NULL;
    LIST_FOREACH(take, &node->takes->list, link)
    {
        if (take->partition == partition)
            return take;
    }
    return NULL;
}

static void forget(struct snapshot_take_of *take)
{
    LIST_REMOVE(take, link);
    free(take);
}

void snapshot_takes_free(struct snapshot_takes *takes)
{
    if (takes == NULL)
        return;
    while (!LIST_EMPTY(&takes->list))
        forget(LIST_FIRST(&takes->list));
    free(takes);
}

/* --- an install's way ---------------------------------------------------------------------------
 */

static void complete(struct node *node, struct snapshot_take_of *take, uint64_t now_ms)
{
    struct partition *partition = &node->partitions[take->partition];
    struct replica_event event = {
        .kind = REPLICA_EVENT_INSTALLED,
        .now_ms = now_ms,
        .history = take->history,
        .install = take->install,
        .position = {.epoch = take->position.epoch, .index = take->position.index},
        .log_time_ms = take->position.log_time_ms,
    };
    log_info("server", "snapshot installed partition=%" PRIu32 " index=%" PRIu64, take->partition,
             take->position.index);
    node_installed(node, partition);
    forget(take);
    node_step(node, partition, &event, NULL);
}

/* Goes on as far as it can now; `take` may be gone afterwards. */
static void advance(struct node *node, struct snapshot_take_of *take, uint64_t now_ms)
{
    struct wal *wal = node->journal.wal;
    if (take->state == TAKE_EMPTIED &&
        journal_append_reset(&node->journal, take->partition, take->history, take->install)) {
        take->lsn = wal_last_lsn(wal);
        take->state = TAKE_LOGGED;
    }
    /* W6: the store must not lose its state while the log may come back. */
    if (take->state == TAKE_LOGGED && wal_durable_lsn(wal) >= take->lsn) {
        const struct replica *replica = &node->partitions[take->partition].replica;
        store_set_seen_epoch(node->store, take->partition, replica->seen_history,
                             replica->seen_epoch);
        if (store_install_begin(node->store, take->partition, take->install) == CAIRN_OK)
            take->state = TAKE_STORING;
    }
    if (take->state != TAKE_STORING)
        return;
    enum store_install_state stored = store_install_poll(node->store, take->partition);
    if (stored != STORE_INSTALL_MARKING)
        journal_reset_settled(&node->journal, take->partition, take->install);
    if (stored == STORE_INSTALL_DONE)
        complete(node, take, now_ms);
}

void snapshot_advance(struct node *node, uint64_t now_ms)
{
    struct snapshot_take_of *take, *next;
    if (node->takes == NULL)
        return;
    for (take = LIST_FIRST(&node->takes->list); take != NULL; take = next) {
        next = LIST_NEXT(take, link);
        advance(node, take, now_ms);
    }
}

/* --- a piece ------------------------------------------------------------------------------------
 */

static bool is_well_formed(const struct node *node, const snapshot_args *args)
{
    return args->partition < node->partition_count && args->install != 0 && args->history != 0 &&
           args->applied_history <= args->history && args->applied_epoch <= args->epoch &&
           (args->applied_index == 0) == (args->applied_epoch == 0);
}

/* It was completed before, and this is its last piece once more, or an older one. */
static bool is_installed(const struct node *node, const snapshot_args *args)
{
    const struct store_position *applied = store_applied(node->store, args->partition);
    return applied->install == args->install && !applied->installing;
}

/* Not a refusal: the core has yet to hear of the sender's epoch, or to have it recorded (R2). */
static bool may_be_granted_later(const struct replica *replica, const snapshot_args *args)
{
    return args->epoch == replica->seen_epoch && replica->barrier_index == 0 &&
           (replica->configuration.epoch < replica->seen_epoch ||
            replica->durable_epoch < replica->seen_epoch);
}

/* Asks the core; every piece is of the primary of the present epoch (R2). If not, fills `result`.
 */
static bool grants(struct node *node, const snapshot_args *args, uint64_t now_ms,
                   snapshot_result *result)
{
    struct replica_event event = {
        .kind = REPLICA_EVENT_INSTALL,
        .now_ms = now_ms,
        .member = {.server = args->from.server,
                   .store = args->from.store,
                   .incarnation = args->from.incarnation},
        .history = args->history,
        .epoch = args->epoch,
        .install = args->install,
        .position = {.epoch = args->applied_epoch, .index = args->applied_index},
    };
    struct replica_update update;
    node_step(node, &node->partitions[args->partition], &event, &update);
    if (update.held) { /* it came late: the copy has all that it would bring */
        result->installed = true;
        result->next_chunk = args->chunk + 1;
    } else if (!update.granted) {
        result->refused = !may_be_granted_later(&node->partitions[args->partition].replica, args);
    }
    return update.granted;
}

/* From here on the copy holds nothing: what the core said, log and store follow. */
static void begin(struct node *node, struct snapshot_take_of *take, const snapshot_args *args)
{
    *take = (struct snapshot_take_of){
        .partition = args->partition,
        .install = args->install,
        .history = args->history,
        .position = {.history = args->applied_history,
                     .epoch = args->applied_epoch,
                     .index = args->applied_index,
                     .log_time_ms = args->log_time_ms},
        .state = TAKE_EMPTIED,
    };
    LIST_INSERT_HEAD(&node->takes->list, take, link);
    log_info("server", "snapshot comes partition=%" PRIu32 " from_server=%" PRIu32, args->partition,
             args->from.server);
    node_drop_log(node, &node->partitions[args->partition]);
}

/* Gives the rows to the store. CAIRN_EFULL: not now. */
static int take_rows(struct node *node, struct snapshot_take_of *take, const snapshot_args *args)
{
    struct error error = {0};
    if (take->state != TAKE_STORING || take->ended ||
        store_install_poll(node->store, take->partition) != STORE_INSTALL_RECEIVING ||
        (args->content.length > 0 && !disk_can_checkpoint(&node->disk))) /* W7 */
        return CAIRN_EFULL;
    int code = store_install_rows(node->store, take->partition, args->content.data,
                                  args->content.length, &error);
    if (code == CAIRN_OK && args->last) {
        code = store_install_end(node->store, take->partition, &take->position);
        take->ended = code == CAIRN_OK;
    }
    if (code == CAIRN_EPROTO)
        log_error("server", "snapshot refused from_server=%" PRIu32 " error=\"%s\"",
                  args->from.server, error.code != CAIRN_OK ? error.message : "rows are missing");
    return code == CAIRN_ENOMEM ? CAIRN_EFULL : code;
}

static bool is_of(const struct snapshot_take_of *take, const snapshot_args *args)
{
    return take->history == args->history && take->position.history == args->applied_history &&
           take->position.epoch == args->applied_epoch &&
           take->position.index == args->applied_index &&
           take->position.log_time_ms == args->log_time_ms;
}

/* The piece of an install that is under way. */
static void take_piece(struct node *node, struct snapshot_take_of *take, const snapshot_args *args,
                       uint64_t now_ms, snapshot_result *result)
{
    advance(node, take, now_ms);
    if (is_installed(node, args)) {
        result->installed = true;
        result->next_chunk = args->chunk + 1;
        return;
    }
    if (!is_of(take, args) || args->chunk > take->next_chunk) {
        result->refused = true;
        return;
    }
    if (args->chunk == take->next_chunk) {
        int code = take_rows(node, take, args);
        result->refused = code == CAIRN_EPROTO;
        if (code == CAIRN_OK)
            take->next_chunk++;
    }
    result->next_chunk = take->next_chunk;
}

static struct snapshot_take_of *take_create(struct node *node)
{
    if (node->takes == NULL) {
        node->takes = calloc(1, sizeof(*node->takes));
        if (node->takes == NULL)
            return NULL;
        LIST_INIT(&node->takes->list);
    }
    return calloc(1, sizeof(struct snapshot_take_of));
}

/* The first piece of an install that is not known here yet. */
static struct snapshot_take_of *take_first(struct node *node, struct snapshot_take_of *before,
                                           const snapshot_args *args, uint64_t now_ms,
                                           snapshot_result *result)
{
    /* All memory first: what the core grants cannot be taken back. */
    struct snapshot_take_of *take = take_create(node);
    if (take == NULL)
        return NULL; /* next_chunk 0: again */
    if (!grants(node, args, now_ms, result)) {
        free(take);
        return NULL;
    }
    if (before != NULL)
        forget(before);
    begin(node, take, args);
    return take;
}

void snapshot_take(struct node *node, const snapshot_args *args, uint64_t now_ms,
                   snapshot_result *result)
{
    *result = (snapshot_result){.stranger = !exchange_knows(node, &args->from),
                                .store = node->identity.store,
                                .incarnation = node->identity.incarnation};
    if (result->stranger)
        return;
    result->refused = !is_well_formed(node, args);
    if (result->refused)
        return;
    struct snapshot_take_of *take = find(node, args->partition);
    if (take == NULL && is_installed(node, args)) {
        result->installed = true;
        result->next_chunk = args->chunk + 1;
        return;
    }
    bool known = take != NULL && take->install == args->install;
    if (!known && args->chunk != 0) {
        result->refused = true; /* a restart or another install came between */
        return;
    }
    result->next_chunk = args->chunk;
    if (!known)
        take = take_first(node, take, args, now_ms, result);
    else if (!grants(node, args, now_ms, result))
        return;
    if (take != NULL)
        take_piece(node, take, args, now_ms, result);
}
