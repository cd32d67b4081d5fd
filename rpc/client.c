/* An RPC client's calls: encoding, matching answers by xid, time limits, and the client's end. */
#include "rpc/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "proto/limits.h"
#include "rpc/client_internal.h"

static const uint64_t NOT_ARMED = UINT64_MAX;

/* --- finishing ------------------------------------------------------------- */

static void call_to_pool(struct rpc_client *client, struct client_call *call)
{
    TAILQ_INSERT_HEAD(&client->pool, call, entry);
}

/* The call is no longer in flight; its `done` comes from the timer, never from within a function
 * that the user called. */
static void finish(struct rpc_client *client, struct client_call *call, int status,
                   const char *reason, int system)
{
    call->status = status;
    call->reason = reason;
    call->system = system;
    call_table_remove(&client->table, call);
    TAILQ_REMOVE(&client->pending, call, entry);
    TAILQ_INSERT_TAIL(&client->finished, call, entry);
    client_arm(client, 0);
}

static void tell(struct rpc_client *client, struct client_call *call, const void *result)
{
    rpc_done done = call->done;
    void *context = call->context;
    int status = call->status;
    struct error error = {0};
    if (status != 0) {
        char text[ADDRESS_TEXT_MAX];
        (void)error_set(&error, status, "%s: %s%s%s", address_format(&client->address, text),
                        call->reason, call->system != 0 ? ": " : "",
                        call->system != 0 ? strerror(call->system) : "");
    }
    call_to_pool(client, call);
    done(context, status, status == 0 ? result : NULL, status == 0 ? NULL : &error);
}

/* Those that are due now; what finishes meanwhile waits for the next timer. */
static void tell_finished(struct rpc_client *client)
{
    struct client_call_list due = TAILQ_HEAD_INITIALIZER(due);
    struct client_call *call;
    TAILQ_CONCAT(&due, &client->finished, entry);
    if (!TAILQ_EMPTY(&due) && !client->closing) {
        turn_hold(&client->turn);
    }
    while ((call = TAILQ_FIRST(&due)) != NULL) {
        TAILQ_REMOVE(&due, call, entry);
        tell(client, call, NULL);
    }
}

void client_finish_all(struct rpc_client *client, const struct connection *connection,
                       const char *reason, int system)
{
    struct client_call *call;
    while ((call = TAILQ_FIRST(&client->pending)) != NULL) {
        /* A record that was not wholly sent cannot be executed, now that the stream has ended. */
        bool sent = call->stream_end <= connection->total_sent;
        finish(client, call, sent ? CAIRN_EUNKNOWN : CAIRN_EUNAVAILABLE, reason, system);
    }
}

/* Takes a call back that was not sent at all: true if it is certain that it never will be. The
 * stream still needs a record in its place when others follow, so it becomes a call of the NULL
 * procedure, whose answer nobody waits for. */
static bool withdraw(struct rpc_client *client, const struct client_call *call)
{
    struct connection *io = &client->link->io;
    uint64_t start = call->stream_end - call->length;
    if (start < io->total_sent) {
        return false;
    }
    size_t at = io->output_sent + (size_t)(start - io->total_sent);
    CHECK(at + call->length <= io->output.length);
    if (at + call->length == io->output.length) {
        io->output.length = at;
    } else {
        memset(io->output.data + at + MESSAGE_PROCEDURE_OFFSET, 0, 4);
    }
    return true;
}

static void give_up(struct rpc_client *client, struct client_call *call, const char *reason)
{
    bool unsent = withdraw(client, call);
    finish(client, call, unsent ? CAIRN_EUNAVAILABLE : CAIRN_EUNKNOWN, reason, 0);
}

/* --- time ------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
    struct rpc_client *client = timer->data;
    struct client_call *call;
    struct client_call *next;
    uint64_t now_ms = clock_now_ms();
    uint64_t due_ms = NOT_ARMED;
    client->timer_due_ms = NOT_ARMED;
    client_connect_expired(client, now_ms);
    for (call = TAILQ_FIRST(&client->pending); call != NULL; call = next) {
        next = TAILQ_NEXT(call, entry);
        if (call->deadline_ms <= now_ms) {
            give_up(client, call, "timed out");
        } else if (call->deadline_ms < due_ms) {
            due_ms = call->deadline_ms;
        }
    }
    client->timer_due_ms = NOT_ARMED; /* what has finished is told below */
    uv_timer_stop(timer);
    if (due_ms != NOT_ARMED) {
        client_arm(client, due_ms);
    }
    if (client->state == LINK_RESOLVING || client->state == LINK_CONNECTING) {
        client_arm(client, client->attempt_deadline_ms);
    }
    tell_finished(client);
}

/* The timer is armed for the earliest time that ever was wanted, and looks again when it fires: a
 * call that is answered in time costs no timer at all. */
void client_arm(struct rpc_client *client, uint64_t due_ms)
{
    if (due_ms >= client->timer_due_ms || client->closing) {
        return;
    }
    uint64_t now_ms = clock_now_ms();
    client->timer_due_ms = due_ms;
    uv_update_time(client->loop);
    uv_timer_start(&client->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* --- answers --------------------------------------------------------------- */

void client_on_record(struct connection *connection, const struct record *record)
{
    struct rpc_client *client = ((struct client_link *)(void *)connection)->client;
    uint32_t xid;
    if (message_reply_xid(record, &xid) != 0) {
        connection_end(connection, CAIRN_EPROTO, 0);
        return;
    }
    struct client_call *call = call_table_find(&client->table, xid);
    if (call == NULL) {
        return; /* it timed out or was cancelled */
    }
    const struct rpc_procedure *procedure = call->procedure;
    memset(client->result, 0, procedure->result_size);
    call->system = 0;
    call->status =
        message_reply_decode(record, procedure->xdr_result, client->result, &call->reason);
    call_table_remove(&client->table, call);
    TAILQ_REMOVE(&client->pending, call, entry);
    tell(client, call, client->result);
    xdr_free(procedure->xdr_result, client->result);
}

/* --- calls ----------------------------------------------------------------- */

static int reserve_result(struct rpc_client *client, size_t size)
{
    if (size > client->result_capacity) {
        void *larger = realloc(client->result, size);
        if (larger == NULL) {
            return CAIRN_ENOMEM;
        }
        client->result = larger;
        client->result_capacity = size;
    }
    return 0;
}

static struct client_call *take_call(struct rpc_client *client)
{
    struct client_call *call = TAILQ_FIRST(&client->pool);
    if (call != NULL) {
        TAILQ_REMOVE(&client->pool, call, entry);
        return call;
    }
    return malloc(sizeof *call);
}

/* Encodes the call behind what waits on the link, giving it an id. */
static int enqueue(struct rpc_client *client, struct client_call *call,
                   const struct rpc_program *program, uint32_t procedure, const void *args)
{
    int rc = call_table_add(&client->table, call);
    if (rc != 0) {
        return rc;
    }
    struct connection *io = &client->link->io;
    size_t before = io->output.length;
    rc = message_call_encode(&io->output, client->options.record_limit, (uint32_t)call->id, program,
                             procedure, args);
    if (rc != 0) {
        call_table_remove(&client->table, call);
        return rc;
    }
    call->length = (uint32_t)(io->output.length - before);
    call->stream_end = io->total_sent + connection_unsent(io);
    TAILQ_INSERT_TAIL(&client->pending, call, entry);
    return 0;
}

static int prepare(struct rpc_client *client, const struct rpc_procedure *procedure,
                   uint64_t now_ms, struct client_call **call)
{
    if (client->closing) {
        return CAIRN_ECANCELED;
    }
    int rc = reserve_result(client, procedure->result_size);
    if (rc != 0) {
        return rc;
    }
    if (client->state == LINK_CONNECTED && client->table.count == 0 &&
        now_ms - client->active_ms > IDLE_CHECK_MS && client_link_is_stale(client)) {
        client_disconnect(client, "the server closed the connection", 0);
    }
    client->active_ms = now_ms;
    rc = client_link_prepare(client);
    if (rc == 0) {
        *call = take_call(client);
        rc = *call == NULL ? CAIRN_ENOMEM : 0;
    }
    return rc;
}

int rpc_client_call(struct rpc_client *client, const struct rpc_program *program,
                    uint32_t procedure, const void *args, uint64_t timeout_ms, rpc_done done,
                    void *context, uint64_t *call_id)
{
    uint64_t now_ms = clock_now_ms();
    struct client_call *call = NULL;
    const struct rpc_procedure *what = message_procedure(program, procedure);
    CHECK(what != NULL && done != NULL);
    int rc = prepare(client, what, now_ms, &call);
    if (rc != 0) {
        return rc;
    }
    call->procedure = what;
    call->done = done;
    call->context = context;
    call->deadline_ms = timeout_ms < UINT64_MAX - now_ms ? now_ms + timeout_ms : UINT64_MAX - 1;
    rc = enqueue(client, call, program, procedure, args);
    if (rc != 0) {
        call_to_pool(client, call);
        return rc;
    }
    if (call_id != NULL) {
        *call_id = call->id;
    }
    client_arm(client, call->deadline_ms);
    if (client->state == LINK_CONNECTED) {
        connection_queue(&client->link->io);
    } else if (client->state == LINK_NONE) {
        client_connect(client, now_ms);
    }
    return 0;
}

void rpc_client_cancel(struct rpc_client *client, uint64_t call_id)
{
    struct client_call *call = call_table_find(&client->table, (uint32_t)call_id);
    if (call != NULL && call->id == call_id) {
        give_up(client, call, "cancelled");
    }
}

bool rpc_client_await(struct rpc_client *client)
{
    return client->state == LINK_CONNECTED && connection_await(&client->link->io);
}

bool rpc_client_connected(const struct rpc_client *client)
{
    return client->state == LINK_CONNECTED;
}

/* --- the client's life ----------------------------------------------------- */

int rpc_client_open(uv_loop_t *loop, const struct address *address,
                    const struct rpc_client_options *options, struct rpc_client **out)
{
    struct rpc_client *client = calloc(1, sizeof *client);
    *out = NULL;
    if (client == NULL) {
        return CAIRN_ENOMEM;
    }
    client->loop = loop;
    client->address = *address;
    if (options != NULL) {
        client->options = *options;
    }
    struct rpc_client_options *set = &client->options;
    set->calls_limit = set->calls_limit != 0 ? set->calls_limit : 4096;
    set->record_limit = set->record_limit != 0 ? set->record_limit : CAIRN_RECORD_LIMIT;
    set->connect_timeout_ms = set->connect_timeout_ms != 0 ? set->connect_timeout_ms : 3000;
    TAILQ_INIT(&client->pending);
    TAILQ_INIT(&client->finished);
    TAILQ_INIT(&client->pool);
    if (call_table_init(&client->table, set->calls_limit) != 0 ||
        turn_init(&client->turn, loop) != 0) {
        call_table_free(&client->table);
        free(client);
        return CAIRN_ENOMEM;
    }
    CHECK(uv_timer_init(loop, &client->timer) == 0);
    client->timer.data = client;
    client->timer_due_ms = NOT_ARMED;
    client->open_handles = 2; /* timer, turn */
    *out = client;
    return 0;
}

static void on_turn_closed(struct turn *turn)
{
    struct rpc_client *client =
        (struct rpc_client *)(void *)((char *)turn - offsetof(struct rpc_client, turn));
    void (*closed)(void *context) = client->closed;
    void *context = client->closed_context;
    struct client_call *call;
    tell_finished(client);
    CHECK(client->table.count == 0 && TAILQ_EMPTY(&client->finished));
    while ((call = TAILQ_FIRST(&client->pool)) != NULL) {
        TAILQ_REMOVE(&client->pool, call, entry);
        free(call);
    }
    call_table_free(&client->table);
    free(client->result);
    free(client);
    if (closed != NULL) {
        closed(context);
    }
}

/* Called for each closed handle; the turn goes last, when no connection can use it any more. */
void client_handle_closed(struct rpc_client *client)
{
    CHECK(client->open_handles > 1);
    if (--client->open_handles == 1 && client->closing) {
        turn_close(&client->turn, on_turn_closed);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    client_handle_closed(handle->data);
}

void rpc_client_close(struct rpc_client *client, void (*closed)(void *context), void *context)
{
    CHECK(!client->closing);
    client_disconnect(client, "the client was closed", 0);
    client->closing = true;
    client->closed = closed;
    client->closed_context = context;
    client_resolve_cancel(client);
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}
