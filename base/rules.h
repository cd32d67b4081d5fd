/* Switches that break a rule, so that the simulator can show that it notices. Compiled in its own
 * variant of the cores only; in all others RULE_BROKEN is 0 and leaves no trace. */
#ifndef CAIRN_BASE_RULES_H
#define CAIRN_BASE_RULES_H

/* There is none for the comparison of generations (C1): whoever raises the generation voids the
 * sessions as well (C6), in the same step and before a server hears of it, so that an entry of an
 * earlier generation fails the comparison of sessions, too. Unit tests guard it. */
enum broken_rule {
    BROKEN_NONE,
    BROKEN_R1,         /* commits without the last follower's acknowledgement */
    BROKEN_R2,         /* accepts appends of an epoch that is over */
    BROKEN_R2_DURABLE, /* grants and sends before the epoch is durable */
    BROKEN_R3,         /* leads under its former incarnation's configuration */
    BROKEN_R4,         /* does not compare the predecessor's epoch */
    BROKEN_R4_SHORT,   /* drops what follows a delayed, short append */
    BROKEN_R4_MATCHED, /* acknowledges the last index held, not the one matched */
    BROKEN_R5,         /* applies what it has synced */
    BROKEN_R6,         /* serves before its no-op is committed */
    BROKEN_R7,         /* commits without a silent member before it is removed */
    BROKEN_R8_COUNT,   /* does not count a learner before it is proposed */
    BROKEN_R8_WAIT,    /* proposes a learner that has not caught up */
    BROKEN_R9,         /* a removed copy proposes itself (manager: is accepted) */
    BROKEN_R10,        /* keeps a peer's match and lease when its process changes */
    BROKEN_R11,        /* stops counting a proposed copy while that is undecided */
    BROKEN_R12,        /* applies all that is told as committed, matched or not */
    BROKEN_R13,        /* a damaged copy goes on */
    BROKEN_L1,         /* serves without leases */
    BROKEN_L1_BEFORE,  /* counts a lease from the answer's arrival */
    BROKEN_L2,         /* takes over without waiting for grace */
    BROKEN_L5,         /* leads without waiting out its promises */
    BROKEN_YIELD,      /* goes on answering after a switch was proposed */
    BROKEN_S1,         /* the driver's, in the simulator's host: */
    BROKEN_S2,
    BROKEN_S3,
    BROKEN_S4,
    BROKEN_W1,
    BROKEN_W6,
    BROKEN_C1_SESSION,    /* a reader takes the expiry of whatever session the server has now */
    BROKEN_C1_EXPIRY,     /* a reader looks at no expiry */
    BROKEN_C1_COUNTER,    /* a reader compares no counter */
    BROKEN_C1_NOTE,       /* what is current is noted after the GET's answer came */
    BROKEN_C2_LIVE,       /* grants under sessions that are over */
    BROKEN_C2_PENDING,    /* grants while a write is pending */
    BROKEN_C2_REVOKING,   /* grants while the bucket is being revoked */
    BROKEN_C3_MUTATION,   /* mutations do not wait for revocations */
    BROKEN_C3_GET,        /* GETs do not */
    BROKEN_C3_REPLAY,     /* replayed replies do not */
    BROKEN_C3_LOST,       /* a holder whose connection broke counts as gone */
    BROKEN_C4,            /* answers before it counts */
    BROKEN_C5_ARRIVAL,    /* the host counts from the renewal's answer */
    BROKEN_C5_UNANSWERED, /* renews while an invalidation is unanswered, and drops it then */
    BROKEN_C5_PEERS,      /* host leases outlive peer leases */
    BROKEN_C5_REUSE,      /* a session that ran out is renewed */
    BROKEN_C5_LEFT,       /* sessions go on when a partition is led no more */
    BROKEN_C6,            /* a new agent leaves the generation as it is and takes over sessions */
    BROKEN_C6_SWITCH,     /* a primary hands over while cached values may be read */
    BROKEN_C7,            /* a restarted server answers at once */
    BROKEN_COUNT,
    /* Of real servers alone, which the simulator has no part in: */
    BROKEN_LOST_WRITE = BROKEN_COUNT, /* acknowledges a write and drops it */
    BROKEN_EARLY_ANSWER,              /* acknowledges a write before it is applied */
};

#ifdef CAIRN_BREAK_RULES
extern enum broken_rule cairn_broken_rule;
#define RULE_BROKEN(rule) (cairn_broken_rule == BROKEN_##rule)
#else
#define RULE_BROKEN(rule) 0
#endif

#endif
