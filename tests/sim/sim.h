/* The simulator: a whole cluster in one process, decided by one seed.
 *
 * What is real: the replication core (replica/), the manager's membership with its journal's
 * records, what entries do to keys and sessions (server/apply.c and below), and the hosts' caches:
 * the servers' leases (server/lease.c), the shared segment (client/cache.c), the agent's sessions
 * (client/host_session.c). What is modelled: network, disks, clocks, processes, and the drivers
 * that bind the cores to them (host_*.c, agent.c, read.c), which follow the same rules as server/
 * and client/. Same seed, same events, same trace.
 *
 * A `host` here is a server's process; what clients share a cache on is a `machine`. */
#ifndef CAIRN_TESTS_SIM_SIM_H
#define CAIRN_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "base/rules.h"
#include "fuzz/history.h"
#include "manager/membership.h"
#include "replica/link.h"
#include "replica/replica.h"
#include "server/lease.h"
#include "server/store.h"
#include "tests/sim/arena.h"
#include "tests/sim/machine.h"

enum {
    SIM_SERVERS = 5,
    SIM_PARTITIONS = 4,
    SIM_CLIENTS = 4,
    SIM_MANAGER = SIM_SERVERS, /* node numbers: servers, the manager, clients */
    SIM_FIRST_CLIENT = SIM_SERVERS + 1,
    SIM_FIRST_MACHINE = SIM_FIRST_CLIENT + SIM_CLIENTS, /* and the agents of machines */
    SIM_NODES = SIM_FIRST_MACHINE + SIM_MACHINES,
    SIM_KEYS = 12,      /* per partition: key = partition * SIM_KEYS + k */
    SIM_EXPIRING = 10,  /* keys k from here on are written with a time to live */
    SIM_APPEND_MAX = 4, /* entries in one Append */
    SIM_CALLS_MAX = 16, /* Appends in flight of one partition */
    SIM_WINDOW = 4,     /* of these to one follower */
    SIM_OPERATIONS = 4096,
};

#define MS UINT64_C(1000) /* true time runs in microseconds */

/* --- what travels --------------------------------------------------------------------------- */

/* One log entry, immutable once made; shared by all copies of it. */
struct sim_entry {
    uint64_t id; /* of the making: two entries are the same if this is */
    uint64_t history, epoch, index, previous_epoch;
    uint64_t log_time_ms;
    enum command_kind kind;
    uint64_t client, number;
    uint32_t key;
    uint64_t value;
    bool conditional;
    uint64_t if_version, ttl_ms, cutoff_ms;
};

struct image_item {
    uint32_t key;
    uint64_t value, version, modified, expires_ms;
};

struct image_session {
    uint64_t client, number, used_ms, version, old_value;
    enum outcome_code code;
    bool existed, has_old_value;
};

/* A partition's applied state as checkpoints and snapshots hold it (W5). */
struct image {
    struct store_position position;
    uint32_t item_count, session_count;
    struct image_item *items;
    struct image_session *sessions;
};

enum message_kind {
    MESSAGE_APPEND,
    MESSAGE_ACK,
    MESSAGE_BEACON,
    MESSAGE_BEACON_ANSWER,
    MESSAGE_SNAPSHOT,
    MESSAGE_SNAPSHOT_ANSWER,
    MESSAGE_REGISTER,
    MESSAGE_REGISTERED,
    MESSAGE_HEARTBEAT,
    MESSAGE_HEARTBEAT_ANSWER,
    MESSAGE_PROPOSE,
    MESSAGE_PROPOSED,
    MESSAGE_GET_MAP,
    MESSAGE_MAP,
    MESSAGE_REQUEST,
    MESSAGE_REPLY,
    MESSAGE_HOST_CALL,
    MESSAGE_HOST_ANSWER,
    MESSAGE_KINDS,
};

struct beacon_pair_of {
    uint32_t partition;
    uint64_t history, epoch;
    bool refused;
};

struct sim_beacon {
    uint64_t number, echo, lease_ms;
    uint32_t count;
    struct beacon_pair_of pairs[SIM_PARTITIONS];
};

enum reply_status {
    REPLY_OK,
    REPLY_NOT_FOUND,
    REPLY_MISMATCH,
    REPLY_NOT_PRIMARY, /* not applied */
    REPLY_UNKNOWN,
    REPLY_STALE,
};

struct sim_request {
    enum operation_kind kind;
    uint32_t key;
    uint64_t client, number, value, if_version, ttl_ms;
    uint64_t cache_session; /* GET: under which it would be cached; 0: not */
};

struct sim_reply {
    enum reply_status status;
    uint32_t key;
    bool existed;
    uint64_t version, value;
    uint64_t index;         /* of the log, for the invariants */
    uint64_t modified;      /* GET: index of the entry that wrote the value */
    uint64_t floor;         /* for the invariants: what an entry below it wrote is of the past */
    uint64_t granted;       /* GET: session that may cache the value; 0: none */
    uint64_t expires_in_ms; /* GET: 0: never */
    bool cached;            /* came from the machine's cache */
    uint32_t hint_server;   /* NOT_PRIMARY: who leads, as this server knows */
    uint64_t hint_epoch;
};

struct sim_wish {
    uint32_t partition;
    uint64_t epoch;
    enum replica_wish_kind kind;
    struct replica_member subject;
};

/* Immutable once sent; delivered as often as the network likes. */
struct message {
    enum message_kind kind;
    uint32_t from, to; /* nodes */
    uint64_t to_store; /* servers: the store it is meant for */
    struct replica_member sender;
    uint64_t call; /* of the request; its answer carries it */
    uint32_t partition;
    union {
        struct {
            uint64_t history, epoch;
            struct replica_position previous;
            uint64_t commit_index;
            uint32_t count;
            struct sim_entry *entries[SIM_APPEND_MAX];
        } append;
        struct replica_ack ack;
        struct sim_beacon beacon; /* and its answer */
        struct {
            uint64_t history, epoch, install;
            uint32_t piece, pieces;
            const struct image *image;
        } snapshot;
        struct {
            uint64_t install;
            uint32_t next_piece;
            bool refused, installed;
        } snapshot_answer;
        struct {
            uint64_t cluster, map_version;
            bool replace_store;
            uint32_t count; /* heartbeat: of what follows */
            struct heartbeat_partition partitions[SIM_PARTITIONS];
            struct heartbeat_log logs[SIM_PARTITIONS];
        } report; /* REGISTER, HEARTBEAT, GET_MAP */
        struct {
            enum manager_status status;
            uint64_t cluster, map_version;
            const uint8_t *map; /* NULL: none */
            size_t map_length;
            uint32_t wish_count;
            struct sim_wish wishes[2 * SIM_PARTITIONS];
        } told; /* REGISTERED, HEARTBEAT_ANSWER, MAP */
        struct {
            enum manager_status status;
            struct configuration configuration; /* proposed; or in force */
            bool known;
        } proposal;
        struct sim_request request;
        struct sim_reply reply;
        struct sim_host_call host_call;
        struct sim_host_answer host_answer;
    };
};

/* --- time ----------------------------------------------------------------------------------- */

enum event_kind {
    EVENT_MESSAGE,
    EVENT_TICK,
    EVENT_BEACON,
    EVENT_HEARTBEAT,
    EVENT_SYNCED,
    EVENT_CHECKPOINTED,
    EVENT_INSTALL_STEP,
    EVENT_REPLY,
    EVENT_LEASE_RECORDED,
    EVENT_LEASE_BROKEN,
    EVENT_AGENT,
    EVENT_READ,
    EVENT_START,
    EVENT_CLIENT,
    EVENT_FAULT,
    EVENT_PHASE,
    EVENT_SCRIPT,
};

struct event {
    uint64_t at_us, sequence;
    enum event_kind kind;
    uint32_t node;
    uint64_t generation; /* of the process that it is for; others get nothing */
    uint64_t number;
    const void *data;
};

struct queue {
    struct event *heap;
    size_t count, capacity;
    uint64_t sequence;
};

/* --- servers -------------------------------------------------------------------------------- */

struct wal_item {
    uint32_t kind; /* enum log_kind */
    uint32_t partition;
    struct sim_entry *entry;
    uint64_t history, epoch, install;
    uint64_t lsn;
};

/* What a server's disk holds: it survives the process. */
struct disk_of {
    uint64_t store, incarnation, cluster;
    struct wal_item *items;
    size_t count, capacity;
    uint64_t last_lsn, synced_lsn;
    struct image images[SIM_PARTITIONS]; /* in LMDB */
    uint64_t told_epoch[SIM_PARTITIONS]; /* for the invariants: highest that ever left (R2) */
    bool damaged[SIM_PARTITIONS];        /* R13: noted durably until the next install */
    uint64_t longest_ms;                 /* C7: of the leases that hosts were given */
};

struct slot {
    struct sim_entry *entry;
    uint64_t lsn;
    struct entry *pending; /* proposed by this process and not applied; or NULL */
};

struct waiter_of {
    struct waiter_of *next;
    uint64_t index;
    const struct message *request;
};

struct call_of {
    uint64_t call; /* 0: free */
    uint32_t server;
    uint64_t deadline_us;
    struct replica_member member;
};

/* A snapshot on its way to a follower. */
struct sender_of {
    bool open;
    struct replica_member member;
    uint64_t install, epoch, call, deadline_us;
    uint32_t piece, pieces, tries;
    const struct image *image;
};

enum receiver_state { RECEIVER_NONE, RECEIVER_MARKING, RECEIVER_READY, RECEIVER_ENDING };

struct receiver_of {
    enum receiver_state state;
    struct replica_member from;
    uint64_t history, epoch, install, reset_lsn;
    uint32_t next_piece, pieces;
    const struct image *image;
};

struct part {
    struct replica replica;
    uint32_t number;
    struct host *host;
    uint64_t base, base_epoch; /* what the log begins behind */
    struct slot *slots;
    uint32_t count, capacity;
    struct waiter_of *waiters;
    struct call_of calls[SIM_CALLS_MAX];
    struct sender_of senders[SIM_SERVERS];
    struct receiver_of receiver;
    uint64_t tick_index;     /* newest no-op for S2; 0: none */
    uint64_t heard_ms;       /* L2: the last beacon that was granted and echoed an answer */
    uint64_t switched_epoch; /* a switch was proposed in this epoch: no more answers in it */
    bool led;
    bool ending; /* C6: hosts' sessions end, as `ticket` tells */
    uint64_t ticket;
    bool serving_said;
};

struct ack_of {
    struct ack_of *next;
    uint64_t lsn;
    uint32_t partition;
    const struct message *request;
    enum replica_ack_outcome outcome;
};

/* A LISTEN or RENEW that is not answered yet. */
struct lease_call {
    struct lease_call *next;
    const struct message *message;
    uint64_t arrived_ms;
};

/* By which connection a session's agent was last heard. */
struct heard_of {
    uint64_t connection, session;
};

enum { SIM_BROKEN_KEPT = 16, SIM_HEARD_KEPT = 16 };

struct host {
    struct sim *sim;
    uint32_t node;
    bool up, mounted, replace_store, draining;
    uint64_t generation;
    uint64_t paused_until_us;
    uint64_t slow_until_us;
    double rate;
    uint64_t offset_us;
    struct disk_of *disk, *unmounted; /* the real one, while another is in its place */
    /* The process; void while it is down. */
    struct replica_member self;
    struct part parts[SIM_PARTITIONS];
    struct store *store;
    struct link links[SIM_SERVERS];
    struct sim_beacon sent[SIM_SERVERS][LINK_BEACONS_KEPT];
    uint64_t stores[SIM_SERVERS]; /* as the newest map says */
    uint64_t map_version;
    bool registered, syncing, checkpointing;
    uint64_t reported_lsn;
    struct image *frozen; /* [SIM_PARTITIONS], of the checkpoint under way */
    uint64_t frozen_lsn;
    struct ack_of *acks, **acks_end;
    uint64_t next_call;
    /* Hosts' leases. */
    struct lease *lease;
    bool recording;
    uint64_t peers_until_ms, peers_known_ms, counted_sum; /* C5, as last looked at */
    uint64_t first_connection; /* earlier ones were an earlier process's */
    struct lease_call *lease_calls;
    uint64_t broken[SIM_BROKEN_KEPT]; /* connections */
    uint32_t broken_next;
    struct heard_of heard[SIM_HEARD_KEPT];
    uint32_t heard_next;
};

/* --- the manager and clients ---------------------------------------------------------------- */

struct journal_item {
    uint16_t kind;
    const uint8_t *payload;
    size_t length;
};

struct manager_answer {
    struct manager_answer *next;
    uint64_t lsn;
    struct message *message;
};

struct manager_host {
    bool up, syncing;
    uint64_t generation, paused_until_us;
    double rate;
    uint64_t offset_us;
    struct journal_item *items; /* lsn - 1 is the index */
    size_t count, capacity;
    uint64_t synced;
    struct membership *membership;
    struct manager_answer *answers, **answers_end;
};

/* Steps of a GET, between any two of which the process may be stopped. */
enum read_step {
    READ_COPY,   /* the entry is copied */
    READ_CHECK,  /* C1: compared */
    READ_CLOCK,  /* C1: the clock is read */
    READ_RETURN, /* a hit */
    READ_NOTE,   /* a miss: what is current is noted */
    READ_SEND,   /* the GET leaves */
    READ_FILL,   /* its answer is inserted */
    READ_STEPS,
};

/* A fill on its way: the process may have gone on to other operations. */
struct fill {
    struct segment *segment;
    uint64_t life;
    struct cache_note note;
    uint32_t key;
    uint64_t value, modified, version, expires_ms;
};

struct client {
    uint32_t node;
    uint64_t generation;
    uint64_t id, number; /* session */
    uint32_t left;       /* operations still to begin */
    bool busy, scripted;
    struct sim_request request;
    uint32_t partition;
    uint64_t call;
    size_t record; /* of the operation under way, in the history */
    uint64_t attempts;
    uint64_t map_version;
    uint32_t leader[SIM_PARTITIONS]; /* where to ask; SIM_SERVERS: unknown */
    uint64_t leader_epoch[SIM_PARTITIONS];
    uint64_t versions[SIM_PARTITIONS * SIM_KEYS]; /* as last told */
    struct sim_reply last_reply;
    /* The machine's cache, and a GET's way through it. */
    uint32_t machine; /* SIM_MACHINES: on none, without a cache */
    uint32_t segment; /* that the process is attached to */
    uint32_t server;  /* that the GET goes to */
    struct cache_note note;
    uint64_t noted_ms;
    struct cache_copy *copy;
    uint64_t until_ms;
    uint64_t stop_us[READ_STEPS]; /* scenarios: how long it stops before the step, once */
};

/* --- what is drawn, what is counted, what must hold --------------------------------------------
 */

enum fault_kind {
    FAULT_CRASH,
    FAULT_CRASH_TWO,
    FAULT_CRASH_MANAGER,
    FAULT_PAUSE,
    FAULT_LONG_PAUSE,
    FAULT_PAUSE_MANAGER,
    FAULT_CUT_ONE_WAY,
    FAULT_CUT,
    FAULT_ISOLATE,
    FAULT_SLOW_DISK,
    FAULT_WIPE,
    FAULT_UNMOUNT,
    FAULT_DAMAGE,
    FAULT_SWITCH,
    FAULT_DRAIN,
    FAULT_CHECKPOINT,
    FAULT_CUT_LOG,
    FAULT_CLIENT_RESTART,
    FAULT_AGENT_KILL,
    FAULT_AGENT_LEAVE,
    FAULT_AGENT_PAUSE,
    FAULT_MACHINE_PAUSE,
    FAULT_CONNECTION,
    FAULT_SEGMENT,
    FAULT_KINDS,
};

struct counters_of {
    uint64_t seeds, operations, events, simulated_us;
    uint64_t faults[FAULT_KINDS];
    uint64_t lost, duplicated, late;
    uint64_t commits, promotions, takeovers, installs, truncations, torn, proposals, removals;
    uint64_t lost_partitions, serving_waits;
    uint64_t hits, misses, fills, fills_refused, granted, held, invalidations, lapses, agents;
    uint64_t deaths; /* of processes in the middle of a change to the segment */
};

struct plan {
    uint32_t servers, partitions, replicas, clients, keys;
    uint64_t quiet_us, faults_until_us, give_up_us;
    uint64_t fault_gap_us;
    uint32_t weights[FAULT_KINDS];
    double loss, duplicate, late, busy;
    uint64_t reads_percent, expiring_percent;
    uint64_t delay_us, late_us;
    uint64_t sync_us;
    uint64_t think_us;
    uint32_t operations;
    uint64_t lease_ms, grace_ms, replace_after_ms;
    uint32_t machines; /* 0: no caches */
    double stop, die;  /* at a step: stands still for a while; is killed within it */
    uint64_t stop_us;
    bool crowded;   /* no slot of a cache is free at first: a key gets in with its second miss */
    bool strained;  /* faults aim at the caches: at renewals, at invalidations, at who leads */
    bool undecided; /* cuts wait for a proposal: who made it does not hear of its end (R11) */
    bool drifting;  /* clocks run as fast or as slowly as they may, and nothing between */
    bool scripted;
};

struct fact {
    uint64_t epoch, id; /* id 0: not committed yet */
};

/* What clients may still be told of a key. */
struct key_facts {
    uint64_t floor; /* log index: a value written below it was replaced, and somebody was told so */
};

struct facts {
    struct fact *committed; /* by index */
    size_t capacity;
    uint64_t acknowledged; /* highest index that a client was told of */
    uint64_t newest_epoch; /* that the manager told */
    uint32_t serving;      /* the last server seen serving; for the trace */
    bool lost;             /* R9: no store of its members exists any more */
};

struct match {
    uint64_t key, id, previous_epoch;
};

struct script;

struct sim {
    uint64_t seed;
    struct random random;
    struct arena arena;
    struct plan plan;
    struct queue queue;
    uint64_t now_us, next_id, next_store;
    uint64_t cut_until_us[SIM_NODES][SIM_NODES];       /* from, to */
    uint64_t block_until_us[SIM_NODES][MESSAGE_KINDS]; /* to a node: scenarios */
    uint64_t hold_until_us[SIM_NODES][MESSAGE_KINDS];
    struct host hosts[SIM_SERVERS];
    struct manager_host manager;
    struct client clients[SIM_CLIENTS];
    struct machine machines[SIM_MACHINES];
    void *segments;     /* memory of all of them, kept from run to run */
    uint32_t die_after; /* steps of a change until the process is killed; 0: it is not */
    struct facts facts[SIM_PARTITIONS];
    struct key_facts keys[SIM_PARTITIONS * SIM_KEYS];
    struct match *matches; /* (partition, epoch, index) to entry; open addressing */
    size_t match_count, match_capacity;
    struct operation *history;
    size_t history_count;
    struct counters_of counters;
    struct script *script; /* of a scenario; its owner outlives the run */
    bool cuts_proposer;    /* a fault that waits for its moment */
    bool healing, done, tracing, trace_messages, failed;
    char violation[512];
};

/* A violation: the run ends; the first one counts. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace_line(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define TRACE(sim, ...) ((sim)->tracing ? sim_trace_line((sim), __VA_ARGS__) : (void)0)
/* Text for traces: "server 2", "manager", "client 0"; static storage, several at a time. */
const char *sim_node_name(uint32_t node);

/* --- engine.c --- */
void sim_init(struct sim *sim, uint64_t seed, bool tracing);
/* Frees what a run holds but what the next one can use. */
void sim_free(struct sim *sim);
/* Frees that, too, and `sim`. */
void sim_close(struct sim *sim);
/* Runs to the end; false if something was violated. */
bool sim_run(struct sim *sim);
void sim_schedule(struct sim *sim, uint64_t after_us, enum event_kind kind, uint32_t node,
                  uint64_t generation, uint64_t number, const void *data);
uint64_t sim_below(struct sim *sim, uint64_t bound);
bool sim_chance(struct sim *sim, double probability);
/* How fast a clock runs: within one percent (L3, C5). */
double sim_rate(struct sim *sim);

/* --- plan.c: what a seed decides before the run --- */
void plan_draw(struct sim *sim);
/* For scenarios: a quiet cluster. */
void plan_fixed(struct plan *plan);

/* --- queue.c --- */
void queue_push(struct queue *queue, const struct event *event);
bool queue_pop(struct queue *queue, struct event *event);
void queue_free(struct queue *queue);

/* --- network.c --- */
struct message *message_create(struct sim *sim, enum message_kind kind, uint32_t from, uint32_t to);
/* Gives it to the network; it is not changed any more. */
void network_send(struct sim *sim, const struct message *message);
void network_cut(struct sim *sim, uint32_t from, uint32_t to, uint64_t for_us);
void network_heal(struct sim *sim);
bool network_is_cut(const struct sim *sim, uint32_t from, uint32_t to);

/* --- host.c: processes --- */
uint64_t host_now_ms(const struct host *host);
void host_init(struct sim *sim, uint32_t node);
void host_start(struct host *host);
/* kill -9 and power loss at once: a part of what was not synced is lost. */
void host_crash(struct host *host);
void host_free(struct host *host);
void host_event(struct host *host, const struct event *event);
/* The disk is lost: a new, empty store, started with --replace-store. */
void host_wipe(struct host *host);
void host_unmount(struct host *host);
void host_mount(struct host *host);

/* --- host_recover.c --- */
void host_recover(struct host *host);

/* --- host_log.c: the log in memory and the WAL --- */
uint64_t host_wal_append(struct host *host, const struct wal_item *item);
void host_synced(struct host *host, uint64_t lsn);
struct slot *part_slot(struct part *part, uint64_t index); /* NULL: not there */
void part_push(struct part *part, struct sim_entry *entry, uint64_t lsn, struct entry *pending);
void part_truncate(struct part *part, uint64_t index);
void part_clear(struct part *part, uint64_t base, uint64_t base_epoch);
void part_cut(struct part *part, uint64_t base);
uint64_t part_epoch_at(const void *context, uint64_t index);
void host_cut_log(struct host *host, bool keep_for_followers);
void host_checkpoint(struct host *host);
void host_checkpointed(struct host *host);

/* --- host_core.c: events into the core, updates out of it --- */
/* One step, carried out. `message`: the Append or the snapshot's piece that it is about, or NULL.
 */
void part_step(struct part *part, struct replica_event *event, struct replica_update *update,
               const struct message *message);
void part_pump(struct part *part, bool idle);
struct sim_entry *part_propose(struct part *part, const struct sim_entry *command);
void part_set_configuration(struct part *part, const struct configuration *configuration);

/* --- host_peer.c: Appends, beacons and their answers --- */
void host_take_append(struct host *host, const struct message *message);
void host_take_ack(struct host *host, const struct message *message);
void host_send_beacons(struct host *host);
void host_take_beacon(struct host *host, const struct message *message);
void host_take_beacon_answer(struct host *host, const struct message *message);
void host_send_answers(struct host *host);
void part_expire_calls(struct part *part, bool all);
void part_send_append(struct part *part, uint32_t follower);

/* --- host_snapshot.c --- */
void part_drive_snapshots(struct part *part);
void part_begin_install(struct part *part, const struct message *message);
void host_take_snapshot(struct host *host, const struct message *message);
void host_take_snapshot_answer(struct host *host, const struct message *message);
void host_install_step(struct host *host, uint32_t partition);

/* --- host_manager.c: a server's calls to the manager --- */
void host_heartbeat(struct host *host);
void host_take_told(struct host *host, const struct message *message);
void host_take_proposed(struct host *host, const struct message *message);
void part_send_proposal(struct part *part, const struct replica_configuration *wanted);

/* --- host_request.c: clients' requests --- */
void host_take_request(struct host *host, const struct message *message);
void host_reply_leaves(struct host *host, const struct message *reply);
void part_answer_waiters(struct part *part, uint64_t index, const struct sim_entry *entry,
                         const struct outcome *outcome);
void part_abandon_waiters(struct part *part);

/* --- host_lease.c: what hosts may serve from their caches (C2, C3, C5, C6, C7) --- */
void host_lease_start(struct host *host);
void host_lease_free(struct host *host);
/* C7: nothing may be told before. */
bool host_is_quiet(const struct host *host);
void host_take_host_call(struct host *host, const struct message *message);
void host_lease_recorded(struct host *host);
void host_connection_broken(struct host *host, uint64_t connection);
void host_lease_tick(struct host *host);
/* Carries out what the lease core asks for; after every event. */
void host_lease_drain(struct host *host);
void part_write_begins(struct part *part, const struct sim_entry *entry);
void part_write_ends(struct part *part, const struct sim_entry *entry);
void part_end_hosts(struct part *part);
/* C5: it leads no more, so that no peer's lease bounds what it granted: no session of now is
 * renewed. */
void part_leads_no_more(struct part *part);
/* C2: whether the value may be cached under the session that the GET names; noted then. */
bool part_grants(struct part *part, const struct sim_request *request);
/* Whether a reply about the key has to wait; then it is sent when the bucket's revocation is over.
 */
bool host_holds_reply(struct host *host, uint32_t key, const struct message *reply);

/* --- machine.c --- */
void machine_init(struct sim *sim, uint32_t number);
uint64_t machine_now_ms(const struct machine *machine);
/* Lays out the segment that is not in use as the new current one; false if it is. `wipe`: the old
 * one's bytes are lost, too. */
bool machine_replace_segment(struct machine *machine, bool wipe);
void machine_pause(struct machine *machine, uint64_t for_us);
/* The segment that the client's process is attached to; NULL: none. */
struct segment *client_segment(struct sim *sim, const struct client *client);
bool machine_has_key(const struct machine *machine, uint32_t key);
/* C1: no value that was replaced, as somebody was told, is readable. */
void machine_check_key(struct machine *machine, uint32_t key);
void machine_check_keys(struct machine *machine);
void machines_told(struct sim *sim, uint32_t key, uint64_t floor);
/* NULL, or why the caches have not come to rest. */
const char *machine_progress(struct machine *machine);
/* How long a thread is stopped between two steps. */
uint64_t machine_step_us(struct sim *sim);
uint64_t key_hash(uint32_t key, uint8_t text[8], uint32_t *length);
/* Calls `act`; false if the process was killed in the middle of it. */
bool machine_risk(struct sim *sim, void (*act)(void *context), void *context);

/* --- agent.c --- */
void agent_elect(struct segment *segment, uint64_t after_us);
void agent_kill(struct segment *segment);
void agent_leave(struct segment *segment);
/* It stands still no more, and nothing waits for it. */
void agent_heal(struct agent *agent);
void agent_event(struct sim *sim, const struct event *event);
void agent_take_answer(struct machine *machine, const struct event *event);
/* A connection between machine and server breaks; each end sees it when its time has passed
 * (UINT64_MAX: never). */
void agent_break(struct segment *segment, uint32_t server, uint64_t agent_us, uint64_t server_us);
void agents_server_died(struct sim *sim, uint32_t server);

/* --- read.c: GETs by way of the machine's cache --- */
void read_begin(struct sim *sim, struct client *client);
void read_event(struct sim *sim, struct client *client, const struct event *event);
/* Notes what is current, and lets the GET leave after that. */
void read_ask(struct sim *sim, struct client *client, uint32_t server);
/* After the answer of a GET was taken: inserts it. False: there is nothing to insert. */
bool read_fill(struct sim *sim, struct client *client, const struct sim_reply *reply);
void client_finish_read(struct sim *sim, struct client *client, const struct sim_reply *reply);
void client_send(struct sim *sim, struct client *client, uint32_t server);
void client_next(struct sim *sim, struct client *client);
void client_ask(struct sim *sim, struct client *client);

/* --- state.c: applied state --- */
struct store *state_create(uint32_t partitions);
void state_free(struct store *store);
void state_clear(struct store *store, uint32_t partition);
void state_restore(struct store *store, uint32_t partition, const struct image *image);
void state_freeze(struct sim *sim, const struct store *store, uint32_t partition,
                  struct image *image);
/* As store_set_seen_epoch. */
void state_note_epoch(struct store *store, uint32_t partition, uint64_t history, uint64_t epoch);
bool image_equal(const struct image *left, const struct image *right);
struct entry *state_entry(uint32_t partition, const struct sim_entry *entry);
/* Values are numbers of eight bytes. */
uint64_t state_number(const uint8_t *bytes, uint32_t length);
uint32_t key_text(uint32_t key, uint8_t text[8]);

/* --- manager.c --- */
void manager_init(struct sim *sim);
void manager_start(struct sim *sim);
void manager_crash(struct sim *sim);
void manager_free(struct sim *sim);
void manager_event(struct sim *sim, const struct event *event);
const struct configuration *manager_configuration(const struct sim *sim, uint32_t partition);
/* The operator's calls; false if the manager is down or said no. */
bool manager_admin(struct sim *sim, enum admin_kind kind, uint32_t partition, uint32_t server);

/* --- client.c --- */
void client_init(struct sim *sim, uint32_t index);
void client_event(struct sim *sim, const struct event *event);
void client_restart(struct sim *sim, uint32_t index);
/* A scripted operation; one at a time. */
bool client_begin(struct sim *sim, uint32_t index, const struct sim_request *request);

/* --- faults.c --- */
extern const char *const fault_names[FAULT_KINDS];
void fault_event(struct sim *sim);
void fault_heal(struct sim *sim);
/* R11: a proposal was accepted; its answer is on its way. */
void fault_accepted(struct sim *sim, uint32_t proposer, const struct configuration *configuration);

/* --- invariants.c --- */
void invariant_entry(struct host *host, uint32_t partition, const struct sim_entry *entry);
void invariant_step(struct part *part, uint64_t commit_before);
void invariant_epoch_leaves(struct host *host, uint32_t partition, uint64_t epoch);
void invariant_proposal(struct part *part, const struct replica_configuration *wanted);
void invariant_answers(struct part *part);
void invariant_acknowledged(struct part *part, uint64_t index);
void invariant_recovered(struct host *host, uint32_t partition,
                         const struct replica_recovered *recovered);
void invariant_told(struct sim *sim, const struct configuration *configuration);
/* At the end: NULL if everything has come to rest as it shall, else what has not. */
const char *invariant_progress(struct sim *sim);
void invariant_end(struct sim *sim);

/* --- script.c --- */
int script_load(const char *path, struct script **script);
void script_free(struct script *script);
void script_begin(struct sim *sim, struct script *script);
void script_event(struct sim *sim, const struct event *event);
uint64_t script_seed(const struct script *script);
void script_plan(const struct script *script, struct plan *plan);

#endif
