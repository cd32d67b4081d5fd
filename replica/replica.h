/* One partition's replication as a pure state machine (ARCHITECTURE.md section 2).
 *
 * The core reads no clock, does no I/O and allocates nothing: the driver hands it events with the
 * time in them, and every step returns what the driver has to do, in a `replica_update`. The
 * simulator and the server drive the same code.
 *
 * The log itself stays with the driver; the core knows its ends: the last entry, what of it is
 * synced and what is committed. What an update asks to be persisted goes into the WAL before
 * anything of that epoch leaves this process (R2); since the log is one sequence, an EPOCH record
 * written before the epoch's first entry is durable no later than that entry.
 *
 * A configuration may name several members; an entry commits when all of them hold it (R1). */
#ifndef CAIRN_REPLICA_REPLICA_H
#define CAIRN_REPLICA_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPLICA_MEMBERS_LIMIT = 8 };

/* A copy is a (server, store) pair; the primary carries its incarnation too (R3, R10). */
struct replica_member {
    uint32_t server;
    uint64_t store;
    uint64_t incarnation;
};

struct replica_configuration {
    uint64_t history; /* 0: none heard yet */
    uint64_t epoch;
    struct replica_member primary;
    uint32_t member_count;
    struct replica_member members[REPLICA_MEMBERS_LIMIT];
};

struct replica_position {
    uint64_t epoch, index;
};

enum replica_role {
    REPLICA_NONE,     /* no member, or no configuration heard yet */
    REPLICA_STARTING, /* leads soon: asks for its incarnation (R3) or commits its log (R6) */
    REPLICA_PRIMARY,  /* serves */
    REPLICA_BACKUP,   /* a member under another primary */
};

struct replica {
    uint32_t partition;
    struct replica_member self;
    enum replica_role role;
    struct replica_configuration configuration; /* the newest heard */
    uint64_t seen_history, seen_epoch;          /* R2: never goes back */
    struct replica_position last;               /* of the log */
    uint64_t synced_index;                      /* of the local log */
    uint64_t commit_index;
    uint64_t barrier_index;    /* R6: own no-op; primary once it is committed */
    uint64_t promoted_ms;      /* S1: boot time of the promotion */
    uint64_t promoted_log_ms;  /* S1: log time at the promotion */
    uint64_t last_log_ms;      /* log time of the last entry */
    uint64_t proposed_epoch;   /* R11: expected epoch of a proposal under way; 0: none */
    uint64_t propose_after_ms; /* not before */
};

/* What the durable state of this store says about the partition. */
struct replica_recovered {
    uint64_t history;
    uint64_t seen_epoch;
    struct replica_position last; /* of the log; all of it is synced (W1) */
    uint64_t applied_index;       /* applied entries were committed (R5) */
    uint64_t last_log_ms;
};

enum replica_event_kind {
    REPLICA_EVENT_CONFIGURATION, /* the manager's word on this partition */
    REPLICA_EVENT_SYNCED,        /* the local log is durable up to `index` */
    REPLICA_EVENT_TICK,          /* time passes */
};

struct replica_event {
    enum replica_event_kind kind;
    uint64_t now_ms;                                   /* CLOCK_BOOTTIME, read fresh (L3) */
    const struct replica_configuration *configuration; /* CONFIGURATION */
    uint64_t index;                                    /* SYNCED */
};

/* What the driver has to do, in this order. */
struct replica_update {
    bool persist_epoch; /* append an EPOCH record of (history, epoch) */
    uint64_t history, epoch;
    bool append_noop; /* then append a no-op entry: replica_append gives its position */
    bool propose;     /* send `proposal` to the manager, expecting the epoch below it (R11) */
    struct replica_configuration proposal;
    uint64_t commit_index; /* apply everything up to here (R12) */
    bool role_changed;
};

/* Starts from durable state, following nobody. */
void replica_init(struct replica *replica, uint32_t partition, const struct replica_member *self,
                  const struct replica_recovered *recovered);

/* Takes one event and fills the whole of `update`. */
void replica_step(struct replica *replica, const struct replica_event *event,
                  struct replica_update *update);

/* The position and log time that an entry appended at `now_ms` gets. Only while the role is
 * STARTING with a no-op asked for, or PRIMARY (CHECK). */
void replica_next(const struct replica *replica, uint64_t now_ms, struct replica_position *position,
                  uint64_t *log_time_ms);
/* Takes that position for an entry, which the driver has in its log now. */
void replica_append(struct replica *replica, uint64_t now_ms, struct replica_position *position,
                    uint64_t *log_time_ms);

/* The partition's log time now (S1): the acting primary's view of it. */
uint64_t replica_log_time_ms(const struct replica *replica, uint64_t now_ms);

/* May this process answer for the partition at `now_ms`? With one member no lease is needed (L4).
 */
bool replica_serves(const struct replica *replica);

const char *replica_role_name(enum replica_role role);

#endif
