/* One TCP connection: records in, bytes out, and the end of a loop turn at which bytes leave.
 *
 * Server and client share this. Each connection owns its descriptor and polls it itself: one read
 * per readiness into a buffer that all connections of one owner share, one send per turn. */
#ifndef CAIRN_RPC_CONNECTION_H
#define CAIRN_RPC_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "base/buffer.h"
#include "rpc/record.h"

enum {
    CONNECTION_READ_SIZE = 64 << 10,    /* of the shared input buffer */
    CONNECTION_FLUSH_SIZE = 256 << 10,  /* more unsent bytes do not wait for the turn's end */
    CONNECTION_OUTPUT_KEEP = 128 << 10, /* output memory kept while nothing is unsent */
    CONNECTION_AWAIT_MS = 20,           /* connection_await waits no longer */
};

struct connection;
TAILQ_HEAD(connection_list, connection);

/* The end of a loop turn. A prepare handle sends what was queued, right before the loop blocks. An
 * idle handle, active only while something is queued, keeps the loop from blocking if that was
 * queued too late for the prepare handle, and delivers records that were held back. */
struct turn {
    uv_prepare_t prepare;
    uv_idle_t idle;
    struct connection_list queue;
    uint64_t round; /* marks what a walk of the queue has seen */
    uint8_t *input; /* CONNECTION_READ_SIZE bytes that all connections of this turn read into */
    bool hold;      /* the loop must not block in its next iteration */
    unsigned open_handles;
    void (*closed)(struct turn *turn);
};

int turn_init(struct turn *turn, uv_loop_t *loop);
/* Callbacks of the user ran before the loop blocks (from a timer or an idle handle, not from a
 * descriptor): it must come around once without blocking, for those who wait in UV_RUN_ONCE for
 * what a callback does, or do their own work in check handles. */
void turn_hold(struct turn *turn);
/* `closed` is called from the loop when the handles are closed and the memory is freed. All
 * connections must have been freed before. */
void turn_close(struct turn *turn, void (*closed)(struct turn *turn));

struct connection_handler {
    /* A whole record; valid until it returns. May end the connection. */
    void (*record)(struct connection *connection, const struct record *record);
    /* Whether records must wait now; asked after each record. */
    bool (*paused)(struct connection *connection);
    /* After bytes arrived or left: memory and time limits may have changed. May be NULL. */
    void (*moved)(struct connection *connection);
    /* The connection is over, once: `code` is 0 when its owner ended it, CAIRN_EIO when the peer or
     * the network did (`system` is then an errno or 0), else what the peer did wrong. */
    void (*ended)(struct connection *connection, int code, int system);
    /* The handle is closed and the buffers are free: the owner may free the memory. */
    void (*freed)(struct connection *connection);
};

struct connection {
    uv_poll_t poll;
    int fd;     /* -1: none yet, or no longer */
    int events; /* that the descriptor is polled for */
    struct turn *turn;
    const struct connection_handler *handler;
    struct record_reader reader;
    struct buffer held;   /* input that waits because the connection is paused */
    struct buffer output; /* replies or calls as records */
    size_t output_sent;   /* of output, from its front */
    uint64_t total_sent;  /* bytes of the stream accepted by the kernel */
    TAILQ_ENTRY(connection) queue_entry;
    uint64_t round;
    bool queued;
    bool resuming;
    bool ended;
    bool may_wait;             /* the descriptor is a blocking one (connection_await) */
    bool blocked;              /* the kernel took less than all: waits until writable */
    int failed;                /* errno of a failed send, until what still can be read was read */
    uint64_t record_since_ms;  /* first bytes of an incomplete record, 0: none */
    uint64_t blocked_since_ms; /* last progress of a blocked output, 0: none */
};

/* Without a descriptor yet; output may be gathered. `output_limit` bounds it. */
void connection_init(struct connection *connection, struct turn *turn,
                     const struct connection_handler *handler, uint32_t record_limit,
                     size_t output_limit);
/* Takes a connected, non-blocking stream socket and begins to read; sets TCP_NODELAY. On failure
 * (CAIRN_EIO) the caller still owns `fd`. */
int connection_attach(struct connection *connection, uv_loop_t *loop, int fd);
/* Something was appended to output: it leaves at the end of the turn, or now if it is much. */
void connection_queue(struct connection *connection);
/* Sends what the kernel takes. */
void connection_flush(struct connection *connection);
/* Sends what is queued and waits, without the loop, until bytes come, and handles them. False when
 * none came: CONNECTION_AWAIT_MS passed, a signal arrived, the connection ended or is not in a
 * state to wait on; the loop finds out which. One call to the kernel where the loop needs two. Not
 * from within a callback. */
bool connection_await(struct connection *connection);
/* The pause may be over: held input is delivered and reading goes on, not from within this call. */
void connection_resume(struct connection *connection);
/* Frees memory that is kept for speed only. Not from within `record`. */
void connection_trim(struct connection *connection);
/* Ends the connection: closes the descriptor, calls `ended` now and `freed` from the loop. Records
 * and output stay in memory until then. Does nothing if it has ended. */
void connection_end(struct connection *connection, int code, int system);

static inline size_t connection_unsent(const struct connection *connection)
{
    return connection->output.length - connection->output_sent;
}

/* Bytes that are in use: unsent, or of records not yet handled. */
static inline size_t connection_holds(const struct connection *connection)
{
    return connection_unsent(connection) + connection->held.length +
           record_reader_holds(&connection->reader);
}

/* Memory taken, in use or not. */
static inline size_t connection_memory(const struct connection *connection)
{
    return record_reader_memory(&connection->reader) + connection->held.capacity +
           connection->output.capacity;
}

#endif
