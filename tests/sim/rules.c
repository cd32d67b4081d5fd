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
    [BROKEN_C1_SESSION] = {"C1-session",
                           "a reader takes the expiry of whatever session the server has"},
    [BROKEN_C1_EXPIRY] = {"C1-expiry", "a reader looks at no expiry"},
    [BROKEN_C1_COUNTER] = {"C1-counter", "a reader compares no counter"},
    [BROKEN_C1_NOTE] = {"C1-note", "what is current is noted after the answer came"},
    [BROKEN_C2_LIVE] = {"C2-live", "grants under sessions that are over"},
    [BROKEN_C2_PENDING] = {"C2-pending", "grants while a write is pending"},
    [BROKEN_C2_REVOKING] = {"C2-revoking", "grants while the bucket is being revoked"},
    [BROKEN_C3_MUTATION] = {"C3-mutation", "mutations do not wait for revocations"},
    [BROKEN_C3_GET] = {"C3-get", "GETs do not wait for revocations"},
    [BROKEN_C3_REPLAY] = {"C3-replay", "replayed replies do not wait for revocations"},
    [BROKEN_C3_LOST] = {"C3-lost", "a holder whose connection broke counts as gone"},
    [BROKEN_C4] = {"C4", "an invalidation is answered before it counts"},
    [BROKEN_C5_ARRIVAL] = {"C5-arrival", "a host counts from the renewal's answer"},
    [BROKEN_C5_UNANSWERED] = {"C5-unanswered",
                              "renews while an invalidation is unanswered, and forgets that"},
    [BROKEN_C5_PEERS] = {"C5-peers", "host leases outlive peer leases"},
    [BROKEN_C5_REUSE] = {"C5-reuse", "a session that ran out is renewed"},
    [BROKEN_C5_LEFT] = {"C5-left", "sessions are renewed though a partition is led no more"},
    [BROKEN_C6] = {"C6", "a new agent takes over generation and sessions"},
    [BROKEN_C6_SWITCH] = {"C6-switch", "hands over while cached values may be read"},
    [BROKEN_C7] = {"C7", "a restarted server answers at once"},
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
