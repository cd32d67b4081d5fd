/* See scrub.h: the pass over the values, the pool's work, and an operator's run. */
#include "server/scrub.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/exchange.h"
#include "server/scrub_internal.h"

enum {
    FIRST_PASS_MS = 60 * 1000, /* after the start: first of all it is to serve */
    PASS_EVERY_MS = 60 * 60 * 1000,
    SLICE_BYTES = 1 << 20,  /* read in some milliseconds */
    BUDGET_LIMIT_MS = 1000, /* what was not read is not made up for later than that */
    REPAIRS_WAIT_MS = 10000,
    HURRY_MS = 1000,
};

/* --- the pool's work ---------------------------------------------------------------------------
 */

static void read_some(uv_work_t *work)
{
    struct scrub *scrub = work->data;

    if (scrub->task != NULL)
        scrub->status =
            digest_capture_count(scrub->task->capture, scrub->limit_bytes, &scrub->counted);
    else
        scrub_slice_read(&scrub->slice, scrub->limit_bytes);
}

static void note_bad_keys(struct scrub *scrub, const struct digest_task *task)
{
    const struct bad_key *keys;
    uint32_t count = digest_capture_bad(task->capture, &keys);

    for (uint32_t i = 0; i < count; i++)
        (void)repairs_note(&scrub->repairs, scrub->node, task->partition, keys[i].bytes,
                           keys[i].length, clock_now_ms());
}

static void spend(struct scrub *scrub, uint64_t bytes)
{
    scrub->budget_bytes -= bytes < scrub->budget_bytes ? bytes : scrub->budget_bytes;
}

static void take_count(struct scrub *scrub)
{
    struct digest_task *task = scrub->task;

    spend(scrub, scrub->limit_bytes);

    scrub->task = NULL;
    if (digest_task_counted(task, scrub->status, scrub->counted))
        note_bad_keys(scrub, task);
    digest_task_settle(&scrub->tasks, task);
}

/* A row that is no pair of ours, or a page: who compares copies decides what becomes of it. */
static void say_bad_row(const struct scrub_bad *bad)
{
    if (bad->partition == UINT32_MAX)
        log_error("scrub", "a page of the store cannot be read");
    else
        log_error("scrub", "a session fails its checksum partition=%" PRIu32, bad->partition);
}

static void end_pass(struct scrub *scrub, uint64_t now_ms)
{
    scrub->passing = false;
    scrub->passes++;
    scrub->waiting = true;
    scrub->waiting_until_ms = now_ms + REPAIRS_WAIT_MS;
    if (scrub->running)
        return;
    scrub->repairs_copies = true;
    for (uint32_t i = 0; i < scrub->node->partition_count; i++)
        scrub->todo[i] = true;
    scrub->todo_count = scrub->node->partition_count;
}

static void take_slice(struct scrub *scrub, uint64_t now_ms)
{
    struct scrub_slice *slice = &scrub->slice;

    scrub_slice_close(slice);
    scrub->values += slice->values;
    scrub->bytes += slice->bytes;
    scrub->run_bytes += slice->bytes;
    spend(scrub, slice->cost);
    for (uint32_t i = 0; i < slice->bad_count; i++) {
        const struct scrub_bad *bad = &slice->bad[i];

        if (bad->expiry)
            repairs_expiry(&scrub->repairs, scrub->node, bad->partition, &bad->key);
        else if (bad->key.length > 0)
            (void)repairs_note(&scrub->repairs, scrub->node, bad->partition, bad->key.bytes,
                               bad->key.length, now_ms);
        else
            say_bad_row(bad);
    }
    if (!scrub->passing)
        return;
    scrub->pass = slice->pass;
    if (scrub->pass.done)
        end_pass(scrub, now_ms);
}

static void on_read(uv_work_t *work, int cancelled)
{
    struct scrub *scrub = work->data;
    uint64_t now_ms = clock_now_ms();

    CHECK(cancelled == 0);
    scrub->working = false;
    if (scrub->task != NULL)
        take_count(scrub);
    else
        take_slice(scrub, now_ms);
    scrub_repair(scrub, now_ms);
    scrub_compare(scrub, now_ms);
}

static void queue_work(struct scrub *scrub)
{
    scrub->work.data = scrub;
    scrub->working = true;
    CHECK(uv_queue_work(scrub->loop, &scrub->work, read_some, on_read) == 0);
}

/* What may be read at once: what the rate allows, if nobody waits for it. */
static size_t slice_limit(const struct scrub *scrub, bool hurry)
{
    return hurry || scrub->budget_bytes > SLICE_BYTES ? SLICE_BYTES : (size_t)scrub->budget_bytes;
}

/* Digests that nobody waits for are counted a slice at a tick. */
static bool begin_count(struct scrub *scrub)
{
    bool hurry = scrub->running || clock_now_ms() < scrub->hurry_until_ms;
    size_t limit = slice_limit(scrub, hurry || scrub->rate_bytes == 0);

    scrub->task =
        hurry || (scrub->may_count && limit > 0) ? digest_tasks_next(&scrub->tasks) : NULL;
    if (scrub->task == NULL)
        return false;
    scrub->may_count = false;
    scrub->task->reading = true;
    scrub->limit_bytes = limit;
    return true;
}

static bool begin_slice(struct scrub *scrub)
{
    size_t limit = slice_limit(scrub, scrub->running);

    if (!scrub->passing || limit == 0 ||
        scrub_slice_open(scrub->node->store, &scrub->pass, &scrub->slice) != CAIRN_OK)
        return false;
    scrub->limit_bytes = limit;
    return true;
}

void scrub_work(struct scrub *scrub)
{
    if (scrub->peers != NULL && !scrub->working && (begin_count(scrub) || begin_slice(scrub)))
        queue_work(scrub);
}

/* --- time passes -------------------------------------------------------------------------------
 */

/* What the rate allows since the last tick. */
static void pace(struct scrub *scrub, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - scrub->paced_ms;
    uint64_t most = scrub->rate_bytes / 1000 * BUDGET_LIMIT_MS;

    scrub->paced_ms = now_ms;
    if (passed_ms > BUDGET_LIMIT_MS)
        passed_ms = BUDGET_LIMIT_MS;
    scrub->budget_bytes += scrub->rate_bytes * passed_ms / 1000;
    if (scrub->budget_bytes > most)
        scrub->budget_bytes = most;
}

static void begin_pass(struct scrub *scrub, uint64_t now_ms)
{
    scrub->passing = true;
    scrub->pass = (struct scrub_pass){0};
    scrub->next_pass_ms = now_ms + PASS_EVERY_MS;
}

void scrub_tick(struct scrub *scrub, uint64_t now_ms)
{
    if (scrub->peers == NULL)
        return;
    pace(scrub, now_ms);
    scrub->may_count = true;
    if (scrub->rate_bytes > 0 && now_ms >= scrub->next_pass_ms && !scrub->passing &&
        !scrub->running)
        begin_pass(scrub, now_ms);
    if (scrub->waiting &&
        (repairs_waiting(&scrub->repairs) == 0 || now_ms > scrub->waiting_until_ms))
        scrub->waiting = false;
    digest_tasks_expire(&scrub->tasks, scrub->node, now_ms);
    scrub_repair(scrub, now_ms);
    scrub_compare(scrub, now_ms);
}

/* --- life --------------------------------------------------------------------------------------
 */

static void on_watched(struct node *node, struct partition *partition)
{
    digest_tasks_reached(&node->scrub->tasks, node, partition);
    scrub_work(node->scrub);
}

struct scrub *scrub_open(uv_loop_t *loop, struct node *node, uint64_t rate_bytes, uint64_t now_ms)
{
    struct scrub *scrub = calloc(1, sizeof *scrub);

    if (scrub == NULL)
        return NULL;
    scrub->loop = loop;
    scrub->node = node;
    scrub->rate_bytes = rate_bytes;
    scrub->paced_ms = now_ms;
    scrub->next_pass_ms = now_ms + FIRST_PASS_MS;
    random_seed(&scrub->random, random_id());
    repairs_init(&scrub->repairs);
    digest_tasks_init(&scrub->tasks);
    scrub->todo = calloc(node->partition_count, sizeof *scrub->todo);
    scrub->results = calloc(node->partition_count, sizeof *scrub->results);
    scrub->differing =
        calloc((size_t)node->partition_count * REPLICA_MEMBERS_LIMIT, sizeof *scrub->differing);
    if (scrub->todo == NULL || scrub->results == NULL || scrub->differing == NULL) {
        scrub_free(scrub);
        return NULL;
    }
    node->scrub = scrub;
    node->repairs = &scrub->repairs;
    node->watched = on_watched;
    return scrub;
}

void scrub_start(struct scrub *scrub, struct peers *peers)
{
    scrub->peers = peers;
}

void scrub_stop(struct scrub *scrub)
{
    scrub->peers = NULL;
    scrub_compare_end(scrub);
}

void scrub_free(struct scrub *scrub)
{
    if (scrub == NULL)
        return;
    CHECK(!scrub->working && scrub->fetches == 0);
    if (scrub->node->scrub == scrub) {
        scrub->node->scrub = NULL;
        scrub->node->repairs = NULL;
        scrub->node->watched = NULL;
    }
    digest_tasks_free(&scrub->tasks);
    repairs_free(&scrub->repairs);
    free(scrub->todo);
    free(scrub->results);
    free(scrub->differing);
    free(scrub);
}

/* --- a run -------------------------------------------------------------------------------------
 */

static void want(struct scrub *scrub, uint32_t partition)
{
    if (scrub->todo[partition])
        return;
    scrub->todo[partition] = true;
    scrub->todo_count++;
    scrub->to_compare += scrub->node->partitions[partition].replica.role == REPLICA_PRIMARY;
}

static void want_all(struct scrub *scrub, const scrub_args *args)
{
    memset(scrub->todo, 0, scrub->node->partition_count * sizeof *scrub->todo);
    scrub->todo_count = scrub->to_compare = 0;
    for (u_int i = 0; i < args->partitions.partitions_len; i++)
        want(scrub, args->partitions.partitions_val[i]);
    for (uint32_t i = 0; args->partitions.partitions_len == 0 && i < scrub->node->partition_count;
         i++)
        want(scrub, i);
}

int scrub_begin(struct scrub *scrub, const scrub_args *args, uint64_t now_ms)
{
    for (u_int i = 0; i < args->partitions.partitions_len; i++)
        if (args->partitions.partitions_val[i] >= scrub->node->partition_count)
            return CAIRN_EINVAL;
    scrub_compare_end(scrub);
    want_all(scrub, args);
    scrub->run++;
    scrub->running = true;
    scrub->run_bytes = 0;
    scrub->result_count = 0;
    scrub->repairs_copies = args->kind == SCRUB_REPAIR;
    scrub->passing = false; /* what a pass of its own has read so far is read again later */
    scrub->waiting = false;
    if (args->kind == SCRUB_REPAIR) {
        repairs_retry(&scrub->repairs, now_ms);
        scrub->waiting = true;
        scrub->waiting_until_ms = now_ms + REPAIRS_WAIT_MS;
        if (args->values)
            begin_pass(scrub, now_ms);
    }
    log_info("scrub", "begins run=%" PRIu64 " kind=%s partitions=%" PRIu32, scrub->run,
             args->kind == SCRUB_REPAIR ? "repair" : "verify", scrub->to_compare);
    scrub_work(scrub);
    return CAIRN_OK;
}

void scrub_compared(struct scrub *scrub, const compared_copies *result, const uint32_t *differing)
{
    compared_copies *kept;
    u_int *servers = scrub->differing + (size_t)scrub->result_count * REPLICA_MEMBERS_LIMIT;

    if (!scrub->running || scrub->result_count == scrub->node->partition_count)
        return;
    kept = &scrub->results[scrub->result_count++];
    *kept = *result;
    kept->differing.differing_val = servers;
    for (u_int i = 0; i < result->differing.differing_len; i++)
        servers[i] = differing[i];
}

/* Those first that nothing can be done about here. */
static u_int list_damaged(struct scrub *scrub)
{
    static const enum repair_state states[] = {REPAIR_FAILED, REPAIR_WAITING};
    const struct repair *repair;
    u_int count = 0;

    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        TAILQ_FOREACH(repair, &scrub->repairs.list, link)
        {
            if (count < DAMAGED_SHOWN && repair->state == states[i])
                scrub->damaged[count++] = (damaged_value){
                    .partition = repair->partition,
                    .lost = repair->state == REPAIR_FAILED,
                    .key = {.data = repair->key.bytes, .length = repair->key.length}};
        }
    return count;
}

void scrub_report_now(struct scrub *scrub, scrub_report *report)
{
    struct store_stats stats;

    store_stats(scrub->node->store, &stats);
    *report = (scrub_report){
        .server = scrub->node->identity.server,
        .incarnation = scrub->node->identity.incarnation,
        .run = scrub->run,
        .running = scrub->running,
        .reading = scrub->passing || scrub->waiting,
        .run_bytes = scrub->run_bytes,
        .store_bytes = stats.pages_bytes - stats.free_bytes,
        .compared = scrub->result_count,
        .to_compare = scrub->to_compare,
        .rate_bytes = scrub->rate_bytes,
        .passes = scrub->passes,
        .values = scrub->values,
        .bytes = scrub->bytes,
        .bad_values = scrub->repairs.found,
        .repaired = scrub->repairs.repaired,
        .waiting = repairs_waiting(&scrub->repairs),
        .unrepaired = scrub->repairs.failed,
        .comparisons = scrub->comparisons,
        .differences = scrub->differences,
        .stepped_aside = scrub->stepped_aside,
        .damaged = {.damaged_val = scrub->damaged, .damaged_len = list_damaged(scrub)},
        .partitions = {.partitions_val = scrub->results, .partitions_len = scrub->result_count},
    };
}

/* --- what primaries ask ------------------------------------------------------------------------
 */

void scrub_step_aside(struct scrub *scrub, struct partition *partition, uint64_t now_ms)
{
    struct replica_event event = {.kind = REPLICA_EVENT_TICK, .now_ms = now_ms};

    if (partition->replica.configuration.member_count < 2 || partition->replica.damaged)
        return; /* R13: others hold what is lost here, or it stays as it is */
    log_error("scrub", "this copy is to be installed anew partition=%" PRIu32,
              partition->replica.partition);
    scrub->stepped_aside++;
    partition->damaged = true;
    node_step(scrub->node, partition, &event, NULL);
}

/* Only the primary of the configuration in force asks, and only of a member. */
static bool is_from_primary(const struct scrub *scrub, const replica_sender *from,
                            uint32_t partition, uint64_t history, uint64_t epoch)
{
    const struct replica *replica;

    if (partition >= scrub->node->partition_count || scrub->peers == NULL)
        return false;
    replica = &scrub->node->partitions[partition].replica;
    return replica->role == REPLICA_BACKUP && !replica->installing && !replica->damaged &&
           replica->configuration.history == history && replica->configuration.epoch == epoch &&
           replica->seen_epoch == epoch && replica->configuration.primary.server == from->server &&
           replica->configuration.primary.store == from->store &&
           replica->configuration.primary.incarnation == from->incarnation;
}

static digest_state state_of(const struct digest_task *task)
{
    switch (task->state) {
    case DIGEST_TASK_WAITING:
        return DIGEST_WAITING;
    case DIGEST_TASK_COUNTING:
        return DIGEST_COUNTING;
    case DIGEST_TASK_DONE:
        return DIGEST_DONE;
    case DIGEST_TASK_PASSED:
        return DIGEST_PASSED;
    case DIGEST_TASK_BUSY:
        break;
    }
    return DIGEST_BUSY;
}

void scrub_take_digest(struct scrub *scrub, const digest_args *args, uint64_t now_ms,
                       digest_result *result)
{
    const struct node *node = scrub->node;
    const struct digest_task *task;

    *result = (digest_result){.stranger = !exchange_knows(node, &args->from),
                              .store = node->identity.store,
                              .incarnation = node->identity.incarnation,
                              .state = DIGEST_REFUSED};
    if (result->stranger ||
        !is_from_primary(scrub, &args->from, args->partition, args->history, args->epoch))
        return;
    if (args->hurry)
        scrub->hurry_until_ms = now_ms + HURRY_MS;
    task = digest_tasks_ask(&scrub->tasks, scrub->node, args->partition, args->number, args->index,
                            now_ms);
    result->state = task == NULL ? DIGEST_BUSY : state_of(task);
    result->applied_index = store_applied(node->store, args->partition)->index;
    if (task != NULL && task->state == DIGEST_TASK_DONE) {
        result->digest = task->value;
        result->pairs = task->digest.pairs;
        result->sessions = task->digest.sessions;
        result->bad = task->digest.bad;
    }
    scrub_work(scrub);
}

void scrub_take_differs(struct scrub *scrub, const differs_args *args, uint64_t now_ms,
                        differs_result *result)
{
    const struct node *node = scrub->node;
    const struct digest_task *task;

    *result = (differs_result){.stranger = !exchange_knows(node, &args->from),
                               .store = node->identity.store,
                               .incarnation = node->identity.incarnation};
    if (result->stranger ||
        !is_from_primary(scrub, &args->from, args->partition, args->history, args->epoch))
        return;
    task = digest_tasks_find(&scrub->tasks, args->partition, args->number);
    if (task == NULL || task->state != DIGEST_TASK_DONE)
        return;
    result->taken = true;
    scrub_step_aside(scrub, &scrub->node->partitions[args->partition], now_ms);
}
