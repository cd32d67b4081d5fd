/* The manager's event loop side: calls in, replies out once the log holds what they tell.
 *
 * W1: a reply may tell of anything that was changed before it was made. It therefore leaves only
 * when the log is durable up to the last record of that moment, whether the call changed something
 * itself or not. While one sync runs the changes of further calls gather for the next. */
#include "manager/driver.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "manager/changes_log.h"
#include "manager/directory.h"
#include "manager/membership.h"
#include "manager/reconcile.h"
#include "manager/replies.h"
#include "proto/programs.h"
#include "rpc/server.h"

enum {
    PENDING_LIMIT = 16384, /* replies that wait for the log; more calls get a system error */
    MARK_INTERVAL_MS = 1000,
    RECONCILE_INTERVAL_MS = 1000,
    CONNECTIONS_LIMIT = 4096,
    CALLS_LIMIT = 64, /* per connection */
};

struct pending {
    struct pending *next;
    struct rpc_call *call;
    uint32_t procedure;
    uint64_t lsn; /* the reply waits until the log is durable up to here */
    struct membership_reply reply;
};

struct manager {
    uv_loop_t *loop;
    struct manager_directory directory;
    struct rpc_service service; /* outlives the server */
    struct rpc_server *server;
    uv_poll_t wal_poll;
    uv_timer_t mark_timer, reconcile_timer;
    uint32_t open_handles; /* of those above and the server */
    bool stopping;
    size_t pending_count;
    struct pending *first, **last;
    void (*closed)(void *context);
    void *closed_context;
};

typedef unsigned long long ull;

/* --- replies that wait --- */

static void release(struct manager *manager, uint64_t durable)
{
    while (manager->first != NULL && manager->first->lsn <= durable) {
        struct pending *pending = manager->first;

        manager->first = pending->next;
        if (manager->first == NULL)
            manager->last = &manager->first;
        manager->pending_count--;
        manager_reply(manager->directory.membership, pending->call, pending->procedure,
                      &pending->reply);
        membership_reply_free(&pending->reply);
        free(pending);
    }
}

/* --- calls --- */

static struct pending *begin(struct manager *manager, struct rpc_call *call, uint32_t procedure)
{
    struct pending *pending = NULL;

    if (manager->pending_count < PENDING_LIMIT)
        pending = calloc(1, sizeof *pending);
    if (pending == NULL) {
        rpc_reply_error(call, SYSTEM_ERR);
        return NULL;
    }
    pending->call = call;
    pending->procedure = procedure;
    return pending;
}

/* Hands the changes to the log and lets the reply wait for it. `status` is the event's: what it
 * changed before it failed is to be kept all the same. */
static void finish(struct manager *manager, struct pending *pending, int status)
{
    struct manager_log *log = &manager->directory.log;

    changes_log(manager->directory.membership);
    manager_log_append(log, manager->directory.membership);
    if (status != 0) {
        log_error("manager", "call failed procedure=%u peer=%s reason=\"%s\"", pending->procedure,
                  rpc_call_peer(pending->call), error_text(status));
        rpc_reply_error(pending->call, SYSTEM_ERR);
        membership_reply_free(&pending->reply);
        free(pending);
    } else {
        pending->lsn = wal_last_lsn(log->wal);
        *manager->last = pending;
        manager->last = &pending->next;
        manager->pending_count++;
    }
    release(manager, wal_durable_lsn(log->wal));
}

/* W7: what may change the state needs room in the log first. */
static bool check_room(struct manager *manager, struct rpc_call *call, uint32_t changes,
                       uint32_t targets)
{
    if (manager_log_has_room(&manager->directory.log, manager->directory.membership, changes,
                             targets))
        return true;
    log_error("manager", "refused: no room on the disk for the journal peer=%s",
              rpc_call_peer(call));
    rpc_reply_error(call, SYSTEM_ERR);
    return false;
}

static void log_refusal(const struct pending *pending, const char *what)
{
    if (pending->reply.status != MANAGER_OK)
        log_warn("manager", "%s refused status=%d peer=%s reason=\"%s\"", what,
                 (int)pending->reply.status, rpc_call_peer(pending->call), pending->reply.message);
}

static void handle_register(void *context, struct rpc_call *call, const void *data)
{
    struct manager *manager = context;
    struct membership *membership = manager->directory.membership;
    const struct register_args *args = data;
    const bool was_placed = membership->map.configurations != NULL;
    struct pending *pending;
    int status;

    if (!check_room(manager, call, 1, 0))
        return;
    pending = begin(manager, call, MANAGER_REGISTER);
    if (pending == NULL)
        return;
    status = membership_register(membership, clock_now_ms(), args, &pending->reply);
    log_refusal(pending, "registration");
    if (pending->reply.changed)
        log_info("manager", "registered server=%u store=%016llx incarnation=%llu peer=%s",
                 args->who.server, (ull)args->who.store, (ull)args->who.incarnation,
                 rpc_call_peer(call));
    if (!was_placed && membership->map.configurations != NULL)
        log_info("manager", "all servers registered, placed partitions=%u replicas=%u servers=%zu",
                 membership->map.partitions, membership->map.replicas,
                 membership->map.server_count);
    finish(manager, pending, status);
}

static void handle_heartbeat(void *context, struct rpc_call *call, const void *args)
{
    struct manager *manager = context;
    struct pending *pending = begin(manager, call, MANAGER_HEARTBEAT);
    int status;

    if (pending == NULL)
        return;
    status =
        membership_heartbeat(manager->directory.membership, clock_now_ms(), args, &pending->reply);
    log_refusal(pending, "heartbeat");
    finish(manager, pending, status);
}

static void handle_get_map(void *context, struct rpc_call *call, const void *args)
{
    struct manager *manager = context;
    struct pending *pending = begin(manager, call, MANAGER_GET_MAP);

    if (pending != NULL)
        finish(manager, pending,
               membership_get_map(manager->directory.membership, args, &pending->reply));
}

/* Conflicts are everyday: several replicas may propose, one wins. */
static void log_proposals(const struct pending *pending, const struct propose_args *args,
                          size_t accepted)
{
    log_refusal(pending, "proposal");
    if (pending->reply.status == MANAGER_OK && pending->reply.message[0] != '\0')
        log_warn("manager", "proposal not valid peer=%s reason=\"%s\"",
                 rpc_call_peer(pending->call), pending->reply.message);
    if (accepted > 0)
        log_debug("manager", "proposals accepted server=%u count=%u accepted=%zu", args->who.server,
                  args->proposals.proposals_len, accepted);
}

static void handle_propose(void *context, struct rpc_call *call, const void *data)
{
    struct manager *manager = context;
    struct membership *membership = manager->directory.membership;
    const struct propose_args *args = data;
    struct pending *pending;
    int status;

    if (!check_room(manager, call, args->proposals.proposals_len, 0))
        return;
    pending = begin(manager, call, MANAGER_PROPOSE);
    if (pending == NULL)
        return;
    status = membership_propose(membership, clock_now_ms(), args, &pending->reply);
    log_proposals(pending, args, membership->change_count);
    finish(manager, pending, status);
}

static void handle_status(void *context, struct rpc_call *call, const void *args)
{
    struct manager *manager = context;
    struct pending *pending = begin(manager, call, MANAGER_STATUS);

    if (pending != NULL)
        finish(manager, pending,
               membership_status(manager->directory.membership, clock_now_ms(), args,
                                 &pending->reply));
}

static const char *admin_name(enum admin_kind kind)
{
    static const char *const names[] = {
        [ADMIN_MOVE] = "move",
        [ADMIN_DRAIN] = "drain",
        [ADMIN_UNDRAIN] = "undrain",
        [ADMIN_ADD_SERVER] = "add server",
        [ADMIN_REMOVE_SERVER] = "remove server",
        [ADMIN_REBALANCE] = "rebalance",
        [ADMIN_UNSAFE_RECOVER] = "unsafe recover",
    };
    const size_t index = (size_t)kind;

    return index < sizeof names / sizeof names[0] && names[index] != NULL ? names[index]
                                                                          : "unknown";
}

static void handle_admin(void *context, struct rpc_call *call, const void *data)
{
    struct manager *manager = context;
    struct membership *membership = manager->directory.membership;
    const struct admin_args *args = data;
    struct pending *pending;
    int status;

    if (!check_room(manager, call, 2, membership->map.partitions))
        return;
    pending = begin(manager, call, MANAGER_ADMIN);
    if (pending == NULL)
        return;
    status = membership_admin(membership, clock_now_ms(), args, &pending->reply);
    log_info("manager", "asked to %s%s status=%d peer=%s answer=\"%s\"", admin_name(args->kind),
             args->dry_run ? " (dry run)" : "", (int)pending->reply.status, rpc_call_peer(call),
             pending->reply.message);
    finish(manager, pending, status);
}

/* --- targets --- */

static void reconcile(uv_timer_t *timer)
{
    struct manager *manager = timer->data;
    struct manager_log *log = &manager->directory.log;
    struct membership *membership = manager->directory.membership;

    if (!manager_log_has_room(log, membership, 0, membership->map.partitions))
        return; /* W7: calls that need room are refused and say so */
    if (membership_reconcile(membership, clock_now_ms()) != 0)
        log_error("manager", "targets not repaired: out of memory");
    changes_log(membership);
    manager_log_append(log, membership);
    release(manager, wal_durable_lsn(log->wal));
}

/* --- the log --- */

static void wal_ready(uv_poll_t *poll, int status, int events)
{
    struct manager *manager = poll->data;

    (void)status;
    (void)events;
    release(manager, manager_log_complete(&manager->directory.log));
}

/* Damage to the last batch shall be told from a torn tail (W3). */
static void mark_log(uv_timer_t *timer)
{
    struct manager *manager = timer->data;
    struct wal *wal = manager->directory.log.wal;

    if (!wal_waiting(wal) && !wal_busy(wal))
        wal_mark(wal);
    release(manager, manager_log_complete(&manager->directory.log));
}

/* --- start and stop --- */

static int listen_calls(struct manager *manager, const struct address *address, struct error *error)
{
    static const rpc_handler handlers[] = {
        [MANAGER_REGISTER] = handle_register, [MANAGER_HEARTBEAT] = handle_heartbeat,
        [MANAGER_GET_MAP] = handle_get_map,   [MANAGER_PROPOSE] = handle_propose,
        [MANAGER_STATUS] = handle_status,     [MANAGER_ADMIN] = handle_admin,
    };
    const struct rpc_server_options options = {.connections_limit = CONNECTIONS_LIMIT,
                                               .calls_limit = CALLS_LIMIT};

    CHECK(program_manager.procedure_count == sizeof handlers / sizeof handlers[0]);
    manager->service = (struct rpc_service){&program_manager, handlers, manager};
    return rpc_server_listen(manager->loop, address, &manager->service, 1, &options,
                             &manager->server, error);
}

static void handle_closed(struct manager *manager)
{
    if (--manager->open_handles > 0)
        return;
    manager_directory_close(&manager->directory);
    if (manager->closed != NULL)
        manager->closed(manager->closed_context);
    free(manager);
}

static void uv_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void server_closed(void *context)
{
    handle_closed(context);
}

static void watch(struct manager *manager)
{
    const int descriptor = wal_descriptor(manager->directory.log.wal);

    manager->wal_poll.data = manager;
    manager->mark_timer.data = manager;
    CHECK(uv_poll_init(manager->loop, &manager->wal_poll, descriptor) == 0);
    CHECK(uv_poll_start(&manager->wal_poll, UV_READABLE, wal_ready) == 0);
    CHECK(uv_timer_init(manager->loop, &manager->mark_timer) == 0);
    CHECK(uv_timer_start(&manager->mark_timer, mark_log, MARK_INTERVAL_MS, MARK_INTERVAL_MS) == 0);
    manager->reconcile_timer.data = manager;
    CHECK(uv_timer_init(manager->loop, &manager->reconcile_timer) == 0);
    CHECK(uv_timer_start(&manager->reconcile_timer, reconcile, RECONCILE_INTERVAL_MS,
                         RECONCILE_INTERVAL_MS) == 0);
    manager->open_handles = 4;
}

int manager_start(uv_loop_t *loop, const struct manager_options *options, struct manager **manager,
                  struct error *error)
{
    struct manager *new = calloc(1, sizeof *new);
    int status;

    *manager = NULL;
    if (new == NULL)
        return error_set(error, CAIRN_ENOMEM, "manager: out of memory");
    new->loop = loop;
    new->last = &new->first;
    status = manager_directory_open(&new->directory, options, clock_now_ms(), error);
    if (status != 0) {
        free(new);
        return status;
    }
    if (options->replace_after_ms != 0)
        new->directory.membership->replace_after_ms = options->replace_after_ms;
    status = listen_calls(new, &options->listen, error);
    if (status != 0) {
        manager_directory_close(&new->directory);
        free(new);
        return status;
    }
    watch(new);
    *manager = new;
    return 0;
}

uint16_t manager_port(const struct manager *manager)
{
    return rpc_server_port(manager->server);
}

uint64_t manager_cluster(const struct manager *manager)
{
    return manager->directory.membership->map.cluster;
}

void manager_stop(struct manager *manager, void (*closed)(void *context), void *context)
{
    CHECK(!manager->stopping);
    manager->stopping = true;
    manager->closed = closed;
    manager->closed_context = context;
    manager_log_flush(&manager->directory.log);
    release(manager, wal_durable_lsn(manager->directory.log.wal));
    CHECK(manager->first == NULL);
    uv_close((uv_handle_t *)&manager->wal_poll, uv_closed);
    uv_close((uv_handle_t *)&manager->mark_timer, uv_closed);
    uv_close((uv_handle_t *)&manager->reconcile_timer, uv_closed);
    rpc_server_close(manager->server, server_closed, manager);
}
