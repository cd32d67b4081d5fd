/* One partition's replication as a pure state machine (ARCHITECTURE.md section 2), after PacificA.
 *
 * The core reads no clock, does no I/O and allocates nothing: the driver hands it events with the
 * time in them, and every step returns what the driver has to do, in a `replica_update`. The
 * simulator and the server drive the same code.
 *
 * The log itself stays with the driver; the core knows its ends and asks for the epoch of an entry
 * through `struct replica_log`. An entry's way:
 *
 *   primary   replica_append -> the driver writes it to its log and, in parallel, sends it to every
 *             follower in REPLICATE mode -> SYNCED and ACK events -> commit_index moves (R1)
 *   backup    APPEND event -> update.accepted: the driver drops what conflicts, writes what is new
 *             (replica_follow for each) -> SYNCED -> replica_ack tells what to answer (R4) ->
 *             commit_index moves (R12)
 *
 * What must be durable before a message may leave is part of the output: `persist_epoch` asks for a
 * record of the epoch, and until the driver reports it with EPOCH_SYNCED the core neither grants
 * nor lets anything of that epoch be sent (R2: replica_may_send). */
#ifndef CAIRN_REPLICA_REPLICA_H
#define CAIRN_REPLICA_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPLICA_MEMBERS_LIMIT = 8, REPLICA_FOLLOWERS_LIMIT = 2 * REPLICA_MEMBERS_LIMIT };

/* A copy is a (server, store) pair; the primary carries its incarnation too (R3, R10). */
struct replica_member {
    uint32_t server;
    uint64_t store;
    uint64_t incarnation; /* 0 in members and learners, and of a peer not heard yet */
};

struct replica_configuration {
    uint64_t history; /* 0: none heard yet */
    uint64_t epoch;
    struct replica_member primary;
    bool switched; /* the primary before it proposed this after it had stopped (L5) */
    uint32_t member_count;
    struct replica_member members[REPLICA_MEMBERS_LIMIT];
    uint32_t learner_count;
    struct replica_member learners[REPLICA_MEMBERS_LIMIT];
};

struct replica_position {
    uint64_t epoch, index;
};

/* Same for all partitions of a server. grace_ms > lease_ms * (1 + drift) / (1 - drift) (L3). */
struct replica_times {
    uint64_t lease_ms; /* what a beacon asks for */
    uint64_t grace_ms;
};

/* Reads of the driver's log: the epoch of an entry from commit_index (0 has epoch 0) to the last.
 */
struct replica_log {
    const void *context;
    uint64_t (*epoch_at)(const void *context, uint64_t index);
};

enum replica_role {
    REPLICA_NONE,     /* no copy of ours is wanted, or no configuration heard yet */
    REPLICA_STARTING, /* leads soon: asks for its incarnation (R3), waits (L5), commits (R6) */
    REPLICA_PRIMARY,  /* leads; serves while the leases hold */
    REPLICA_BACKUP,   /* a member under another primary */
    REPLICA_LEARNER,  /* catches up under another primary (R8) */
};

enum replica_mode {
    REPLICA_PROBE,     /* what it holds is not known: one empty append asks */
    REPLICA_REPLICATE, /* entries from next_index on are sent as they come */
    REPLICA_INSTALL,   /* the log does not reach back far enough: it needs a snapshot */
};

/* A primary's view of another copy. */
struct replica_follower {
    struct replica_member id; /* with the incarnation last heard */
    uint64_t install;         /* its last install, as it says; 0: never (R10) */
    bool member;              /* of the configuration in force */
    bool counted;             /* a member, or one that was or will be proposed as one (R8, R11) */
    bool proposed;            /* as a member, in the present epoch: counts until the next (R11) */
    bool unwanted;            /* the manager wishes it removed */
    enum replica_mode mode;
    uint64_t matched_index;  /* synced there and matched under this primary process (R4) */
    uint64_t next_index;     /* the next one to send */
    uint64_t told_index;     /* commit index last sent */
    uint64_t lease_until_ms; /* L1 */
    uint64_t moved_ms;       /* when it last acknowledged more, or had nothing to acknowledge */
    uint64_t since_ms;       /* when this process began to follow it up */
    uint64_t probe_after_ms; /* PROBE: not before */
    uint64_t ready_index;    /* R8: an entry of the current epoch it must acknowledge; 0: none */
};

struct replica {
    uint32_t partition;
    struct replica_member self;
    struct replica_times times;
    struct replica_log log;
    enum replica_role role;
    struct replica_configuration configuration; /* the newest heard */
    uint64_t seen_history, seen_epoch;          /* R2: never goes back */
    uint64_t recorded_epoch;                    /* of these, handed to the driver to be recorded */
    uint64_t durable_epoch;                     /* of these, recorded durably */
    struct replica_position last;               /* of the log */
    uint64_t last_log_ms;                       /* log time of the last entry */
    uint64_t base_index;                        /* the driver can read back what follows it */
    uint64_t synced_index;                      /* of the local log */
    uint64_t commit_index;
    /* As a follower. */
    struct replica_member following; /* who sends in seen_epoch; server 0, store 0: nobody yet */
    uint64_t matched_index;          /* in seen_epoch; 0: nothing yet (R4) */
    uint64_t told_index;             /* commit index told in seen_epoch (R12) */
    uint64_t install;                /* last install of this copy; 0: never */
    bool installing;                 /* it is under way: the copy holds nothing */
    bool damaged;                    /* R13 */
    /* Promises and waits. */
    uint64_t started_ms;
    bool had_earlier_life;
    bool promised_nothing;    /* L5: the earlier life was the primary's of seen_epoch */
    uint64_t heard_ms;        /* L2: where the timer starts */
    uint64_t granted_ms;      /* L5: last grant to another primary; 0: none by this process */
    uint64_t member_since_ms; /* L5: when it learnt of its membership; 0: by the first
                                 configuration, or no member */
    uint64_t asked_ms;        /* when the manager was last asked who we are */
    uint64_t stepped_ms;      /* the last event */
    uint64_t awake_since_ms;  /* events came without a long gap since then */
    /* As the primary. */
    uint64_t barrier_index;   /* R6: own no-op; 0: does not lead */
    uint64_t promoted_epoch;  /* of the promotion: acknowledgements from there on count */
    uint64_t promoted_ms;     /* S1: boot time of the promotion */
    uint64_t promoted_log_ms; /* S1: log time at the promotion */
    uint32_t follower_count;
    struct replica_follower followers[REPLICA_FOLLOWERS_LIMIT];
    struct replica_member yields_to; /* a switch was begun: answers no more; store 0: no */
    uint64_t yield_after_ms;         /* then it is proposed even if entries are uncommitted */
    bool hosts_read;              /* C6: hosts may still read what was granted before the switch */
    struct replica_member wished; /* to be proposed as a learner; store 0: none */
    uint64_t wished_until_ms;     /* the manager repeats what it wishes still */
    /* R11: what is wanted of the manager; proposed again until an epoch above is heard. */
    bool proposing;
    struct replica_configuration proposal;
    uint64_t propose_after_ms; /* not before */
};

/* What the durable state of this store says about the partition. */
struct replica_recovered {
    uint64_t history;
    uint64_t seen_epoch;
    struct replica_position last; /* of the log; all of it is synced (W1) */
    uint64_t applied_index;       /* applied entries were committed (R5) */
    uint64_t base_index;          /* what follows it can be read back; at most applied_index */
    uint64_t last_log_ms;
    uint64_t install;
    bool installing;       /* cut short by a crash: the copy holds nothing */
    bool damaged;          /* R13: part of log or store is lost */
    bool had_earlier_life; /* the store has been started before */
};

/* What the manager wants done, asked of the primary (R11). */
enum replica_wish_kind {
    REPLICA_WISH_LEARNER = 1, /* let `subject` begin to catch up */
    REPLICA_WISH_REMOVE,      /* drop `subject`, a member or a learner */
    REPLICA_WISH_SWITCH,      /* make `subject`, a member, the primary */
};

enum replica_ack_outcome {
    REPLICA_ACK_OK = 0,
    REPLICA_ACK_MISMATCH = 1, /* the predecessor is not in the log: what is committed is told */
    REPLICA_ACK_REFUSED = 2,  /* of an epoch that is over, or of another primary (R2) */
    REPLICA_ACK_BUSY = 3,     /* not now: the log has no room at this moment */
};

/* A follower's answer to an Append. */
struct replica_ack {
    struct replica_member from;
    uint64_t history, epoch; /* of the follower; epoch: the highest it has seen */
    uint64_t matched_index;  /* synced and matched in this epoch (R4) */
    uint64_t commit_index;   /* known to be committed there */
    uint64_t install;
    bool installing;
    enum replica_ack_outcome outcome;
};

struct replica_append {
    struct replica_member from;
    uint64_t history, epoch;
    struct replica_position previous; /* R4; epoch 0: the sender has it no more in memory, which is
                                         fine where the receiver knows it to be committed */
    uint64_t commit_index;
    uint32_t count;
    const uint64_t *epochs; /* [count], of the entries; they do not fall and end at most at epoch */
};

enum replica_event_kind {
    REPLICA_EVENT_CONFIGURATION, /* the manager's word on this partition */
    REPLICA_EVENT_SYNCED,        /* the local log is durable up to `index` */
    REPLICA_EVENT_EPOCH_SYNCED,  /* the record of `epoch` is durable (R2) */
    REPLICA_EVENT_TICK,          /* time passes */
    REPLICA_EVENT_APPEND,        /* from a primary */
    REPLICA_EVENT_ACK,           /* a follower's answer */
    REPLICA_EVENT_LOST,          /* what was sent to `member` since its last answer may be lost */
    REPLICA_EVENT_BEACON,        /* from a primary */
    REPLICA_EVENT_LEASE,         /* `member` answered a beacon and did not refuse this pair (L1) */
    REPLICA_EVENT_WISH,
    REPLICA_EVENT_DAMAGED,            /* R13: log or store of this copy turned out to be damaged */
    REPLICA_EVENT_INSTALL,            /* `member`, a primary, begins to install a snapshot here */
    REPLICA_EVENT_INSTALLED,          /* it is complete and durable */
    REPLICA_EVENT_FOLLOWER_INSTALLED, /* `member` says that it installed our snapshot up to
                                         `position` */
    REPLICA_EVENT_HOSTS_ENDED,        /* C6: no host reads values any more that were granted before
                                         update.end_hosts */
};

struct replica_event {
    enum replica_event_kind kind;
    uint64_t now_ms;                                   /* CLOCK_BOOTTIME, read fresh (L3) */
    const struct replica_configuration *configuration; /* CONFIGURATION */
    uint64_t index;                                    /* SYNCED */
    uint64_t history, epoch;             /* EPOCH_SYNCED, BEACON, INSTALL, INSTALLED */
    const struct replica_append *append; /* APPEND */
    const struct replica_ack *ack;       /* ACK */
    struct replica_member
        member;       /* LOST, BEACON, LEASE, WISH (its subject), INSTALL, FOLLOWER_INSTALLED */
    bool echoed;      /* BEACON: it echoed a recent answer of this server's (L2) */
    uint64_t sent_ms; /* LEASE: before the beacon left; own clock */
    enum replica_wish_kind wish;
    uint64_t wish_epoch;              /* WISH: of the configuration that it is about */
    uint64_t install;                 /* INSTALL, INSTALLED, FOLLOWER_INSTALLED */
    struct replica_position position; /* INSTALL: what the snapshot stands for; INSTALLED,
                                         FOLLOWER_INSTALLED */
    uint64_t log_time_ms;             /* INSTALLED */
};

/* What the driver has to do, in this order. */
struct replica_update {
    bool persist_epoch; /* append an EPOCH record of (history, epoch); report EPOCH_SYNCED */
    uint64_t history, epoch;
    /* APPEND: what to answer. OK: drop the log from `truncate_index` on (0: nothing; void the
     * durability reports of what was there), append the run's entries but the first `skip`, calling
     * replica_follow for each, and answer with replica_ack once all of it is synced. Otherwise
     * answer replica_ack's content at once, but not before what this step persists. */
    bool accepted;
    enum replica_ack_outcome outcome;
    uint64_t truncate_index;
    uint32_t skip;
    bool append_noop; /* append a no-op entry: replica_append gives its position */
    bool granted;     /* BEACON: answer without refusing the pair; INSTALL: take the snapshot */
    bool held;        /* INSTALL: not granted, for the copy holds all of it: answer as installed */
    bool propose;     /* send `proposal` to the manager, expecting the epoch below it (R11) */
    struct replica_configuration proposal;
    bool ask_manager; /* ask the manager at once for the map: an epoch is known, or nothing heard */
    uint64_t commit_index; /* apply everything up to here (R12) */
    bool role_changed;
    bool must_send; /* followers have something to be sent, or may have again */
    bool end_hosts; /* C6: it hands over: nothing granted to hosts before may be read any more; to
                       be reported with HOSTS_ENDED */
};

/* Starts from durable state, following nobody. */
void replica_init(struct replica *replica, uint32_t partition, const struct replica_member *self,
                  const struct replica_times *times, const struct replica_log *log,
                  const struct replica_recovered *recovered, uint64_t now_ms);

/* Takes one event and fills the whole of `update`. */
void replica_step(struct replica *replica, const struct replica_event *event,
                  struct replica_update *update);

/* --- the primary's side ---------------------------------------------------------------------- */

/* May new entries be appended for clients: it leads, and no switch was begun. */
bool replica_accepts(const struct replica *replica);
/* The position and log time that an entry appended at `now_ms` gets. Only while it leads (CHECK).
 */
void replica_next(const struct replica *replica, uint64_t now_ms, struct replica_position *position,
                  uint64_t *log_time_ms);
/* Takes that position for an entry, which the driver has in its log now. */
void replica_append(struct replica *replica, uint64_t now_ms, struct replica_position *position,
                    uint64_t *log_time_ms);

/* May this process answer for the partition at `now_ms`, a clock read after the value was read: it
 * leads, its no-op is committed and the leases of all counted copies hold (L1, L4, R6). */
bool replica_serves(const struct replica *replica, uint64_t now_ms);

/* The earliest end of a lease of another counted copy; UINT64_MAX if there is none (L4). What hosts
 * are granted ends no later (C5). */
uint64_t replica_peers_until_ms(const struct replica *replica);

/* R2: whether Appends and beacons of the configuration's epoch may leave. */
bool replica_may_send(const struct replica *replica);
/* Whether follower `i` is to be sent something now: entries from next_index on, a probe (nothing,
 * behind the last entry) or, with `idle`, only a commit index that it was not told. False in
 * INSTALL mode. An Append's `previous` is the entry before next_index. */
bool replica_wants_append(const struct replica *replica, uint32_t i, bool idle, uint64_t now_ms);
/* Notes that an Append with the entries next_index..last_index (last_index = next_index - 1: none)
 * and the present commit index is on its way to follower `i`. */
void replica_sent(struct replica *replica, uint32_t i, uint64_t last_index, uint64_t now_ms);
/* The follower with this server and store, or NULL. */
struct replica_follower *replica_find_follower(struct replica *replica,
                                               const struct replica_member *member);

/* --- the follower's side --------------------------------------------------------------------- */

/* Notes an entry of an accepted Append that the driver has in its log now; in order, without gaps
 * (CHECK). Entries that it has no room for it just does not note. */
void replica_follow(struct replica *replica, const struct replica_position *position,
                    uint64_t log_time_ms);
/* What to answer to an Append now; `outcome` from the update, BUSY if not all was taken. */
void replica_ack(const struct replica *replica, enum replica_ack_outcome outcome,
                 struct replica_ack *ack);

/* --- both --------------------------------------------------------------------------------------
 */

/* The driver can read back only what follows `index` from now on (the log was cut). */
void replica_set_base(struct replica *replica, uint64_t index);
/* The partition's log time now (S1): the acting primary's view of it. */
uint64_t replica_log_time_ms(const struct replica *replica, uint64_t now_ms);
/* The same server and store; incarnations are not compared. */
bool replica_same_copy(const struct replica_member *left, const struct replica_member *right);
/* The same process: incarnations too. */
bool replica_same_process(const struct replica_member *left, const struct replica_member *right);
bool replica_is_member(const struct replica_configuration *configuration,
                       const struct replica_member *copy);
bool replica_is_learner(const struct replica_configuration *configuration,
                        const struct replica_member *copy);

const char *replica_role_name(enum replica_role role);

#endif
