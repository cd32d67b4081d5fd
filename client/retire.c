/* Retirement at a clean close. */
#include "client/retire.h"

#include <stdlib.h>

#include "base/clock.h"
#include "client/handle.h"
#include "proto/server_rpc.h"

enum { RETIRE_LIMIT_MS = 1000 };

static void on_retired(void *context, int status, const void *result, const struct error *error)
{
    unsigned *pending = context;

    /* Nothing hangs on the answer: a session that stays is evicted. */
    (void)status;
    (void)result;
    (void)error;
    (*pending)--;
}

/* Collects the partitions of one server where the session may be retired. */
static uint32_t gather(const cairn_t *db, const struct route_server *server, uint32_t *partitions)
{
    uint32_t count = 0;

    for (uint32_t p = 0; p < db->route.partitions; p++) {
        if (session_retirable(&db->session, p) && route_primary(&db->route, p) == server) {
            partitions[count++] = p;
        }
    }
    return count;
}

void retire_sessions(cairn_t *db)
{
    unsigned pending = 0;

    if (db->session.number == 0 || !route_is_ready(&db->route)) {
        return;
    }
    uint32_t *partitions = calloc(db->route.partitions, sizeof(*partitions));
    if (partitions == NULL) {
        return;
    }
    uv_update_time(&db->loop);
    for (size_t i = 0; i < db->route.server_count; i++) {
        struct route_server *server = db->route.servers[i];
        uint32_t count = gather(db, server, partitions);

        if (count == 0 || server->rpc == NULL || !rpc_client_connected(server->rpc)) {
            continue;
        }
        const retire_args args = {
            .cluster = db->route.cluster,
            .client = db->session.client,
            .partitions = {.partitions_len = count, .partitions_val = partitions},
        };
        if (rpc_client_call(server->rpc, &program_server, SERVER_RETIRE, &args, RETIRE_LIMIT_MS,
                            on_retired, &pending, NULL) == CAIRN_OK) {
            pending++;
        }
    }
    free(partitions);
    while (pending > 0) {
        uv_run(&db->loop, UV_RUN_ONCE);
    }
}
