/* Having all servers look for damage (W8): what `cairn admin scrub` and `cairn admin verify` do.
 *
 * Each server reads what it stores and compares the copies of the partitions that it leads. A
 * partition that changed hands meanwhile is asked for again, as long as nobody has compared it, or
 * a copy of it is being installed anew. */
#ifndef CAIRN_CLIENT_SCRUB_H
#define CAIRN_CLIENT_SCRUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cairn.h"
#include "proto/limits.h"
#include "proto/server_rpc.h"

enum scrub_state {
    SCRUB_OPEN, /* not compared yet */
    SCRUB_EQUAL,
    SCRUB_DIFFERS,
    SCRUB_REPAIRING, /* a copy was found to differ and is installed anew: to be compared again */
    SCRUB_NOT_COMPARED,
};

/* What became of a partition. */
struct scrub_partition {
    enum scrub_state state;
    uint32_t copies;     /* compared, the last time */
    uint32_t had_copies; /* members when it began */
    uint64_t index, bad;
    uint32_t differing_count;
    uint32_t differing[CAIRN_REPLICAS_LIMIT]; /* servers */
    bool repaired;                            /* some copy of it was installed anew for it */
};

enum { SCRUB_DAMAGED_LIMIT = 32 };

/* A value that fails its checksum. */
struct scrub_damaged {
    uint32_t partition, key_length;
    bool lost; /* no copy has a sound one */
    uint8_t key[CAIRN_KEY_LIMIT];
};

/* What one server says. */
struct scrub_server {
    uint32_t id;
    bool answered; /* the last call */
    bool lost;     /* it did not answer when it was asked to begin, or since */
    bool unable;   /* its version has no such call */
    uint64_t run;  /* that it was asked for */
    bool running;
    scrub_report begun, now; /* without partitions and values */
    uint32_t damaged_count;  /* of its values, now, as many as it names */
    struct scrub_damaged damaged[SCRUB_DAMAGED_LIMIT];
    char error[256];
};

struct scrub_outcome {
    size_t server_count;
    struct scrub_server *servers;
    uint32_t partition_count;
    struct scrub_partition *partitions;
    bool reading;                 /* some server reads values, has not begun to compare */
    uint64_t read_bytes, read_of; /* of this run */
    uint32_t compared;            /* partitions that are done with */
};

struct scrub_request {
    const char *name; /* for messages */
    bool repairs;     /* else only compares */
    uint64_t deadline_ms;
    /* Now and then meanwhile. */
    void (*progress)(void *context, const struct scrub_outcome *result);
    void *context;
};

/* CAIRN_OK when all that could be done is done: `result` says how it went. Else the message is in
 * db->error: CAIRN_EPROTO if a server is older than the call, CAIRN_ETIMEDOUT, CAIRN_ECANCELED, or
 * what status_ask_manager says. To be freed in any case. */
int scrub_run(cairn_t *db, const struct scrub_request *request, struct scrub_outcome *result);
void scrub_result_free(struct scrub_outcome *result);

/* How it went: what the exit status tells. */
struct scrub_summary {
    uint32_t partitions, copies, equal, differing, not_compared, unreachable, reinstalled;
    uint64_t values, bytes, bad, repaired, unrepaired;
};
void scrub_summarize(const struct scrub_outcome *result, struct scrub_summary *summary);

#endif
