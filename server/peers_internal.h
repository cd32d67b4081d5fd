/* What the files of the peers share: one struct for each other server, and what runs towards it.
 *
 * Nothing here acts from a callback: callbacks only note what happened, and peers_end_turn, once a
 * turn of the loop, lets every stream do what is due. Who wants to be looked at later says when
 * with peers_wake_at. */
#ifndef CAIRN_SERVER_PEERS_INTERNAL_H
#define CAIRN_SERVER_PEERS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/backoff.h"
#include "rpc/client.h"
#include "server/catch_up.h"
#include "server/exchange.h"
#include "server/peers.h"
#include "server/snapshot.h"

enum { PEER_SNAPSHOTS_LIMIT = 2 }; /* under way to one server at the same time */

/* Beacons and snapshots have connections of their own: neither shall wait behind Appends, nor
 * Appends behind a snapshot. */
enum peer_channel { PEER_APPENDS, PEER_BEACONS, PEER_SNAPSHOTS, PEER_CHANNELS };

/* Appends under way, whether from memory or from the log on disk. */
struct append_stream {
    uint32_t calls;
    uint64_t bytes;
    uint64_t retry_ms; /* nothing is sent before: the server does not answer */
    struct backoff backoff;
    uint64_t idle_due_ms; /* when commit indexes alone are worth a message; 0: no news */
};

struct beacon_stream {
    uint32_t calls;
    uint64_t due_ms;       /* of the next regular one */
    bool urgent;           /* a partition does not serve for want of this server's lease */
    uint64_t urgent_ms;    /* no urgent one before */
    uint64_t urgent_every; /* ms; doubles while nothing comes of it */
};

/* A pass over the log on disk, and its Appends in flight. */
struct catch_up_stream {
    struct catch_up *pass; /* NULL: none */
    bool reading;          /* a thread of the pool has it */
    bool failed;           /* to be closed when it is not reading */
    uint32_t calls;
    uint64_t retry_ms;
    uv_work_t work;
    int status;
    struct error error;
};

enum snapshot_state { SNAPSHOT_NONE, SNAPSHOT_READING, SNAPSHOT_DUE, SNAPSHOT_CALLING };

struct snapshot_stream {
    struct peer *peer;
    enum snapshot_state state;
    struct snapshot_sender *sender;
    uint64_t due_ms; /* DUE: not before */
    struct backoff backoff;
    uv_work_t work;
    int status;
    struct error error;
};

struct peer {
    struct peers *peers;
    TAILQ_ENTRY(peer) entry;
    uint32_t server;
    struct address address;
    bool retired;        /* it has another address now, or everything ends */
    bool active;         /* this process leads a partition of which it has a copy */
    bool installs;       /* a copy there waits for a snapshot */
    bool behind;         /* a copy there lacks what only the log on disk has */
    uint64_t heard_ms;   /* when it last answered a beacon or a piece; 0: never */
    uint32_t references; /* connections and work under way: freed when there is none */
    struct rpc_client *channels[PEER_CHANNELS]; /* NULL: not opened yet */
    struct append_stream append;
    struct beacon_stream beacon;
    struct catch_up_stream catch_up;
    struct snapshot_stream snapshots[PEER_SNAPSHOTS_LIMIT];
};

/* An Append that was taken and is answered once durable. */
struct waiting_append {
    TAILQ_ENTRY(waiting_append) entry;
    struct rpc_call *call;
    struct append_taken taken;
};

struct peers {
    uv_loop_t *loop;
    struct node *node;
    struct peers_options options;
    TAILQ_HEAD(, peer) list;
    struct peer *by_server[CAIRN_SERVERS_LIMIT]; /* those that are not retired */
    uint64_t map_version;                        /* that the list was made from */
    uv_timer_t timer;                            /* only ends the loop's sleep */
    uint64_t wake_ms;                            /* when it fires; UINT64_MAX: not armed */
    uint64_t look_ms;                            /* when the partitions are looked through again */
    struct random random;
    struct append_builder builder;
    beacon_pair *pairs;                               /* [CAIRN_PARTITIONS_LIMIT], scratch */
    TAILQ_HEAD(waiting_list, waiting_append) waiting; /* by LSN */
    uint64_t complained_ms;
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

/* --- peers.c --- */

/* The loop does not sleep beyond `due_ms`. */
void peers_wake_at(struct peers *peers, uint64_t due_ms);
/* rpc_client_call on one of the server's connections, opening it. `*client` is the connection, to
 * be compared only. */
int peers_call(struct peer *peer, enum peer_channel channel, uint32_t procedure, const void *args,
               uint64_t timeout_ms, rpc_done done, void *context, struct rpc_client **client);
/* A call on `client` ran out of time although it is connected: what left of it may be stuck in the
 * network for long, so the next call gets a new connection. */
void peers_timed_out(struct peer *peer, enum peer_channel channel, const struct rpc_client *client);
void peers_release(struct peer *peer);

/* --- what runs towards a server, each looked at once a turn --- */

void append_stream_init(struct append_stream *stream);
void append_stream_run(struct peer *peer, uint64_t now_ms);
/* Sends what the builder holds; false if it could not be sent, which the core has been told. */
bool append_stream_send(struct peer *peer, bool catching_up, uint64_t now_ms);
/* The server answers: what was held back may go. */
void append_stream_retry(struct peer *peer);
/* Commit indexes may have moved. */
void append_stream_news(struct peer *peer, uint64_t now_ms);

void beacon_stream_run(struct peer *peer, uint64_t now_ms);

void catch_up_stream_run(struct peer *peer, uint64_t now_ms);
void catch_up_stream_answered(struct peer *peer, bool arrived);
void catch_up_stream_close(struct peer *peer);

void snapshot_streams_init(struct peer *peer);
void snapshot_streams_run(struct peer *peer, uint64_t now_ms);
void snapshot_streams_close(struct peer *peer);

/* --- peers_service.c --- */

/* Answers what still waits, with an error. */
void peers_drop_waiting(struct peers *peers);

#endif
