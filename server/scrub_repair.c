/* Asking the other members for values that are bad here (W8), and answering them. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/peers_internal.h"
#include "server/scrub_internal.h"
#include "server/value.h"

enum { FETCH_TIMEOUT_MS = 3000 };

struct fetch {
    struct scrub *scrub;
    struct repair *repair;
};

static void on_fetched(void *context, int status, const void *result, const struct error *error)
{
    struct fetch *fetch = context;
    struct scrub *scrub = fetch->scrub;

    (void)error;
    scrub->fetches--;
    repairs_answered(&scrub->repairs, scrub->node, fetch->repair,
                     status == CAIRN_OK ? result : NULL, clock_now_ms());
    free(fetch);
    scrub_repair(scrub, clock_now_ms());
}

static bool ask(struct scrub *scrub, struct repair *repair, const struct replica_member *from)
{
    const struct partition *partition = &scrub->node->partitions[repair->partition];
    const struct replica_configuration *configuration = &partition->replica.configuration;
    struct peer *peer = NULL;
    struct fetch *fetch = malloc(sizeof *fetch);
    struct rpc_client *client;
    fetch_args args = {
        .from = exchange_sender(scrub->node, from->server),
        .partition = repair->partition,
        .history = configuration->history,
        .epoch = configuration->epoch,
        .least_index = store_checkpointed(scrub->node->store, repair->partition)->index,
        .key = {.data = repair->key.bytes, .length = repair->key.length},
    };

    args.from.to_store = from->store;
    if (from->server < CAIRN_SERVERS_LIMIT)
        peer = scrub->peers->by_server[from->server];
    if (fetch != NULL && peer != NULL) {
        *fetch = (struct fetch){.scrub = scrub, .repair = repair};
        if (peers_call(peer, PEER_SNAPSHOTS, REPLICA_FETCH, &args, FETCH_TIMEOUT_MS, on_fetched,
                       fetch, &client) == CAIRN_OK) {
            scrub->fetches++;
            return true;
        }
    }
    free(fetch);
    return false;
}

void scrub_repair(struct scrub *scrub, uint64_t now_ms)
{
    struct replica_member from;
    struct repair *repair;

    while (scrub->peers != NULL && scrub->fetches < FETCHES_LIMIT &&
           (repair = repairs_next(&scrub->repairs, scrub->node, now_ms, &from)) != NULL) {
        if (!ask(scrub, repair, &from))
            repairs_answered(&scrub->repairs, scrub->node, repair, NULL, now_ms);
    }
}

/* --- answering ---------------------------------------------------------------------------------
 */

/* Members of one configuration hold the same committed entries (R4, R5), whoever leads. */
static bool is_asked_of_member(const struct replica *replica, const fetch_args *args)
{
    return (replica->role == REPLICA_PRIMARY || replica->role == REPLICA_BACKUP) &&
           !replica->installing && !replica->damaged &&
           replica->configuration.history == args->history &&
           replica->configuration.epoch == args->epoch && replica->seen_epoch == args->epoch;
}

static void find(struct node *node, const fetch_args *args, fetch_result *result)
{
    struct store_value value;
    int status = store_get(node->store, args->partition, args->key.data, args->key.length, &value);

    result->applied_index = store_applied(node->store, args->partition)->index;
    if (status != CAIRN_OK) {
        result->outcome = status == CAIRN_ENOTFOUND ? FETCH_ABSENT : FETCH_CORRUPT;
        return;
    }
    result->outcome = FETCH_FOUND;
    result->key_version = value.version;
    result->modified = value.modified;
    result->expires_ms = value.expires_ms;
    result->checksum = value_checksum(args->key.data, args->key.length, &value);
    result->value = (cairn_value){.data = value.data, .length = value.length};
}

void scrub_take_fetch(struct scrub *scrub, const fetch_args *args, fetch_result *result)
{
    struct node *node = scrub->node;
    uint64_t now_ms = clock_now_ms();

    *result = (fetch_result){.stranger = !exchange_knows(node, &args->from),
                             .store = node->identity.store,
                             .incarnation = node->identity.incarnation,
                             .outcome = FETCH_LATER};
    if (result->stranger || args->partition >= node->partition_count || args->key.length == 0 ||
        !is_asked_of_member(&node->partitions[args->partition].replica, args) ||
        store_applied(node->store, args->partition)->index < args->least_index)
        return;
    find(node, args, result);
    if (result->outcome == FETCH_CORRUPT)
        (void)repairs_note(&scrub->repairs, node, args->partition, args->key.data, args->key.length,
                           now_ms);
}
