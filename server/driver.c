/* See driver.h. Everything here runs on the loop thread, but checkpoint_done. */
#include "server/driver.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "rpc/server.h"
#include "server/gather.h"
#include "server/hosts.h"
#include "server/membership.h"
#include "server/node.h"
#include "server/node_wish.h"
#include "server/peers.h"
#include "server/requests.h"
#include "server/scrub.h"
#include "server/snapshot.h"

enum {
    TICK_MS = 50, /* leases, grace and probes want no coarser time */
    HEARTBEAT_MS = 1000,
    MANY_ENTRIES = 4, /* of a usual batch */
};

struct driver {
    const struct driver_options *options;
    uv_loop_t loop;
    struct node node; /* zeroed until it is open: requests find it starting */
    bool node_is_open;
    struct identity identity;
    struct rpc_service services[3];
    struct rpc_server *server;
    struct peers *peers; /* NULL until the node is open */
    struct scrub *scrub; /* NULL until the node is open */
    struct membership *membership;
    char listen_text[ADDRESS_TEXT_MAX];
    uv_prepare_t gather, submit; /* at the end of each turn, see on_gather */
    struct gather batch;
    bool gathers;    /* the log's next batch does, at the end of this turn */
    uv_idle_t awake; /* active meanwhile: the loop looks again at once */
    uv_poll_t log_ready;
    uv_async_t checkpoint_ready;
    uv_timer_t tick, lapse;
    uv_signal_t terminate, interrupt;
    bool stopping;
    struct error *error; /* why it stops; code 0: asked to */
};

static void driver_stop(struct driver *driver);

static void driver_fail(struct driver *driver, int code, const char *message)
{
    error_set(driver->error, code, "%s", message);
    driver_stop(driver);
}

/* --- the node's events ---------------------------------------------------------------------- */

/* What the cores asked for in this turn. */
static void send_proposals(struct driver *driver)
{
    struct node *node = &driver->node;
    struct configuration *proposals;
    uint32_t count = 0;

    if (node->proposals_wanted == 0 || !membership_can_propose(driver->membership))
        return;
    proposals = calloc(node->proposals_wanted, sizeof *proposals);
    if (proposals == NULL)
        return;
    for (uint32_t i = 0; i < node->partition_count; i++) {
        struct partition *partition = &node->partitions[i];

        if (!partition->wants_proposal)
            continue;
        partition->wants_proposal = false;
        CHECK(count < node->proposals_wanted);
        partition_configuration_out(&partition->proposal, i, &proposals[count++]);
    }
    node->proposals_wanted = 0;
    membership_propose(driver->membership, proposals, count);
    free(proposals);
}

static void ask_for_map(struct driver *driver)
{
    if (!driver->node.wants_map)
        return;
    driver->node.wants_map = false;
    membership_ask(driver->membership);
}

static void on_awake(uv_idle_t *handle)
{
    (void)handle;
}

/* Whether the log's next batch is to gather on. Meanwhile the loop polls without blocking. */
static bool gathers_on(struct driver *driver)
{
    const struct journal *journal = &driver->node.journal;
    size_t bytes = wal_waiting(journal->wal);
    bool holds = bytes > 0 && !wal_busy(journal->wal) &&
                 gather_holds(&driver->batch, journal->count, bytes, clock_now_ns());

    if (holds) {
        CHECK(uv_idle_start(&driver->awake, on_awake) == 0);
    } else {
        uv_idle_stop(&driver->awake);
    }
    return holds;
}

/* Then Appends wait as well: many entries go to a backup in one. */
static bool gathers_many(const struct driver *driver)
{
    return driver->gathers && driver->batch.usual >= MANY_ENTRIES;
}

/* What a turn ends with: the Appends are made, while their entries can be read where they wait for
 * the log, and few entries at once, many when their batch is complete; they leave; then the log's
 * sync starts; then hosts are told what their caches must not say any more. The way over a backup
 * is the longest one, so it begins first, and all go on side by side; what hosts are told leaves at
 * the beginning of the next turn, which follows at once. libuv calls the prepare handle that was
 * started last first: this one is started again each time, the peers' connections have theirs, and
 * on_submit's is older than those. */
static void on_gather(uv_prepare_t *handle)
{
    struct driver *driver = handle->data;

    uv_prepare_stop(handle);
    CHECK(uv_prepare_start(handle, on_gather) == 0);
    driver->gathers = gathers_on(driver);
    if (gathers_many(driver))
        sched_yield(); /* what is to be sent here may become more, too */
    else
        peers_end_turn(driver->peers);
    send_proposals(driver);
    ask_for_map(driver);
}

static void on_lapse(uv_timer_t *timer)
{
    struct driver *driver = timer->data;

    hosts_tick(&driver->node, clock_now_ms());
}

/* A write that waits for a silent host waits for the end of its lease, and no tick longer (C5). */
static void watch_silent_hosts(struct driver *driver)
{
    uint64_t next_ms = lease_next_lapse_ms(driver->node.lease);
    uint64_t now_ms;

    if (next_ms == UINT64_MAX)
        return;
    now_ms = clock_now_ms();
    uv_update_time(&driver->loop);
    CHECK(uv_timer_start(&driver->lapse, on_lapse, next_ms > now_ms ? next_ms - now_ms : 0, 0) ==
          0);
}

static void on_submit(uv_prepare_t *handle)
{
    struct driver *driver = handle->data;

    node_end_turn(&driver->node, driver->gathers);
    hosts_pump(&driver->node);
    if (lease_is_revoking_any(driver->node.lease))
        watch_silent_hosts(driver);
    /* Those whose requests the batch waits for may want this processor. */
    if (driver->gathers && !gathers_many(driver))
        sched_yield();
}

static void on_log_ready(uv_poll_t *handle, int status, int events)
{
    struct driver *driver = handle->data;
    uint64_t lsn;

    (void)events;
    CHECK(status == 0);
    lsn = wal_complete(driver->node.journal.wal);
    node_durable(&driver->node, lsn, clock_now_ms());
    peers_durable(driver->peers, lsn);
    snapshot_advance(&driver->node, clock_now_ms());
}

static void on_checkpoint_ready(uv_async_t *handle)
{
    struct driver *driver = handle->data;

    if (!driver->node_is_open)
        return;
    node_checkpoint_finish(&driver->node);
    snapshot_advance(&driver->node, clock_now_ms());
}

/* From the checkpoint thread: the one call that may cross threads. */
static void checkpoint_done(void *context)
{
    struct driver *driver = context;

    uv_async_send(&driver->checkpoint_ready);
}

static void on_tick(uv_timer_t *timer)
{
    struct driver *driver = timer->data;

    node_tick(&driver->node, clock_now_ms());
    hosts_tick(&driver->node, clock_now_ms());
    scrub_tick(driver->scrub, clock_now_ms());
}

/* --- opening the node --------------------------------------------------------------------------
 */

static void watch_node(struct driver *driver)
{
    struct wal *wal = driver->node.journal.wal;

    CHECK(uv_prepare_start(&driver->submit, on_submit) == 0);
    CHECK(uv_prepare_start(&driver->gather, on_gather) == 0);
    CHECK(uv_poll_init(&driver->loop, &driver->log_ready, wal_descriptor(wal)) == 0);
    driver->log_ready.data = driver;
    CHECK(uv_poll_start(&driver->log_ready, UV_READABLE, on_log_ready) == 0);
    CHECK(uv_timer_start(&driver->tick, on_tick, TICK_MS, TICK_MS) == 0);
    driver->node_is_open = true;
}

static int open_node(struct driver *driver, struct error *error)
{
    const struct driver_options *options = driver->options;
    struct node_options node = {
        .directory = options->directory,
        .identity = driver->identity,
        .partitions = driver->identity.partitions,
        .wal_backend = options->wal_backend,
        .segment_bytes = options->segment_bytes,
        .map_bytes = options->map_bytes,
        .memtable_limit_bytes = options->memtable_bytes,
        .disk_reserve_bytes = options->disk_reserve_bytes,
        .log_keep_bytes = options->log_keep_bytes,
        .lease_ms = options->lease_ms,
        .grace_ms = options->grace_ms,
        .host_lease_ms = options->host_lease_ms,
        .checkpoint_done = checkpoint_done,
        .context = driver,
    };
    struct peers_options peers = {.beacon_ms = options->beacon_ms};
    int status = node_open(&driver->node, &node, clock_now_ms(), error);

    if (status != CAIRN_OK)
        return status;
    if (hosts_open(&driver->node) != CAIRN_OK)
        status = error_set(error, CAIRN_ENOMEM, "server: out of memory");
    if (status == CAIRN_OK) {
        driver->scrub =
            scrub_open(&driver->loop, &driver->node, options->scrub_bytes, clock_now_ms());
        if (driver->scrub == NULL)
            status = error_set(error, CAIRN_ENOMEM, "server: out of memory");
    }
    if (status == CAIRN_OK)
        status = peers_open(&driver->loop, &driver->node, &peers, &driver->peers, error);
    if (status == CAIRN_OK) {
        scrub_start(driver->scrub, driver->peers);
        watch_node(driver);
        return CAIRN_OK;
    }
    scrub_free(driver->scrub);
    driver->scrub = NULL;
    hosts_close(&driver->node);
    node_close(&driver->node);
    return status;
}

/* --- the manager's events
 * -------------------------------------------------------------------------- */

static void on_registered(void *context, uint64_t cluster, uint32_t partitions)
{
    struct driver *driver = context;
    struct error error = {0};

    log_info("server", "registered cluster=%016" PRIx64 " partitions=%u", cluster, partitions);
    if (driver->node_is_open)
        return;
    /* First start of this store: it belongs to this cluster from here on (R10). */
    driver->identity.cluster = cluster;
    driver->identity.partitions = partitions;
    if (identity_save(driver->options->directory, &driver->identity, &error) != CAIRN_OK ||
        open_node(driver, &error) != CAIRN_OK)
        driver_fail(driver, error.code, error.message);
}

static void on_map(void *context, struct cluster_map *map)
{
    struct driver *driver = context;

    if (!driver->node_is_open || driver->stopping) {
        cluster_map_free(map);
        return;
    }
    node_hear_map(&driver->node, map, clock_now_ms());
}

static void on_configuration(void *context, const struct configuration *configuration)
{
    struct driver *driver = context;

    if (driver->node_is_open && !driver->stopping)
        node_hear_configuration(&driver->node, configuration, clock_now_ms());
}

static void on_wish(void *context, const struct wish *wanted)
{
    struct driver *driver = context;

    if (driver->node_is_open && !driver->stopping)
        node_hear_wish(&driver->node, wanted, clock_now_ms());
}

static void on_rejected(void *context, const char *message)
{
    driver_fail(context, CAIRN_ECONFLICT, message);
}

static uint32_t on_report(void *context, heartbeat_partition *partitions, heartbeat_log *logs,
                          uint32_t limit, uint64_t *map_version)
{
    struct driver *driver = context;
    struct node *node = &driver->node;
    uint32_t count = 0;

    *map_version = node->map.version;
    for (uint32_t i = 0; i < node->partition_count && count < limit; i++) {
        const struct replica *replica = &node->partitions[i].replica;

        /* Removed copies are told of, too: an unsafe recovery may have to choose among them (R9).
         */
        if (replica->role == REPLICA_NONE && replica->last.index == 0)
            continue;
        logs[count] =
            (heartbeat_log){.last_epoch = replica->last.epoch, .last_index = replica->last.index};
        partitions[count++] = (heartbeat_partition){.partition = i,
                                                    .epoch = replica->seen_epoch,
                                                    .role = (u_int)replica->role,
                                                    .commit_index = replica->commit_index};
    }
    return count;
}

static int open_membership(struct driver *driver, struct error *error)
{
    struct membership_options options = {
        .managers = &driver->options->managers,
        .listen = driver->listen_text,
        .identity = driver->identity,
        .replace_store = driver->options->replace_store,
        .heartbeat_ms = HEARTBEAT_MS,
    };
    struct membership_events events = {
        .context = driver,
        .registered = on_registered,
        .map = on_map,
        .configuration = on_configuration,
        .wish = on_wish,
        .rejected = on_rejected,
        .report = on_report,
    };

    return membership_open(&driver->loop, &options, &events, &driver->membership, error);
}

/* --- starting and stopping
 * ---------------------------------------------------------------------------- */

static void close_handle(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_handles(struct driver *driver)
{
    close_handle((uv_handle_t *)&driver->gather);
    close_handle((uv_handle_t *)&driver->submit);
    close_handle((uv_handle_t *)&driver->awake);
    close_handle((uv_handle_t *)&driver->log_ready);
    close_handle((uv_handle_t *)&driver->checkpoint_ready);
    close_handle((uv_handle_t *)&driver->tick);
    close_handle((uv_handle_t *)&driver->lapse);
    close_handle((uv_handle_t *)&driver->terminate);
    close_handle((uv_handle_t *)&driver->interrupt);
}

/* Stops taking requests. What was proposed is finished after the loop has ended. */
static void driver_stop(struct driver *driver)
{
    if (driver->stopping)
        return;
    driver->stopping = true;
    if (driver->server != NULL)
        rpc_server_close(driver->server, NULL, NULL);
    if (driver->membership != NULL)
        membership_close(driver->membership, NULL, NULL);
    if (driver->scrub != NULL)
        scrub_stop(driver->scrub);
    if (driver->peers != NULL)
        peers_close(driver->peers, NULL, NULL);
    driver->membership = NULL;
    driver->peers = NULL; /* freed by the loop */
    close_handle((uv_handle_t *)&driver->gather);
    close_handle((uv_handle_t *)&driver->submit);
    close_handle((uv_handle_t *)&driver->awake);
    close_handle((uv_handle_t *)&driver->log_ready);
    close_handle((uv_handle_t *)&driver->tick);
    close_handle((uv_handle_t *)&driver->lapse);
    close_handle((uv_handle_t *)&driver->terminate);
    close_handle((uv_handle_t *)&driver->interrupt);
    /* The checkpoint thread may still call: its handle stays, but does not keep the loop. */
    uv_unref((uv_handle_t *)&driver->checkpoint_ready);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct driver *driver = handle->data;

    log_info("server", "stopping signal=%d", number);
    driver_stop(driver);
}

static void open_handles(struct driver *driver)
{
    CHECK(uv_prepare_init(&driver->loop, &driver->gather) == 0);
    CHECK(uv_prepare_init(&driver->loop, &driver->submit) == 0);
    CHECK(uv_idle_init(&driver->loop, &driver->awake) == 0);
    CHECK(uv_async_init(&driver->loop, &driver->checkpoint_ready, on_checkpoint_ready) == 0);
    CHECK(uv_timer_init(&driver->loop, &driver->tick) == 0);
    CHECK(uv_timer_init(&driver->loop, &driver->lapse) == 0);
    CHECK(uv_signal_init(&driver->loop, &driver->terminate) == 0);
    CHECK(uv_signal_init(&driver->loop, &driver->interrupt) == 0);
    driver->gather.data = driver->submit.data = driver->checkpoint_ready.data = driver->tick.data =
        driver->lapse.data = driver;
    driver->terminate.data = driver->interrupt.data = driver;
    CHECK(uv_signal_start(&driver->terminate, on_signal, SIGTERM) == 0);
    CHECK(uv_signal_start(&driver->interrupt, on_signal, SIGINT) == 0);
}

static int start(struct driver *driver, struct error *error)
{
    const struct driver_options *options = driver->options;
    struct rpc_server_options limits = {.connections_limit = (uint32_t)options->connections_limit};
    int status = rpc_server_listen(&driver->loop, &options->listen, driver->services, 3, &limits,
                                   &driver->server, error);

    if (status == CAIRN_OK && driver->identity.cluster != 0)
        status = open_node(driver, error);
    if (status == CAIRN_OK)
        status = open_membership(driver, error);
    if (status == CAIRN_OK)
        log_info("server", "listening address=%s id=%u", driver->listen_text,
                 driver->identity.server);
    return status;
}

static void finish_node(struct driver *driver)
{
    if (!driver->node_is_open)
        return;
    scrub_free(driver->scrub);
    node_stop(&driver->node, clock_now_ms());
    hosts_close(&driver->node);
    node_close(&driver->node);
    driver->node_is_open = false;
}

int driver_run(const struct driver_options *options, struct error *error)
{
    struct driver *driver = calloc(1, sizeof *driver);

    if (driver == NULL)
        return error_set(error, CAIRN_ENOMEM, "server: out of memory");
    driver->options = options;
    driver->identity = options->identity;
    driver->error = error;
    address_format(&options->listen, driver->listen_text);
    driver->services[0] = requests_service(&driver->node);
    driver->services[1] = peers_service(&driver->peers);
    driver->services[2] = hosts_service(&driver->node);
    error->code = CAIRN_OK;
    if (!descriptors_left(DESCRIPTORS_OF_A_LOOP) || uv_loop_init(&driver->loop) != 0) {
        free(driver);
        return error_set(error, CAIRN_EIO, "event loop: cannot be made");
    }
    open_handles(driver);
    if (start(driver, error) == CAIRN_OK)
        error->code = CAIRN_OK; /* what was missed and not needed is no reason to stop */
    else
        driver_stop(driver);
    uv_run(&driver->loop, UV_RUN_DEFAULT);
    finish_node(driver);
    close_handles(driver);
    uv_run(&driver->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&driver->loop) == 0);
    if (error->code == CAIRN_OK)
        log_info("server", "stopped id=%u", options->identity.server);
    free(driver);
    return error->code;
}
