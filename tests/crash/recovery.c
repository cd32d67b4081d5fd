/* See recovery.h: a server's. In a process of its own: what was damaged may end it. */
#include "tests/crash/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "proto/partition.h"
#include "server/node.h"
#include "tests/crash/marks.h"

enum { PATH_LIMIT = 4096, TICK_MS = 10, TICKS_LIMIT = 500, LEASE_MS = 20, GRACE_MS = 40 };

struct recovery_marks {
    struct marks keys;
};

struct start {
    const struct recovery_task *task;
    struct identity identity;
    struct node node;
    bool opened;
    char *text;
    size_t limit;
};

static bool holds(const char *directory, const char *name)
{
    char path[PATH_LIMIT];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return stat(path, &status) == 0;
}

/* What main.c of the server does with its directory: none, or one without a name, is a new one. */
static int load_identity(struct start *start, struct error *error)
{
    const char *directory = start->task->directory;
    int code = identity_load(directory, IDENTITY_SERVER, &start->identity, error);
    if (code == CAIRN_ENOTFOUND) {
        start->identity = (struct identity){.role = IDENTITY_SERVER};
        if (holds(directory, "wal") || holds(directory, "store"))
            return error_set(error, CAIRN_ECORRUPT, "%s: holds data but no IDENTITY", directory);
        return CAIRN_OK;
    }
    if (code == CAIRN_OK && start->identity.server != start->task->server)
        return error_set(error, CAIRN_ECONFLICT, "%s: of another server", directory);
    start->identity.incarnation++;
    return code == CAIRN_OK ? identity_save(directory, &start->identity, error) : code;
}

static int open_node(struct start *start, struct error *error)
{
    const struct recovery_task *task = start->task;
    int code = load_identity(start, error);
    if (code != CAIRN_OK || start->identity.cluster == 0)
        return code;
    struct node_options options = {
        .directory = task->directory,
        .identity = start->identity,
        .partitions = start->identity.partitions,
        .wal_backend = WAL_BACKEND_INLINE,
        .segment_bytes = task->segment_bytes,
        .map_bytes = task->map_bytes,
        .memtable_limit_bytes = task->memtable_bytes,
        .lease_ms = LEASE_MS,
        .grace_ms = GRACE_MS,
    };
    code = node_open(&start->node, &options, clock_now_ms(), error);
    start->opened = code == CAIRN_OK;
    return code;
}

/* The manager's word: this process leads, alone. All that was acknowledged is on every copy (R1),
 * so it may. */
static void lead_all(struct start *start)
{
    struct replica_id self = {.server = start->identity.server,
                              .store = start->identity.store,
                              .incarnation = start->identity.incarnation};
    for (uint32_t i = 0; i < start->node.partition_count; i++) {
        const struct replica *replica = &start->node.partitions[i].replica;
        struct configuration configuration = {
            .partition = i,
            .history = replica->seen_history != 0 ? replica->seen_history : 1,
            .epoch = replica->seen_epoch + 1,
            .primary = self,
            .member_count = 1,
            .members = {self}};
        configuration.members[0].incarnation = 0;
        node_hear_configuration(&start->node, &configuration, clock_now_ms());
    }
}

static bool all_serve(const struct node *node, uint64_t now_ms)
{
    for (uint32_t i = 0; i < node->partition_count; i++)
        if (!replica_serves(&node->partitions[i].replica, now_ms))
            return false;
    return true;
}

/* Time passes quickly here: what was promised before the power loss is over (L5), the first own
 * entry is committed (R6). */
static bool serve(struct start *start)
{
    uint64_t now_ms = clock_now_ms();
    struct node *node = &start->node;
    lead_all(start);
    for (int tick = 0; tick < TICKS_LIMIT; tick++, now_ms += TICK_MS) {
        node_tick_replicas(node, now_ms);
        node_end_turn(node, false);
        node_durable(node, wal_flush(node->journal.wal), now_ms);
        node_checkpoint_finish(node);
        if (all_serve(node, now_ms))
            return true;
    }
    return false;
}

static enum recovery_outcome say(struct start *start, enum recovery_outcome outcome,
                                 const char *subject, const char *what)
{
    snprintf(start->text, start->limit, "%s: %s", subject, what);
    return outcome;
}

/* A key whose expiry the log has passed is absent (S2). */
static enum recovery_outcome check_key(struct start *start, const struct mark_key *key)
{
    struct store_value value = {0};
    char allowed[128], what[256];
    int code = CAIRN_ENOTFOUND;
    if (start->opened) {
        struct node *node = &start->node;
        uint32_t length = (uint32_t)strlen(key->key);
        const uint8_t *bytes = (const uint8_t *)key->key;
        uint32_t partition = partition_of(bytes, length, node->partition_count);
        code = store_get(node->store, partition, bytes, length, &value);
        if (code == CAIRN_OK && value.expires_ms != 0 &&
            value.expires_ms <= node->partitions[partition].replica.last_log_ms)
            code = CAIRN_ENOTFOUND;
    }
    if (code != CAIRN_OK && code != CAIRN_ENOTFOUND)
        return say(start, RECOVERY_LOST, key->key, "its value fails its checksum");
    if (marks_allow(key, start->task->number, code == CAIRN_OK ? value.data : NULL, value.length))
        return RECOVERY_KEPT;
    marks_describe(key, start->task->number, allowed, sizeof allowed);
    snprintf(what, sizeof what, "has %s%.20s (%u bytes), not %s",
             code == CAIRN_OK ? "" : "no value", code == CAIRN_OK ? (const char *)value.data : "",
             value.length, allowed);
    return say(start, RECOVERY_LOST, key->key, what);
}

static bool is_known(void *context, uint32_t partition, const uint8_t *key, uint32_t key_length,
                     const struct store_value *value)
{
    struct start *start = context;
    (void)partition;
    (void)value;
    if (marks_find(&start->task->marks->keys, key, key_length) != NULL)
        return true;
    snprintf(start->text, start->limit, "%.*s: nobody wrote this key", (int)key_length,
             (const char *)key);
    return false;
}

static enum recovery_outcome check_all(struct start *start)
{
    const struct marks *marks = &start->task->marks->keys;
    enum recovery_outcome outcome = RECOVERY_KEPT;
    for (size_t i = 0; outcome == RECOVERY_KEPT && i < marks->count; i++)
        outcome = check_key(start, &marks->keys[i]);
    for (uint32_t i = 0;
         outcome == RECOVERY_KEPT && start->opened && i < start->node.partition_count; i++) {
        struct store_scan scan = {.partitions = &i, .partition_count = 1};
        if (store_scan(start->node.store, &scan, is_known, start) != CAIRN_OK)
            outcome = say(start, RECOVERY_LOST, "a scan", "fails a checksum");
        else if (start->text[0] != '\0')
            outcome = RECOVERY_LOST;
    }
    if (start->opened)
        store_end_turn(start->node.store);
    return outcome;
}

static enum recovery_outcome start_once(struct start *start)
{
    struct error error = {0};
    enum recovery_outcome outcome;
    if (open_node(start, &error) != CAIRN_OK)
        return say(start, RECOVERY_REFUSED, "refused", error.message);
    if (start->opened && !serve(start))
        outcome = say(start, RECOVERY_BROKE, "partitions", "are not served");
    else
        outcome = check_all(start);
    if (start->opened)
        node_close(&start->node);
    return outcome;
}

int recovery_marks_open(const char *path, const struct recovery_marks **marks, struct error *error)
{
    static struct recovery_marks opened;
    *marks = &opened;
    return marks_open(&opened.keys, path, error);
}

size_t recovery_acknowledged(const struct recovery_marks *marks)
{
    return marks_acknowledged(&marks->keys);
}

enum recovery_outcome recovery_try(const struct recovery_task *task, char *text, size_t limit)
{
    enum recovery_outcome outcome = RECOVERY_KEPT;
    for (uint32_t i = 0; outcome == RECOVERY_KEPT && i < task->starts; i++) {
        struct start start = {.task = task, .text = text, .limit = limit};
        text[0] = '\0';
        outcome = start_once(&start);
    }
    return outcome;
}
