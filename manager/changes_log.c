/* Configurations, targets and the roster, told as they change: see changes_log.h. */
#include "manager/changes_log.h"

#include <stdio.h>

#include "base/log.h"

typedef unsigned long long ull;

enum { IDS_TEXT_MAX = CAIRN_REPLICAS_LIMIT * 11 + 1 };

static size_t append_id(char out[IDS_TEXT_MAX], size_t used, uint32_t server)
{
    const int length =
        snprintf(out + used, IDS_TEXT_MAX - used, "%s%u", used == 0 ? "" : ",", server);

    return length > 0 ? used + (size_t)length : used;
}

static const char *copies_text(const struct replica_id *copies, uint32_t count,
                               char out[IDS_TEXT_MAX])
{
    size_t used = 0;

    (void)snprintf(out, IDS_TEXT_MAX, "none");
    for (uint32_t i = 0; i < count; i++)
        used = append_id(out, used, copies[i].server);
    return out;
}

static const char *step_name(enum configuration_step step)
{
    switch (step) {
    case STEP_COPIES:
        return "copies changed";
    case STEP_RESTART:
        return "primary restarted";
    case STEP_TAKEOVER:
        return "takeover";
    case STEP_SWITCH:
        return "switch";
    case STEP_RECOVERED:
        return "unsafe recovery";
    case STEP_NONE:
        break;
    }
    return "changed";
}

/* A lead or a copy that was lost is worth a warning; what was asked for is not. */
static void log_configuration(const struct change *change)
{
    const struct configuration *next = &change->configuration;
    char members[IDS_TEXT_MAX], learners[IDS_TEXT_MAX];
    const bool lost = change->step == STEP_TAKEOVER || change->step == STEP_RECOVERED ||
                      change->removed_count > 0;

    log_write(lost ? LOG_WARN : LOG_INFO, "manager",
              "%s partition=%u epoch=%llu history=%llu primary=%u members=%s learners=%s "
              "removed=%u",
              step_name(change->step), next->partition, (ull)next->epoch, (ull)next->history,
              next->primary.server, copies_text(next->members, next->member_count, members),
              copies_text(next->learners, next->learner_count, learners), change->removed_count);
}

static void log_target(uint32_t partition, const struct target *target)
{
    char servers[IDS_TEXT_MAX] = "", primary[16] = "any";
    size_t used = 0;

    for (uint32_t i = 0; i < target->server_count; i++)
        used = append_id(servers, used, target->servers[i]);
    if (target->primary != TARGET_ANY)
        (void)snprintf(primary, sizeof primary, "%u", target->primary);
    log_info("manager", "placement changed partition=%u servers=%s primary=%s", partition, servers,
             primary);
}

void changes_log(const struct membership *membership)
{
    for (size_t i = 0; i < membership->change_count; i++) {
        const struct change *change = &membership->changes[i];

        if (change->kind == CHANGE_CONFIGURATION)
            log_configuration(change);
        else if (change->kind == CHANGE_TARGET)
            log_target(change->target.partition, &change->target.target);
        else if (change->kind == CHANGE_ROSTER)
            log_info("manager", "roster changed server=%u address=%s draining=%d removed=%d",
                     change->roster.id, change->roster.address_text, change->roster.draining,
                     change->roster.removed);
    }
}
