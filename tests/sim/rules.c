/* The rule that is switched off in this process, and the rules' names. */
#include "tests/sim/rules.h"

#include <string.h>

enum broken_rule cairn_broken_rule = BROKEN_NONE;

static const struct {
    const char *name, *what;
} rules[BROKEN_COUNT] = {
    [BROKEN_NONE] = {"none", "nothing is broken"},
    [BROKEN_R1] = {"R1", "commits without the last follower's acknowledgement"},
    [BROKEN_R2] = {"R2", "accepts appends of an epoch that is over"},
    [BROKEN_R2_DURABLE] = {"R2-durable", "grants and sends before the epoch is durable"},
    [BROKEN_R3] = {"R3", "leads under its former incarnation's configuration"},
    [BROKEN_R4] = {"R4", "does not compare the predecessor's epoch"},
    [BROKEN_R4_SHORT] = {"R4-short", "drops what follows a delayed, short append"},
    [BROKEN_R4_MATCHED] = {"R4-matched", "acknowledges the last index held"},
    [BROKEN_R5] = {"R5", "applies what it has synced"},
    [BROKEN_R6] = {"R6", "serves before its no-op is committed"},
    [BROKEN_R7] = {"R7", "commits without a silent member before it is removed"},
    [BROKEN_R8_COUNT] = {"R8-count", "does not count a learner before it is proposed"},
    [BROKEN_R8_WAIT] = {"R8-wait", "proposes a learner that has not caught up"},
    [BROKEN_R9] = {"R9", "a removed copy is promoted"},
    [BROKEN_R10] = {"R10", "keeps match and lease of a peer whose process changed"},
    [BROKEN_R11] = {"R11", "stops counting a proposed copy while that is undecided"},
    [BROKEN_R12] = {"R12", "applies all that is told as committed"},
    [BROKEN_R13] = {"R13", "a damaged member goes on"},
    [BROKEN_L1] = {"L1", "serves without leases"},
    [BROKEN_L1_BEFORE] = {"L1-before", "counts a lease from the answer's arrival"},
    [BROKEN_L2] = {"L2", "takes over without waiting for grace"},
    [BROKEN_L5] = {"L5", "leads without waiting out its promises"},
    [BROKEN_YIELD] = {"yield", "goes on answering after a switch was proposed"},
    [BROKEN_S1] = {"S1", "log time is the host's clock"},
    [BROKEN_S2] = {"S2", "tells of an expiry before the log does"},
    [BROKEN_S3] = {"S3", "duplicates are executed"},
    [BROKEN_S4] = {"S4", "sessions are forgotten early"},
    [BROKEN_W1] = {"W1", "acknowledges before the sync"},
    [BROKEN_W6] = {"W6", "cuts the log beyond the checkpoint"},
};

const char *rule_name(enum broken_rule rule)
{
    return rules[rule].name;
}

const char *rule_what(enum broken_rule rule)
{
    return rules[rule].what;
}

enum broken_rule rule_of(const char *name)
{
    for (uint32_t i = 0; i < BROKEN_COUNT; i++)
        if (rules[i].name != NULL && strcmp(rules[i].name, name) == 0)
            return (enum broken_rule)i;
    return BROKEN_COUNT;
}
