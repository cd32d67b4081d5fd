/* The managers of a handle: fetching the cluster map from whichever answers first.
 *
 * One refresh runs at a time, in the background of whatever the handle waits for. All managers are
 * asked in parallel, so that a silent one costs nothing while another answers. */
#ifndef CAIRN_CLIENT_MANAGERS_H
#define CAIRN_CLIENT_MANAGERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/error.h"
#include "client/cairn.h"
#include "rpc/client.h"

enum { MANAGER_CALL_MS = 2000 };

struct manager_peer {
    cairn_t *db;
    struct address address;
    char address_text[ADDRESS_TEXT_MAX];
    struct rpc_client *rpc;
    uint32_t silent; /* calls in a row without an answer while connected */
    bool asked;      /* a map call is under way */
};

struct managers {
    size_t count;
    struct manager_peer *peers;
    uint64_t cluster; /* demanded by the options; 0: any */
    bool refreshing;
    bool *listener;     /* set true when a refresh ends, if not NULL */
    bool ended;         /* a refresh ended; cleared by managers_refresh */
    int status;         /* of the last refresh: 0, or why it failed (CAIRN_EUNAVAILABLE,
                           CAIRN_ECONFLICT, CAIRN_EVERSION, CAIRN_EPROTO) */
    struct error error; /* what the last manager that failed said, since the last success */
};

int managers_init(cairn_t *db, const struct address_list *list, uint64_t cluster);
/* Gives up what is under way and what was answered: another cluster may be there. */
void managers_start_over(cairn_t *db);
/* Begins to close the connections, counted in db->closing, and frees nothing yet. */
void managers_close(struct managers *managers);
void managers_free(struct managers *managers);

/* Starts a refresh unless one runs, or another process of this host already knows more: that is
 * taken from the shared segment, and the refresh has ended at once. `managers.ended` becomes true
 * when a manager gave its answer or all have failed; a new map is installed in db->route before
 * that. Whoever runs the loop with client_run is woken then. */
void managers_refresh(cairn_t *db);
/* Whether the last refresh failed in a way that waiting does not mend: a contradiction, or, for one
 * who waits only so long, managers that speak something else. */
bool managers_hopeless(const cairn_t *db);
/* Waits until the handle has a map. CAIRN_OK; CAIRN_ETIMEDOUT, CAIRN_ECANCELED, CAIRN_ECONFLICT,
 * CAIRN_EVERSION or CAIRN_EPROTO with a message that begins with `name`. */
int managers_await(cairn_t *db, const char *name, uint64_t deadline_ms);
/* The connection to one manager, made if there is none; NULL when out of memory. */
struct rpc_client *managers_connection(cairn_t *db, struct manager_peer *peer);

#endif
