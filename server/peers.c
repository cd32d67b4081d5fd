/* See peers.h: who the other servers are, their connections, and the turn of the loop. */
#include "server/peers.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/peers_internal.h"

enum {
    WINDOW_BYTES_DEFAULT = 4 << 20,
    CALLS_LIMIT = 256,
    CONNECT_TIMEOUT_MS = 500, /* a lost SYN comes again only after a second; a new attempt, now */
    LOOK_EVERY_MS = 20,       /* through all partitions */
};

/* --- connections ------------------------------------------------------------------------------ */

static void end_if_closed(struct peers *peers);

void peers_release(struct peer *peer)
{
    struct peers *peers = peer->peers;

    CHECK(peer->references > 0);
    if (--peer->references > 0 || !peer->retired)
        return;
    TAILQ_REMOVE(&peers->list, peer, entry);
    free(peer);
    end_if_closed(peers);
}

static void on_client_closed(void *context)
{
    peers_release(context);
}

static void close_channel(struct peer *peer, enum peer_channel channel)
{
    struct rpc_client *client = peer->channels[channel];

    peer->channels[channel] = NULL;
    if (client != NULL)
        rpc_client_close(client, on_client_closed, peer);
}

int peers_call(struct peer *peer, enum peer_channel channel, uint32_t procedure, const void *args,
               uint64_t timeout_ms, rpc_done done, void *context, struct rpc_client **client)
{
    static const struct rpc_client_options options = {.calls_limit = CALLS_LIMIT,
                                                      .connect_timeout_ms = CONNECT_TIMEOUT_MS};

    if (peer->retired)
        return CAIRN_ECANCELED;
    if (peer->channels[channel] == NULL) {
        int status =
            rpc_client_open(peer->peers->loop, &peer->address, &options, &peer->channels[channel]);

        if (status != CAIRN_OK)
            return status;
        peer->references++;
    }
    *client = peer->channels[channel];
    return rpc_client_call(*client, &program_replica, procedure, args, timeout_ms, done, context,
                           NULL);
}

void peers_timed_out(struct peer *peer, enum peer_channel channel, const struct rpc_client *client)
{
    if (peer->channels[channel] != client || !rpc_client_connected(client))
        return;
    close_channel(peer, channel);
    /* A beacon is answered at once, whatever the disk does: it is the network, or the process. */
    if (channel == PEER_BEACONS)
        close_channel(peer, PEER_APPENDS);
}

/* --- who the others are ------------------------------------------------------------------------
 */

static void add(struct peers *peers, const struct map_server *server)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (peer == NULL) {
        log_warn("peers", "no memory for a connection server=%u", server->id);
        peers->map_version = 0; /* the next look tries again */
        return;
    }
    peer->peers = peers;
    peer->server = server->id;
    peer->address = server->address;
    peer->references = 1; /* being on the list */
    append_stream_init(&peer->append);
    snapshot_streams_init(peer);
    TAILQ_INSERT_TAIL(&peers->list, peer, entry);
    peers->by_server[peer->server] = peer;
}

static void retire(struct peer *peer)
{
    peer->retired = true;
    peer->peers->by_server[peer->server] = NULL;
    peer->active = false;
    catch_up_stream_close(peer);
    snapshot_streams_close(peer);
    for (enum peer_channel channel = 0; channel < PEER_CHANNELS; channel++)
        close_channel(peer, channel);
    peers_release(peer);
}

/* One peer for each other server of the map; made anew when its address changed. */
static void follow_map(struct peers *peers)
{
    const struct cluster_map *map = &peers->node->map;
    struct peer *peer;
    struct peer *next;

    if (peers->map_version == map->version)
        return;
    peers->map_version = map->version;
    for (peer = TAILQ_FIRST(&peers->list); peer != NULL; peer = next) {
        const struct map_server *server = cluster_map_server(map, peer->server);

        next = TAILQ_NEXT(peer, entry);
        if (!peer->retired &&
            (server == NULL || server->removed || !address_equal(&server->address, &peer->address)))
            retire(peer);
    }
    for (size_t i = 0; i < map->server_count; i++) {
        const struct map_server *server = &map->servers[i];

        if (server->id != peers->node->identity.server && !server->removed &&
            server->id < CAIRN_SERVERS_LIMIT && peers->by_server[server->id] == NULL)
            add(peers, server);
    }
}

/* --- what they need ----------------------------------------------------------------------------
 */

static void look_at_follower(struct peers *peers, const struct replica *replica,
                             const struct replica_follower *follower, uint64_t now_ms)
{
    struct peer *peer = NULL;

    if (follower->id.server < CAIRN_SERVERS_LIMIT)
        peer = peers->by_server[follower->id.server];
    if (peer == NULL)
        return; /* not in the map that is held: it will come */
    if (follower->mode == REPLICA_INSTALL)
        peer->installs = true;
    /* L1: all that is missing may be this lease. */
    if (follower->counted && follower->lease_until_ms <= now_ms && replica_may_send(replica))
        peer->beacon.urgent = true;
}

/* Looks through the partitions, at most every LOOK_EVERY_MS and whenever something may have changed
 * since: a turn that skips it has the loop come back. */
static void look(struct peers *peers, uint64_t now_ms)
{
    struct node *node = peers->node;
    struct peer *peer;

    if (now_ms < peers->look_ms) {
        peers_wake_at(peers, peers->look_ms);
        return;
    }
    peers->look_ms = now_ms + LOOK_EVERY_MS;
    follow_map(peers);
    TAILQ_FOREACH(peer, &peers->list, entry)
    {
        peer->installs = peer->behind = peer->beacon.urgent = false;
    }
    for (uint32_t i = 0; i < node->partition_count; i++) {
        const struct replica *replica = &node->partitions[i].replica;

        for (uint32_t f = 0; replica->barrier_index != 0 && f < replica->follower_count; f++)
            look_at_follower(peers, replica, &replica->followers[f], now_ms);
    }
    TAILQ_FOREACH(peer, &peers->list, entry)
    {
        peer->behind = exchange_is_behind(node, peer->server);
    }
}

/* --- the turn of the loop ----------------------------------------------------------------------
 */

static void on_timer(uv_timer_t *timer)
{
    struct peers *peers = timer->data;

    peers->wake_ms = UINT64_MAX; /* the end of this turn does the work */
}

void peers_wake_at(struct peers *peers, uint64_t due_ms)
{
    uint64_t now_ms;

    if (due_ms >= peers->wake_ms || peers->closing)
        return;
    now_ms = clock_now_ms();
    peers->wake_ms = due_ms;
    uv_update_time(peers->loop);
    uv_timer_start(&peers->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

void peers_end_turn(struct peers *peers)
{
    uint64_t now_ms = clock_now_ms();
    struct peer *peer;

    if (peers->closing)
        return;
    look(peers, now_ms);
    TAILQ_FOREACH(peer, &peers->list, entry)
    {
        if (peer->retired)
            continue;
        peer->active = exchange_has_follower(peers->node, peer->server);
        if (peer->active) {
            beacon_stream_run(peer, now_ms);
            append_stream_run(peer, now_ms);
        }
        if (peer->active || peer->catch_up.pass != NULL)
            catch_up_stream_run(peer, now_ms);
        snapshot_streams_run(peer, now_ms);
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

int peers_open(uv_loop_t *loop, struct node *node, const struct peers_options *options,
               struct peers **out, struct error *error)
{
    struct peers *peers = calloc(1, sizeof *peers);

    *out = NULL;
    if (peers == NULL)
        return error_set(error, CAIRN_ENOMEM, "peers: out of memory");
    peers->loop = loop;
    peers->node = node;
    peers->options = *options;
    if (peers->options.window_bytes == 0)
        peers->options.window_bytes = WINDOW_BYTES_DEFAULT;
    TAILQ_INIT(&peers->list);
    TAILQ_INIT(&peers->waiting);
    peers->wake_ms = UINT64_MAX;
    random_seed(&peers->random, random_id());
    peers->pairs = calloc(CAIRN_PARTITIONS_LIMIT, sizeof *peers->pairs);
    if (peers->pairs == NULL || append_builder_init(&peers->builder) != CAIRN_OK) {
        free(peers->pairs);
        free(peers);
        return error_set(error, CAIRN_ENOMEM, "peers: out of memory");
    }
    CHECK(uv_timer_init(loop, &peers->timer) == 0);
    peers->timer.data = peers;
    *out = peers;
    return CAIRN_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct peers *peers = handle->data;
    void (*closed)(void *context) = peers->closed;
    void *context = peers->closed_context;

    append_builder_free(&peers->builder);
    free(peers->pairs);
    free(peers);
    if (closed != NULL)
        closed(context);
}

static void end_if_closed(struct peers *peers)
{
    if (peers->closing && TAILQ_EMPTY(&peers->list) && !uv_is_closing((uv_handle_t *)&peers->timer))
        uv_close((uv_handle_t *)&peers->timer, on_timer_closed);
}

void peers_close(struct peers *peers, void (*closed)(void *context), void *context)
{
    struct peer *peer;
    struct peer *next;

    CHECK(!peers->closing);
    peers->closing = true;
    peers->closed = closed;
    peers->closed_context = context;
    peers_drop_waiting(peers);
    uv_timer_stop(&peers->timer);
    for (peer = TAILQ_FIRST(&peers->list); peer != NULL; peer = next) {
        next = TAILQ_NEXT(peer, entry);
        if (!peer->retired)
            retire(peer);
    }
    end_if_closed(peers);
}
