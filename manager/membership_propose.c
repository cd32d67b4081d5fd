/* Proposals: the next configuration of a partition by compare-and-swap (ARCHITECTURE.md R11).
 *
 * A member may take the lead of a partition, with its newest incarnation (R3) and the same members.
 * A conflict proves nothing to the proposer but that its epoch is not the present one; the answer
 * therefore carries the configuration in force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/membership.h"
#include "manager/membership_internal.h"

/* Both have the same number of distinct members. */
static bool same_members(const struct configuration *left, const struct configuration *right)
{
    if (left->member_count != right->member_count)
        return false;
    for (uint32_t i = 0; i < left->member_count; i++)
        if (!configuration_has_member(right, left->members[i].server, left->members[i].store))
            return false;
    return true;
}

/* NULL, or why the configuration must not follow on the present one. Members that are the same as
 * before need no look-up: theirs are known servers and stores. */
static const char *find_fault(const struct server_identity *who,
                              const struct configuration *present, const struct configuration *next)
{
    if (next->epoch != present->epoch + 1)
        return "its epoch does not follow";
    if (next->history != present->history)
        return "it changes the history (R9)";
    if (!configuration_has_member(present, who->server, who->store))
        return "the proposer is not a member";
    if (!same_members(present, next) || next->learner_count != present->learner_count)
        return "it changes the members";
    if (next->primary.server != who->server || next->primary.store != who->store)
        return "it names another primary than the proposer";
    if (next->primary.incarnation != who->incarnation)
        return "its primary's incarnation is not the registered one (R3)";
    return NULL;
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

static enum manager_status decide(struct membership *membership, const struct server_identity *who,
                                  const struct proposal *wanted, struct change *change,
                                  struct membership_reply *reply)
{
    struct error error = {0};
    const struct configuration *present;
    const char *fault;

    change->kind = CHANGE_CONFIGURATION;
    if (configuration_unpack(wanted->configuration.data, wanted->configuration.length,
                             membership->map.partitions, &change->configuration, &error) != 0) {
        change->configuration.partition = UINT32_MAX;
        return refuse_invalid(reply, who, error.message);
    }
    present = &membership->map.configurations[change->configuration.partition];
    if (present->epoch != wanted->expected_epoch)
        return MANAGER_CONFLICT;
    fault = find_fault(who, present, &change->configuration);
    if (fault != NULL)
        return refuse_invalid(reply, who, fault);
    memcpy(change->configuration.members, present->members, sizeof present->members);
    memcpy(change->configuration.learners, present->learners, sizeof present->learners);
    membership_change(membership, change);
    return MANAGER_OK;
}

static int propose_one(struct membership *membership, const struct server_identity *who,
                       const struct proposal *wanted, struct proposal_result *result,
                       struct membership_reply *reply)
{
    const size_t before = reply->packed.length;
    struct change change;
    int status = 0;

    result->status = decide(membership, who, wanted, &change, reply);
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
        status = propose_one(membership, &args->who, &args->proposals.proposals_val[i],
                             &reply->results[i], reply);
    if (status != 0)
        return status;
    reply->result_count = count;
    point_results(reply);
    reply->map_version = membership->map.version;
    return 0;
}
