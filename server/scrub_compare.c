/* Comparing the copies of partitions that are led here, as one log entry leaves them (W8).
 *
 * The entry is one that is not there yet: all others are told its index first, so that they take
 * their state in the turn that applies it; then the log is brought so far, with no-ops where
 * clients write nothing. If clients write so much that somebody had applied it when he heard of it,
 * the next attempt names one further ahead. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/peers_internal.h"
#include "server/scrub_internal.h"

enum {
    CALL_TIMEOUT_MS = 3000,
    LOSSES_LIMIT = 3,
    ATTEMPTS_LIMIT = 30,
    AGAIN_MS = 100,
    WAIT_LIMIT_MS = 5000, /* until the entry is applied everywhere */
    ROUNDS_LIMIT = 3,
    ROUND_MS = 500, /* for values to be repaired one by one */
    MARGIN_FACTOR = 8,
    MARGIN_LIMIT = 1 << 16,
    FILL_LIMIT = 256, /* no-ops in one turn */
};

static struct replica *replica_of(const struct compare *compare)
{
    return &compare->scrub->node->partitions[compare->partition].replica;
}

/* The configuration that is compared is in force, and led from here. */
static bool leads(const struct compare *compare)
{
    const struct replica *replica = replica_of(compare);

    return replica_accepts(replica) && !replica->damaged &&
           replica->configuration.epoch == compare->epoch &&
           replica_serves(replica, clock_now_ms());
}

/* --- the end of a comparison -------------------------------------------------------------------
 */

static void release(struct compare *compare)
{
    struct scrub *scrub = compare->scrub;
    struct digest_task *task =
        digest_tasks_find(&scrub->tasks, compare->partition, compare->number);

    if (task != NULL)
        digest_task_drop(&scrub->tasks, scrub->node, task);
    compare->used = false;
    scrub->comparing--;
}

static void give_up(struct compare *compare, const char *why)
{
    const compared_copies result = {.partition = compare->partition, .outcome = COMPARE_FAILED};

    log_info("scrub", "copies cannot be compared partition=%" PRIu32 " reason=\"%s\"",
             compare->partition, why);
    scrub_compared(compare->scrub, &result, NULL);
    release(compare);
}

/* The attempt came to nothing. */
static void again(struct compare *compare, uint64_t delay_ms, uint64_t now_ms, const char *why)
{
    if (++compare->attempts >= ATTEMPTS_LIMIT)
        give_up(compare, why);
    else
        compare->after_ms = now_ms + delay_ms;
}

static void on_differs_told(void *context, int status, const void *result,
                            const struct error *error)
{
    (void)context; /* lost: the next comparison tells again */
    (void)status;
    (void)result;
    (void)error;
}

static void tell_differs(struct compare *compare, const struct compared_copy *other)
{
    struct scrub *scrub = compare->scrub;
    struct peer *peer = scrub->peers->by_server[other->id.server];
    struct rpc_client *client;
    differs_args args = {
        .from = exchange_sender(scrub->node, other->id.server),
        .partition = compare->partition,
        .history = replica_of(compare)->configuration.history,
        .epoch = compare->epoch,
        .number = compare->number,
    };

    args.from.to_store = other->id.store;
    if (peer != NULL)
        (void)peers_call(peer, PEER_SNAPSHOTS, REPLICA_DIFFERS, &args, CALL_TIMEOUT_MS,
                         on_differs_told, NULL, &client);
}

/* R13: who differs takes the state of the others anew. */
static void have_installed(struct compare *compare, const struct digest_copy *copies,
                           uint64_t now_ms)
{
    for (uint32_t i = 0; i < compare->count; i++)
        if (copies[i + 1].differs)
            tell_differs(compare, &compare->others[i]);
    if (copies[0].differs)
        scrub_step_aside(compare->scrub, &compare->scrub->node->partitions[compare->partition],
                         now_ms);
}

static compare_outcome outcome_of(const struct scrub *scrub, enum digest_verdict verdict)
{
    if (verdict == DIGEST_ALIKE)
        return COMPARE_EQUAL;
    return verdict == DIGEST_SOME && scrub->repairs_copies ? COMPARE_REPAIRING : COMPARE_DIFFERS;
}

/* Who differs, for the log and the report; their number. */
static uint32_t list_differing(const struct compare *compare, const struct digest_copy *copies,
                               enum digest_verdict verdict, uint32_t *servers)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i <= compare->count; i++) {
        const struct replica_member *copy =
            i == 0 ? &replica_of(compare)->self : &compare->others[i - 1].id;

        if (verdict == DIGEST_ALIKE || (verdict == DIGEST_SOME && !copies[i].differs))
            continue;
        servers[count++] = copy->server;
        log_error("scrub",
                  "a copy differs partition=%" PRIu32 " index=%" PRIu64 " server=%" PRIu32
                  " bad_rows=%" PRIu64 " digest=%016" PRIx64 " undecided=%d",
                  compare->partition, compare->index, copy->server, copies[i].bad, copies[i].value,
                  verdict == DIGEST_UNDECIDED);
    }
    return count;
}

/* All digests are there. */
static void judge(struct compare *compare, const struct digest_task *own, uint64_t now_ms)
{
    struct scrub *scrub = compare->scrub;
    struct digest_copy copies[REPLICA_MEMBERS_LIMIT + 1] = {{own->value, own->digest.bad, false}};
    uint32_t differing[REPLICA_MEMBERS_LIMIT + 1];
    compared_copies result = {.partition = compare->partition,
                              .copies = compare->count + 1,
                              .index = compare->index,
                              .pairs = own->digest.pairs,
                              .bad = own->digest.bad};

    for (uint32_t i = 0; i < compare->count; i++) {
        copies[i + 1] =
            (struct digest_copy){compare->others[i].value, compare->others[i].bad, false};
        result.bad += compare->others[i].bad;
    }
    enum digest_verdict verdict = digest_judge(copies, compare->count + 1);
    if (result.bad > 0 && scrub->repairs_copies && compare->rounds < ROUNDS_LIMIT) {
        compare->rounds++; /* who has them has noted them for repair */
        compare->after_ms = now_ms + ROUND_MS;
        return;
    }
    result.outcome = outcome_of(scrub, verdict);
    result.differing.differing_len = list_differing(compare, copies, verdict, differing);
    scrub->comparisons++;
    scrub->differences += result.differing.differing_len;
    scrub_compared(scrub, &result, differing);
    if (result.outcome == COMPARE_REPAIRING)
        have_installed(compare, copies, now_ms);
    release(compare);
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void take_answer(struct compared_copy *other, const digest_result *result)
{
    other->answered = true;
    other->losses = 0;
    other->state = result->stranger ? DIGEST_REFUSED : result->state;
    other->value = result->digest;
    other->bad = result->bad;
}

static void on_digest(void *context, int status, const void *result, const struct error *error)
{
    struct compare_call *call = context;
    struct compare *compare = call->compare;

    (void)error;
    compare->calls--;
    if (compare->used && compare->number == call->number) {
        struct compared_copy *other = &compare->others[call->other];

        other->calling = false;
        if (status == CAIRN_OK)
            take_answer(other, result);
        else
            other->losses++;
        if (other->answered && other->state != DIGEST_COUNTING)
            scrub_compare(compare->scrub, clock_now_ms());
    }
    free(call);
}

static void ask(struct compare *compare, uint32_t number)
{
    struct scrub *scrub = compare->scrub;
    struct compared_copy *other = &compare->others[number];
    struct peer *peer = scrub->peers->by_server[other->id.server];
    struct compare_call *call = malloc(sizeof *call);
    struct rpc_client *client;
    digest_args args = {
        .from = exchange_sender(scrub->node, other->id.server),
        .partition = compare->partition,
        .history = replica_of(compare)->configuration.history,
        .epoch = compare->epoch,
        .number = compare->number,
        .index = compare->index,
        .hurry = scrub->running,
    };

    args.from.to_store = other->id.store;
    if (call != NULL && peer != NULL) {
        *call = (struct compare_call){compare, compare->number, number};
        if (peers_call(peer, PEER_SNAPSHOTS, REPLICA_DIGEST, &args, CALL_TIMEOUT_MS, on_digest,
                       call, &client) == CAIRN_OK) {
            other->calling = true;
            compare->calls++;
            return;
        }
    }
    free(call);
    other->losses++;
}

/* --- an attempt --------------------------------------------------------------------------------
 */

static void begin(struct compare *compare, uint64_t now_ms)
{
    const struct replica *replica = replica_of(compare);
    const struct replica_configuration *configuration = &replica->configuration;

    compare->epoch = configuration->epoch;
    compare->number = random_next(&compare->scrub->random) | 1;
    compare->index = replica->last.index + compare->margin;
    compare->after_ms = 0;
    compare->began_ms = now_ms;
    compare->count = 0;
    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (!replica_same_copy(&configuration->members[i], &replica->self))
            compare->others[compare->count++] =
                (struct compared_copy){.id = configuration->members[i]};
}

/* Who writes nothing more than clients do: the log shall reach the index. */
static void fill(struct compare *compare, uint64_t now_ms)
{
    struct node *node = compare->scrub->node;
    struct partition *partition = &node->partitions[compare->partition];

    for (uint32_t i = 0; i < FILL_LIMIT && partition->replica.last.index < compare->index; i++) {
        struct entry *entry = entry_create();

        if (entry == NULL)
            return;
        entry->kind = COMMAND_NOOP;
        if (node_propose(node, partition, entry, now_ms) != CAIRN_OK) {
            entry_free(entry);
            return;
        }
    }
}

/* Looks at what the others said. `*ready`: all wait, or do more; `*done`: all have counted. False:
 * the attempt is over. */
static bool look_at_others(struct compare *compare, uint64_t now_ms, bool *ready, bool *done)
{
    *ready = *done = true;
    for (uint32_t i = 0; i < compare->count; i++) {
        struct compared_copy *other = &compare->others[i];

        if (other->losses >= LOSSES_LIMIT) {
            give_up(compare, "a server does not answer");
            return false;
        }
        if (other->answered && other->state == DIGEST_PASSED) {
            if (compare->margin < MARGIN_LIMIT)
                compare->margin *= MARGIN_FACTOR;
            again(compare, 0, now_ms, "more is written than can be kept up with");
            return false;
        }
        if (other->answered && other->state > DIGEST_PASSED) {
            again(compare, AGAIN_MS, now_ms, "a copy is busy or no member");
            return false;
        }
        *ready = *ready && other->answered;
        *done = *done && other->answered && other->state == DIGEST_DONE;
        if (!other->calling && !(other->answered && other->state == DIGEST_DONE))
            ask(compare, i);
    }
    return true;
}

static void advance(struct compare *compare, uint64_t now_ms)
{
    struct scrub *scrub = compare->scrub;
    struct digest_task *own;
    bool ready, done;

    if (!leads(compare)) {
        again(compare, AGAIN_MS, now_ms, "its configuration changes");
        return;
    }
    own = digest_tasks_ask(&scrub->tasks, scrub->node, compare->partition, compare->number,
                           compare->index, now_ms);
    if (own == NULL || own->state == DIGEST_TASK_BUSY || own->state == DIGEST_TASK_PASSED) {
        again(compare, AGAIN_MS, now_ms, "this copy is busy");
        return;
    }
    if (!look_at_others(compare, now_ms, &ready, &done))
        return;
    if (ready && own->state == DIGEST_TASK_WAITING)
        fill(compare, now_ms);
    if (own->state == DIGEST_TASK_WAITING && now_ms > compare->began_ms + WAIT_LIMIT_MS)
        again(compare, AGAIN_MS, now_ms, "nothing is committed");
    else if (done && own->state == DIGEST_TASK_DONE)
        judge(compare, own, now_ms);
}

/* --- all of them -------------------------------------------------------------------------------
 */

/* The next partition to be compared that is led here. */
static bool choose(struct scrub *scrub, uint32_t *partition)
{
    for (uint32_t i = 0; i < scrub->node->partition_count && scrub->todo_count > 0; i++) {
        const struct replica *replica = &scrub->node->partitions[i].replica;

        if (!scrub->todo[i])
            continue;
        scrub->todo[i] = false;
        scrub->todo_count--;
        /* One copy alone is read, no more, and only if somebody asked. */
        if (replica->role == REPLICA_PRIMARY &&
            (replica->configuration.member_count > 1 || scrub->running)) {
            *partition = i;
            return true;
        }
    }
    return false;
}

static void start_more(struct scrub *scrub, uint64_t now_ms)
{
    for (uint32_t i = 0; i < COMPARES_LIMIT; i++) {
        struct compare *compare = &scrub->compares[i];
        uint32_t partition;

        if (compare->used || compare->calls > 0)
            continue;
        if (!choose(scrub, &partition))
            return;
        *compare = (struct compare){
            .scrub = scrub, .used = true, .partition = partition, .margin = 1, .after_ms = now_ms};
        scrub->comparing++;
    }
}

void scrub_compare(struct scrub *scrub, uint64_t now_ms)
{
    if (scrub->peers == NULL)
        return;
    if (scrub->todo_count > 0 && !scrub->passing && !scrub->waiting)
        start_more(scrub, now_ms);
    for (uint32_t i = 0; i < COMPARES_LIMIT; i++) {
        struct compare *compare = &scrub->compares[i];

        if (compare->used && replica_of(compare)->role != REPLICA_PRIMARY)
            give_up(compare, "it is not led here any more");
        if (compare->used && compare->after_ms != 0 && now_ms >= compare->after_ms)
            begin(compare, now_ms);
        if (compare->used && compare->after_ms == 0)
            advance(compare, now_ms);
    }
    if (scrub->running && !scrub->passing && !scrub->waiting && scrub->todo_count == 0 &&
        scrub->comparing == 0)
        scrub->running = false;
    scrub_work(scrub);
}

void scrub_compare_end(struct scrub *scrub)
{
    for (uint32_t i = 0; i < COMPARES_LIMIT; i++)
        if (scrub->compares[i].used)
            release(&scrub->compares[i]);
}
