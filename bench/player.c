/* The agents of many hosts in one loop. */
#include "bench/player.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <uv.h>

#include "base/clock.h"
#include "base/random.h"
#include "client/host_session.h"
#include "proto/cache_rpc.h"
#include "proto/server_rpc.h"
#include "rpc/client.h"

enum {
    WINDOW = 16, /* reads of one host under way */
    LISTEN_MS = 30000,
    CALL_MS = 5000,
    LOOK_MS = 20,
    OPEN_LIMIT_MS = 10000,
    MEMORY = CACHE_BYTES_MIN,
    LINE_SIZE = 64,
};

struct player_host {
    struct player *player;
    struct host_session session;
    struct cache cache;
    void *memory;
    struct rpc_client *rpc;
    uint64_t next_key; /* of the reads under way; as many as there are keys: none left */
};

struct player {
    const struct player_options *options;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_pipe_t in;
    char line[LINE_SIZE]; /* what came of it */
    size_t length;
    uint64_t begun_ms, granted, unread;
    bool announced, over;
    struct error error;
    struct player_host hosts[PLAYER_HOSTS_MAX];
};

/* One call under way; `number`: of the session that it was made for. */
struct player_call {
    struct player_host *host;
    enum host_session_call kind; /* NONE: a GET */
    uint64_t number;
};

static void fail(struct player *player, int code, const char *why)
{
    if (player->error.code == 0)
        error_set(&player->error, code, "hosts: %s", why);
    player->over = true;
    uv_stop(&player->loop);
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static void drive(struct player_host *host);

static void take_result(const struct player_call *call, const void *result, uint64_t now_ms)
{
    struct host_session *session = &call->host->session;
    const cache_lease *lease = result;
    switch (call->kind) {
    case HOST_CALL_OPEN:
    case HOST_CALL_RENEW:
        host_session_granted(session, call->number, lease->status, lease->granted_ms, now_ms);
        break;
    case HOST_CALL_LISTEN:
        host_session_batch(session, call->number, result, now_ms);
        break;
    case HOST_CALL_CLOSE:
        host_session_closed(session, call->number);
        break;
    case HOST_CALL_NONE:
        break;
    }
}

static void on_session(void *context, int status, const void *result, const struct error *error)
{
    struct player_call *call = context;
    struct player_host *host = call->host;
    (void)error;
    if (status == CAIRN_OK)
        take_result(call, result, clock_now_ms());
    else
        host_session_failed(&host->session, call->kind, call->number, clock_now_ms());
    free(call);
    if (!host->player->over)
        drive(host);
}

static int send_call(struct player_host *host, enum host_session_call kind, uint64_t number,
                     struct player_call *call)
{
    const cache_open_args open = {0, number};
    const cache_renew_args renew = {number};
    const cache_listen_args listen = {number, host->session.answered};
    const cache_close_args close = {number};
    const struct {
        uint32_t procedure;
        const void *args;
        uint64_t limit_ms;
    } calls[] = {
        [HOST_CALL_OPEN] = {CACHE_OPEN, &open, CALL_MS},
        [HOST_CALL_RENEW] = {CACHE_RENEW, &renew, CALL_MS},
        [HOST_CALL_LISTEN] = {CACHE_LISTEN, &listen, LISTEN_MS},
        [HOST_CALL_CLOSE] = {CACHE_CLOSE, &close, CALL_MS},
    };
    return rpc_client_call(host->rpc, &program_cache, calls[kind].procedure, calls[kind].args,
                           calls[kind].limit_ms, on_session, call, NULL);
}

static void drive(struct player_host *host)
{
    enum host_session_call kind;
    uint64_t now_ms = clock_now_ms(); /* C5: before anything leaves */
    while ((kind = host_session_due(&host->session, now_ms)) != HOST_CALL_NONE) {
        uint64_t number = kind == HOST_CALL_OPEN ? random_id() : host->session.number;
        struct player_call *call = malloc(sizeof(*call));
        host_session_sent(&host->session, kind, number, now_ms);
        if (call != NULL)
            *call = (struct player_call){host, kind, number};
        if (call == NULL || send_call(host, kind, number, call) != CAIRN_OK) {
            free(call);
            fail(host->player, CAIRN_ENOMEM, "out of memory");
            return;
        }
        now_ms = clock_now_ms();
    }
}

/* --- reads -------------------------------------------------------------------------------------
 */

static void read_more(struct player_host *host);

static void on_get(void *context, int status, const void *result, const struct error *error)
{
    struct player_call *call = context;
    struct player_host *host = call->host;
    struct player *player = host->player;
    const get_result *got = result;
    if (status != CAIRN_OK)
        fail(player, CAIRN_EUNAVAILABLE, error->message);
    else if (got->status != SERVER_OK)
        fail(player, CAIRN_EUNAVAILABLE, "a key cannot be read");
    else
        player->granted += got->get_result_u.found.granted == call->number;
    free(call);
    if (player->over)
        return;
    if (--player->unread == 0) {
        printf("read %" PRIu64 " of %" PRIu64 "\n", player->granted,
               player->options->hosts * player->options->workload.keys);
        fflush(stdout);
    }
    read_more(host);
}

static void read_more(struct player_host *host)
{
    const struct workload *workload = &host->player->options->workload;
    char text[BENCH_KEY_MAX];
    if (host->next_key == workload->keys)
        return;
    struct bytes key = workload_key_text(workload, workload->first_key + host->next_key++, text);
    struct player_call *call = malloc(sizeof(*call));
    const get_args args = {.cache_session = host->session.number,
                           .key = {key.data, (uint32_t)key.length}};
    if (call != NULL)
        *call = (struct player_call){host, HOST_CALL_NONE, host->session.number};
    if (call == NULL || rpc_client_call(host->rpc, &program_server, SERVER_GET, &args, CALL_MS,
                                        on_get, call, NULL) != CAIRN_OK) {
        free(call);
        fail(host->player, CAIRN_ENOMEM, "out of memory");
    }
}

static void read_all(struct player *player)
{
    player->granted = 0;
    player->unread = player->options->hosts * player->options->workload.keys;
    for (uint32_t i = 0; i < player->options->hosts; i++)
        player->hosts[i].next_key = 0;
    for (int k = 0; k < WINDOW && !player->over; k++)
        for (uint32_t i = 0; i < player->options->hosts && !player->over; i++)
            read_more(&player->hosts[i]);
}

/* --- what drives it ----------------------------------------------------------------------------
 */

static void look(struct player *player)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < player->options->hosts && !player->over; i++) {
        drive(&player->hosts[i]);
        open += player->hosts[i].session.state == HOST_SESSION_OPEN;
    }
    if (!player->announced && open == player->options->hosts) {
        player->announced = true;
        printf("open %u\n", open);
        fflush(stdout);
    }
    if (!player->announced && clock_now_ms() - player->begun_ms > OPEN_LIMIT_MS)
        fail(player, CAIRN_EUNAVAILABLE, "no session with the server");
}

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    struct player *player = handle->data;
    (void)wanted;
    *room = uv_buf_init(player->line + player->length, (unsigned)(LINE_SIZE - player->length));
}

static void on_line(uv_stream_t *stream, ssize_t length, const uv_buf_t *room)
{
    struct player *player = stream->data;
    (void)room;
    if (length < 0) {
        player->over = true;
        uv_stop(&player->loop);
        return;
    }
    player->length += (size_t)length;
    if (player->length == 0 || player->line[player->length - 1] != '\n')
        return;
    bool known = player->length == 5 && memcmp(player->line, "read\n", 5) == 0;
    player->length = 0;
    if (!known || player->unread > 0 || !player->announced)
        fail(player, CAIRN_EINVAL, "expected `read`, and one at a time");
    else
        read_all(player);
}

/* --- life --------------------------------------------------------------------------------------
 */

static int open_host(struct player *player, struct player_host *host, const struct address *address)
{
    static const struct cache_locks locks;
    host->player = player;
    host->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (host->memory == MAP_FAILED)
        return CAIRN_ENOMEM;
    int status = cache_format(host->memory, MEMORY, 1, 0, 0);
    if (status == 0)
        status = cache_attach(&host->cache, host->memory, MEMORY, 0, 0, 0, &locks);
    if (status == 0)
        status = rpc_client_open(&player->loop, address, NULL, &host->rpc);
    if (status != 0)
        return status;
    cache_raise_generation(&host->cache);
    host_session_init(&host->session, &host->cache, 0);
    host->next_key = player->options->workload.keys;
    return 0;
}

static int open_all(struct player *player, int in)
{
    struct address address;
    int status = address_parse(player->options->server, &address, &player->error);
    if (status != 0)
        return status;
    uv_timer_init(&player->loop, &player->timer);
    uv_pipe_init(&player->loop, &player->in, 0);
    player->timer.data = player->in.data = player;
    for (uint32_t i = 0; i < player->options->hosts && status == 0; i++)
        status = open_host(player, &player->hosts[i], &address);
    if (status == 0 && uv_pipe_open(&player->in, in) != 0)
        return error_set(&player->error, CAIRN_EINVAL, "hosts: stdin is not a pipe");
    if (status != 0)
        return error_set(&player->error, status, "hosts: %s", error_text(status));
    return 0;
}

/* The server is not told: a host that is gone is what the end of its lease is for. */
static void close_all(struct player *player)
{
    player->over = true;
    for (uint32_t i = 0; i < player->options->hosts; i++) {
        struct player_host *host = &player->hosts[i];
        if (host->rpc != NULL)
            rpc_client_close(host->rpc, NULL, NULL);
    }
    if (player->timer.data != NULL) {
        uv_close((uv_handle_t *)&player->timer, NULL);
        uv_close((uv_handle_t *)&player->in, NULL);
    }
    uv_run(&player->loop, UV_RUN_DEFAULT);
    uv_loop_close(&player->loop);
    for (uint32_t i = 0; i < player->options->hosts; i++)
        if (player->hosts[i].memory != NULL && player->hosts[i].memory != MAP_FAILED)
            munmap(player->hosts[i].memory, MEMORY);
}

int player_run(const struct player_options *options, int in, struct error *error)
{
    struct player *player = calloc(1, sizeof(*player));
    if (player == NULL || uv_loop_init(&player->loop) != 0) {
        free(player);
        return error_set(error, CAIRN_ENOMEM, "hosts: out of memory");
    }
    player->options = options;
    player->begun_ms = clock_now_ms();
    int status = open_all(player, in);
    if (status == 0) {
        uv_timer_start(&player->timer, on_timer, 0, LOOK_MS);
        uv_read_start((uv_stream_t *)&player->in, on_room, on_line);
        uv_run(&player->loop, UV_RUN_DEFAULT);
    }
    *error = player->error;
    close_all(player);
    free(player);
    return error->code;
}
