/* Proposals: the next configuration of a partition by compare-and-swap (ARCHITECTURE.md R11).
 *
 * Three kinds of step are accepted, each only from a member with its registered store and newest
 * incarnation (R3, R10):
 *
 *   proposer             next primary          next copies
 *   any member           itself                some of the members, itself among them: a takeover,
 *                                              or a primary that was restarted (R7, R9)
 *   the primary process  itself                members and caught-up learners (R8), any learners
 *   the primary process  another member,       the same (L5)
 *                        `switched`
 *
 * A conflict proves nothing to the proposer but that its epoch is not the present one; the answer
 * therefore carries the configuration in force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/membership.h"
#include "manager/membership_internal.h"

struct step {
    const struct cluster_map *map;
    const struct server_identity *who;
    const struct configuration *present, *next;
};

/* The server's registered store, and the server not removed (R10). */
static bool is_current(const struct cluster_map *map, const struct replica_id *copy)
{
    return copy->server < map->server_count && !map->servers[copy->server].removed &&
           map->servers[copy->server].store == copy->store;
}

static bool is_process(const struct replica_id *primary, const struct server_identity *who)
{
    return primary->server == who->server && primary->store == who->store &&
           primary->incarnation == who->incarnation;
}

static bool members_within(const struct configuration *next, const struct configuration *present)
{
    for (uint32_t i = 0; i < next->member_count; i++)
        if (!configuration_has_member(present, next->members[i].server, next->members[i].store))
            return false;
    return true;
}

static bool learners_within(const struct configuration *next, const struct configuration *present)
{
    for (uint32_t i = 0; i < next->learner_count; i++)
        if (!configuration_has_learner(present, next->learners[i].server, next->learners[i].store))
            return false;
    return true;
}

/* Each finds NULL, or why the configuration must not follow on the present one. */
static const char *find_takeover_fault(const struct step *step)
{
    if (step->next->switched)
        return "it is no switch, but says so (L5)";
    if (!members_within(step->next, step->present))
        return "a new primary may only drop members (R9)";
    if (!learners_within(step->next, step->present))
        return "a new primary may only drop learners (R8)";
    return NULL;
}

static const char *find_copies_fault(const struct step *step)
{
    const struct configuration *present = step->present, *next = step->next;

    if (next->switched)
        return "it is no switch, but says so (L5)";
    for (uint32_t i = 0; i < next->member_count; i++) {
        const struct replica_id *member = &next->members[i];

        if (configuration_has_member(present, member->server, member->store))
            continue;
        if (!configuration_has_learner(present, member->server, member->store))
            return "a new member was no learner (R8)";
        if (!is_current(step->map, member))
            return "a new member's store is not its server's registered one (R10)";
    }
    for (uint32_t i = 0; i < next->learner_count; i++) {
        const struct replica_id *learner = &next->learners[i];

        if (!configuration_has_learner(present, learner->server, learner->store) &&
            !is_current(step->map, learner))
            return "a new learner's store is not its server's registered one (R10)";
    }
    return NULL;
}

static const char *find_switch_fault(const struct step *step)
{
    const struct configuration *present = step->present, *next = step->next;

    if (!is_process(&present->primary, step->who))
        return "it names another primary than the proposer, which does not lead";
    if (!next->switched)
        return "it gives the lead away, but is no switch (L5)";
    if (!is_current(step->map, &next->primary) ||
        step->map->servers[next->primary.server].incarnation != next->primary.incarnation)
        return "its primary's store or incarnation is not the registered one (R3)";
    if (next->member_count != present->member_count || !members_within(next, present) ||
        next->learner_count != present->learner_count || !learners_within(next, present))
        return "a switch changes no copies";
    return NULL;
}

static const char *find_fault(const struct step *step, enum configuration_step *kind)
{
    const struct configuration *present = step->present, *next = step->next;
    const struct server_identity *who = step->who;

    if (next->epoch != present->epoch + 1)
        return "its epoch does not follow";
    if (next->history != present->history)
        return "it changes the history (R9)";
    if (!configuration_has_member(present, who->server, who->store))
        return "the proposer is not a member";
    if (next->primary.server != who->server || next->primary.store != who->store) {
        *kind = STEP_SWITCH;
        return find_switch_fault(step);
    }
    if (next->primary.incarnation != who->incarnation)
        return "its primary's incarnation is not the registered one (R3)";
    if (is_process(&present->primary, who)) {
        *kind = STEP_COPIES;
        return find_copies_fault(step);
    }
    *kind = present->primary.server == who->server ? STEP_RESTART : STEP_TAKEOVER;
    return find_takeover_fault(step);
}

static uint32_t count_removed(const struct configuration *present, const struct configuration *next)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < present->member_count; i++)
        if (!configuration_has_member(next, present->members[i].server, present->members[i].store))
            count++;
    return count;
}

/* Keeps the first reason for the log; the caller is told the configuration in force. */
static enum manager_status refuse_invalid(struct membership_reply *reply,
                                          const struct server_identity *who, const char *reason)
{
    if (reply->message[0] == '\0')
        (void)snprintf(reply->message, sizeof reply->message, "server %u proposes: %.400s",
                       who->server, reason);
    return MANAGER_INVALID;
}

static enum manager_status decide(struct membership *membership, uint64_t now_ms,
                                  const struct server_identity *who, const struct proposal *wanted,
                                  struct change *change, struct membership_reply *reply)
{
    struct error error = {0};
    struct step step = {.map = &membership->map, .who = who, .next = &change->configuration};
    const char *fault;

    memset(change, 0, sizeof *change);
    change->kind = CHANGE_CONFIGURATION;
    if (configuration_unpack(wanted->configuration.data, wanted->configuration.length,
                             membership->map.partitions, &change->configuration, &error) != 0) {
        change->configuration.partition = UINT32_MAX;
        return refuse_invalid(reply, who, error.message);
    }
    step.present = &membership->map.configurations[change->configuration.partition];
    if (step.present->epoch != wanted->expected_epoch)
        return MANAGER_CONFLICT;
    fault = find_fault(&step, &change->step);
    if (fault != NULL)
        return refuse_invalid(reply, who, fault);
    change->removed_count = count_removed(step.present, step.next);
    membership->configured_ms[change->configuration.partition] = now_ms;
    membership_change(membership, change);
    return MANAGER_OK;
}

static int propose_one(struct membership *membership, uint64_t now_ms,
                       const struct server_identity *who, const struct proposal *wanted,
                       struct proposal_result *result, struct membership_reply *reply)
{
    const size_t before = reply->packed.length;
    struct change change;
    int status = 0;

    result->status = decide(membership, now_ms, who, wanted, &change, reply);
    if (change.configuration.partition < membership->map.partitions)
        status = configuration_pack(&membership->map.configurations[change.configuration.partition],
                                    &reply->packed, NULL);
    result->current.length = (uint32_t)(reply->packed.length - before);
    return status;
}

/* The buffer has stopped moving: now the results may point into it. */
static void point_results(struct membership_reply *reply)
{
    size_t offset = 0;

    for (uint32_t i = 0; i < reply->result_count; i++) {
        reply->results[i].current.data = reply->packed.data + offset;
        offset += reply->results[i].current.length;
    }
}

int membership_propose(struct membership *membership, uint64_t now_ms,
                       const struct propose_args *args, struct membership_reply *reply)
{
    const uint32_t count = args->proposals.proposals_len;
    int status;

    membership_reply_init(reply);
    if (!membership_check_caller(membership, now_ms, &args->who, reply))
        return 0;
    if (membership->map.configurations == NULL) {
        membership_refuse_waiting(membership, reply);
        return 0;
    }
    reply->results = calloc((size_t)count + 1, sizeof *reply->results);
    status = reply->results == NULL ? CAIRN_ENOMEM : membership_reserve_changes(membership, count);
    for (uint32_t i = 0; i < count && status == 0; i++)
        status = propose_one(membership, now_ms, &args->who, &args->proposals.proposals_val[i],
                             &reply->results[i], reply);
    if (status != 0)
        return status;
    reply->result_count = count;
    point_results(reply);
    reply->map_version = membership->map.version;
    return 0;
}
