/* A cluster for the client's tests: real sockets, the real RPC protocol, and servers that follow a
 * script where a test gives one.
 *
 * One thread runs a manager and some servers. Without a script a server behaves: it serves the
 * partitions that are its own, redirects for others, executes each mutation once. All fields are
 * under `mutex`, which the thread holds while it handles a call. */
#ifndef CAIRN_TESTS_UNIT_CLIENT_FIXTURE_H
#define CAIRN_TESTS_UNIT_CLIENT_FIXTURE_H

#include "tests/unit/client_fixture_state.h"

/* --- servers ------------------------------------------------------------------------------------
 */

static inline void fake_listen(struct fake_server *server);

static inline void fake_on_dropped(void *context)
{
    struct fake_server *server = context;
    server->fake->open--;
    server->rpc = NULL;
    if (server->relisten && !server->fake->stopping) {
        fake_listen(server);
    }
}

/* Breaks all connections, for good. */
static inline void fake_leave(struct fake_server *server)
{
    if (server->rpc != NULL && !server->relisten && !server->gone) {
        server->gone = true;
        rpc_server_close(server->rpc, fake_on_dropped, server);
    }
}

/* Breaks all connections; the port answers again soon. */
static inline void fake_drop(struct fake_server *server)
{
    if (server->rpc != NULL && !server->relisten && !server->gone) {
        server->relisten = true;
        rpc_server_close(server->rpc, fake_on_dropped, server);
    }
}

static inline int fake_next(struct fake_server *server)
{
    server->calls++;
    if (server->silent) {
        return FAKE_SILENT;
    }
    return server->script_at < server->script_length ? server->script[server->script_at++]
                                                     : FAKE_BEHAVE;
}

/* Where nobody serves, everybody names the next one. */
static inline server_redirect fake_redirect(const struct fake_server *server, uint32_t partition)
{
    const struct fake *fake = server->fake;
    uint32_t primary = fake->truth[partition];

    if (primary >= FAKE_SERVERS) {
        primary = (server->id + 1) % FAKE_SERVERS;
    }
    return (server_redirect){.epoch = fake->epochs[partition], .primary = primary};
}

/* Ends a call as its script says: true if `result` is to be sent. The status is a result's first
 * member. */
static inline bool fake_end(struct fake_server *server, int action, server_status *status)
{
    if (action == FAKE_DROP || action == FAKE_EXECUTE_DROP) {
        fake_drop(server);
        return false;
    }
    if (action == FAKE_LEAVE) {
        fake_leave(server);
        return false;
    }
    if (action == FAKE_SILENT || action == FAKE_EXECUTE_SILENT) {
        return false;
    }
    if (action >= FAKE_STATUS) {
        *status = (server_status)(action - FAKE_STATUS);
    }
    return true;
}

static inline bool fake_executes(int action)
{
    return action == FAKE_BEHAVE || action == FAKE_EXECUTE_DROP || action == FAKE_EXECUTE_SILENT;
}

static inline uint32_t fake_partition(const struct view *key)
{
    return partition_of(key->data, key->length, FAKE_PARTITIONS);
}

/* Kept unanswered until the end. */
struct fake_kept {
    struct rpc_call *calls[1024];
    unsigned count;
};
static struct fake_kept fake_kept;

static inline void fake_finish(struct fake_server *server, int action, struct rpc_call *call,
                               server_status *result)
{
    if (fake_end(server, action, result)) {
        rpc_reply(call, result);
    } else {
        CHECK(fake_kept.count < 1024);
        fake_kept.calls[fake_kept.count++] = call;
    }
}

static inline void fake_grant(struct fake_server *server, const get_args *args, get_found *found)
{
    struct fake_host *host = &server->host;

    found->expires_in_ms = host->expires_in_ms;
    if (args->cache_session != 0 && args->cache_session == host->session && !host->refuse) {
        found->granted = args->cache_session;
        host->granted++;
    }
}

static inline void fake_on_get(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    struct fake *fake = server->fake;
    const get_args *args = data;
    get_result result = {.status = SERVER_NOT_FOUND};
    uint32_t partition = fake_partition(&args->key);

    pthread_mutex_lock(&fake->mutex);
    int action = fake_next(server);
    if (fake->truth[partition] != server->id) {
        result.status = SERVER_NOT_PRIMARY;
        result.get_result_u.redirect = fake_redirect(server, partition);
    } else if (fake_executes(action)) {
        const struct fake_pair *pair = fake_find(fake, &args->key);
        if (pair != NULL) {
            result.status = SERVER_OK;
            result.get_result_u.found.key_version = pair->version;
            result.get_result_u.found.value =
                (struct view){(const uint8_t *)pair->value, pair->value_length};
            fake_grant(server, args, &result.get_result_u.found);
        }
    } else {
        result.get_result_u.message = view_of_text("scripted");
    }
    fake_finish(server, action, call, &result.status);
    pthread_mutex_unlock(&fake->mutex);
}

/* Whether a mutation is to be executed now; false also for a duplicate. */
static inline bool fake_admit(struct fake_server *server, int action, uint32_t partition,
                              uint64_t client, uint64_t number)
{
    struct fake *fake = server->fake;
    struct fake_session *session = &fake->sessions[partition];

    server->last_client = client;
    server->last_number = number;
    if (!fake_executes(action) || fake->truth[partition] != server->id ||
        (session->client == client && session->number >= number)) {
        return false;
    }
    session->client = client;
    session->number = number;
    fake->executed++;
    return true;
}

static inline void fake_on_put(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    struct fake *fake = server->fake;
    const put_args *args = data;
    put_result result = {.status = SERVER_OK};
    uint32_t partition = fake_partition(&args->key);

    pthread_mutex_lock(&fake->mutex);
    int action = fake_next(server);
    struct fake_session *session = &fake->sessions[partition];
    if (fake_admit(server, action, partition, args->client, args->number)) {
        const struct fake_pair *pair = fake_find(fake, &args->key);
        session->existed = pair != NULL;
        session->version = pair != NULL ? pair->version : 0;
        if (!args->conditional || session->version == args->if_version) {
            session->version = fake_store(fake, &args->key, &args->value);
        } else {
            result.status = SERVER_VERSION_MISMATCH;
            result.put_result_u.current_version = session->version;
        }
    }
    if (fake->truth[partition] != server->id) {
        result.status = SERVER_NOT_PRIMARY;
        result.put_result_u.redirect = fake_redirect(server, partition);
    } else if (!fake_executes(action)) {
        result.put_result_u.message = view_of_text("scripted");
    } else if (result.status == SERVER_OK) {
        result.put_result_u.done = (put_done){session->existed, session->version};
    }
    fake_finish(server, action, call, &result.status);
    pthread_mutex_unlock(&fake->mutex);
}

static inline void fake_on_swap(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    struct fake *fake = server->fake;
    const swap_args *args = data;
    swap_result result = {.status = SERVER_OK};
    char *old = NULL;

    pthread_mutex_lock(&fake->mutex);
    int action = fake_next(server);
    if (fake_admit(server, action, fake_partition(&args->key), args->client, args->number)) {
        struct fake_pair *pair = fake_find(fake, &args->key);
        if (pair != NULL) {
            old = pair->value;
            pair->value = NULL;
            result.swap_result_u.done.existed = true;
            result.swap_result_u.done.old_value =
                (struct view){(const uint8_t *)old, pair->value_length};
        }
        result.swap_result_u.done.key_version = fake_store(fake, &args->key, &args->value);
    }
    fake_finish(server, action, call, &result.status);
    free(old);
    pthread_mutex_unlock(&fake->mutex);
}

static inline void fake_on_delete(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    struct fake *fake = server->fake;
    const delete_args *args = data;
    delete_result result = {.status = SERVER_OK};

    pthread_mutex_lock(&fake->mutex);
    int action = fake_next(server);
    if (fake_admit(server, action, fake_partition(&args->key), args->client, args->number)) {
        struct fake_pair *pair = fake_find(fake, &args->key);
        result.delete_result_u.existed = pair != NULL;
        if (pair != NULL) {
            fake_remove(fake, pair);
        }
    }
    fake_finish(server, action, call, &result.status);
    pthread_mutex_unlock(&fake->mutex);
}

static inline bool fake_asked_for(const scan_args *args, const struct fake_pair *pair)
{
    const struct view key = {pair->key, pair->key_length};
    uint32_t partition = fake_partition(&key);
    int from = args->from.length == 0 ? 1 : fake_order(pair, args->from.data, args->from.length);

    if (from < 0 || (from == 0 && args->after_from) ||
        (args->to.length > 0 && fake_order(pair, args->to.data, args->to.length) > 0)) {
        return false;
    }
    for (uint32_t i = 0; i < args->partitions.partitions_len; i++) {
        if (args->partitions.partitions_val[i] == partition) {
            return true;
        }
    }
    return false;
}

static inline void fake_fill_page(struct fake_server *server, const scan_args *args,
                                  scan_pair *pairs, scan_page *page)
{
    struct fake *fake = server->fake;
    uint32_t limit = args->limit_pairs;
    uint32_t bytes = 0;

    limit = server->page_limit > 0 && server->page_limit < limit ? server->page_limit : limit;
    page->pairs.pairs_val = pairs;
    for (uint32_t i = 0; i < fake->pair_count; i++) {
        const struct fake_pair *pair = &fake->pairs[i];
        if (!fake_asked_for(args, pair)) {
            continue;
        }
        bytes += pair->key_length + pair->value_length;
        if (page->pairs.pairs_len == limit ||
            (page->pairs.pairs_len > 0 && bytes > args->limit_bytes)) {
            page->more = true;
            break;
        }
        pairs[page->pairs.pairs_len++] = (scan_pair){
            {pair->key, pair->key_length}, {(const uint8_t *)pair->value, pair->value_length}};
    }
}

static inline void fake_on_scan(void *context, struct rpc_call *call, const void *data)
{
    static scan_pair pairs[CAIRN_SCAN_PAIRS_LIMIT];
    struct fake_server *server = context;
    struct fake *fake = server->fake;
    const scan_args *args = data;
    scan_result result = {.status = SERVER_OK};

    pthread_mutex_lock(&fake->mutex);
    int action = fake_next(server);
    for (uint32_t i = 0; i < args->partitions.partitions_len; i++) {
        uint32_t partition = args->partitions.partitions_val[i];
        if (fake->truth[partition] != server->id && result.status == SERVER_OK) {
            result.status = SERVER_NOT_PRIMARY;
            result.scan_result_u.refused =
                (scan_refused){partition, fake_redirect(server, partition)};
        }
    }
    if (result.status == SERVER_OK && server->bad_pages) {
        result.scan_result_u.page.more = true;
    } else if (result.status == SERVER_OK && action < FAKE_STATUS) {
        fake_fill_page(server, args, pairs, &result.scan_result_u.page);
    } else if (result.status == SERVER_OK) {
        result.scan_result_u.message = view_of_text("scripted");
    }
    fake_finish(server, action, call, &result.status);
    pthread_mutex_unlock(&fake->mutex);
}

static inline void fake_on_status(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    struct fake *fake = server->fake;
    status_result result = {.status = SERVER_OK};
    partition_status partitions[FAKE_PARTITIONS];
    server_report *report = &result.status_result_u.report;

    (void)data;
    pthread_mutex_lock(&fake->mutex);
    report->server = server->id;
    report->gets = server->calls;
    report->partitions.partitions_val = partitions;
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        if (fake->truth[p] == server->id) {
            partitions[report->partitions.partitions_len++] =
                (partition_status){.partition = p,
                                   .role = 2,
                                   .epoch = fake->epochs[p],
                                   .last_index = 9,
                                   .commit_index = 9,
                                   .applied_index = 7};
        }
    }
    fake_finish(server, server->silent ? FAKE_SILENT : FAKE_BEHAVE, call, &result.status);
    pthread_mutex_unlock(&fake->mutex);
}

static inline void fake_on_retire(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    const retire_args *args = data;
    retire_result result = {.status = SERVER_OK};

    pthread_mutex_lock(&server->fake->mutex);
    server->retired += args->partitions.partitions_len;
    rpc_reply(call, &result);
    pthread_mutex_unlock(&server->fake->mutex);
}

/* Like a server of a version that knew nothing of scrubs. */
static const rpc_handler fake_server_handlers[] = {
    NULL,         fake_on_get,    fake_on_put,    fake_on_swap, fake_on_delete,
    fake_on_scan, fake_on_status, fake_on_retire, NULL,
};

/* --- the host's sessions ------------------------------------------------------------------------
 */

static inline void fake_keep(struct rpc_call *call)
{
    CHECK(fake_kept.count < 1024);
    fake_kept.calls[fake_kept.count++] = call;
}

static inline void fake_on_cache_open(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    struct fake_host *host = &server->host;
    const cache_open_args *args = data;
    cache_lease lease = {host->lease_ms > 0 ? CACHE_OK : CACHE_OFF, host->lease_ms};

    pthread_mutex_lock(&server->fake->mutex);
    host->opened++;
    if (args->cluster != server->fake->cluster) {
        lease = (cache_lease){CACHE_WRONG_CLUSTER, 0};
    } else if (host->lease_ms > 0) {
        host->session = args->session;
        host->number = 0;
    }
    rpc_reply(call, &lease);
    pthread_mutex_unlock(&server->fake->mutex);
}

static inline void fake_on_cache_renew(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    struct fake_host *host = &server->host;
    const cache_renew_args *args = data;
    bool known = host->session == args->session && host->session != 0;
    cache_lease lease = {known ? CACHE_OK : CACHE_CLOSED, known ? host->lease_ms : 0};

    pthread_mutex_lock(&server->fake->mutex);
    host->renewed++;
    rpc_reply(call, &lease);
    pthread_mutex_unlock(&server->fake->mutex);
}

static inline void fake_send_batch(struct fake_server *server)
{
    struct fake_host *host = &server->host;

    if (host->waiting && host->listening != NULL) {
        const cache_batch batch = {.status = CACHE_OK,
                                   .number = ++host->number,
                                   .buckets = {.buckets_len = 1, .buckets_val = &host->bucket}};
        host->waiting = false;
        rpc_reply(host->listening, &batch);
        host->listening = NULL;
    }
}

static inline void fake_on_cache_listen(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    struct fake_host *host = &server->host;
    const cache_listen_args *args = data;

    pthread_mutex_lock(&server->fake->mutex);
    if (args->session != host->session) {
        const cache_batch batch = {.status = CACHE_CLOSED};
        rpc_reply(call, &batch);
    } else {
        if (host->listening != NULL) {
            fake_keep(host->listening);
        }
        host->listening = call;
        host->answered = args->answered;
        fake_send_batch(server);
    }
    pthread_mutex_unlock(&server->fake->mutex);
}

static inline void fake_on_cache_close(void *context, struct rpc_call *call, const void *data)
{
    struct fake_server *server = context;
    const cache_close_args *args = data;
    const cache_closed closed = {CACHE_OK};

    pthread_mutex_lock(&server->fake->mutex);
    if (args->session == server->host.session) {
        server->host.session = 0;
        server->host.closed++;
    }
    rpc_reply(call, &closed);
    pthread_mutex_unlock(&server->fake->mutex);
}

static const rpc_handler fake_cache_handlers[] = {
    NULL, fake_on_cache_open, fake_on_cache_renew, fake_on_cache_listen, fake_on_cache_close,
};

static inline void fake_on_poke(uv_async_t *async)
{
    struct fake *fake = async->data;

    pthread_mutex_lock(&fake->mutex);
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        fake_send_batch(&fake->servers[i]);
        if (fake->drop[i]) {
            fake->drop[i] = false;
            fake_drop(&fake->servers[i]);
        }
    }
    pthread_mutex_unlock(&fake->mutex);
}

static inline void fake_listen(struct fake_server *server)
{
    struct error error = {0};

    server->services[0] = (struct rpc_service){&program_server, fake_server_handlers, server};
    server->services[1] = (struct rpc_service){&program_cache, fake_cache_handlers, server};

    CHECK(rpc_server_listen(&server->fake->loop, &server->address, server->services,
                            server->fake->old_servers ? 1 : 2, NULL, &server->rpc, &error) == 0);
    server->address.port = rpc_server_port(server->rpc);
    server->relisten = false;
    server->fake->open++;
}

/* --- the manager --------------------------------------------------------------------------------
 */

static inline void fake_pack_map(struct fake *fake, struct buffer *out)
{
    struct map_server servers[FAKE_SERVERS];
    struct configuration configurations[FAKE_PARTITIONS];
    struct target targets[FAKE_PARTITIONS];
    struct cluster_map map = {
        .cluster = fake->cluster,
        .version = fake->version,
        .partitions = FAKE_PARTITIONS,
        .replicas = 1,
        .server_count = FAKE_SERVERS,
        .servers = servers,
        .configurations = configurations,
        .targets = targets,
    };
    struct error error = {0};

    memset(targets, 0, sizeof(targets));
    memset(servers, 0, sizeof(servers));
    memset(configurations, 0, sizeof(configurations));
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        servers[i].id = i;
        servers[i].address = fake->servers[i].address;
        address_format(&servers[i].address, servers[i].address_text);
        servers[i].store = 100 + i;
        servers[i].incarnation = 1;
    }
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        struct replica_id primary = {fake->told[p], 100 + fake->told[p], 1};
        configurations[p].partition = p;
        configurations[p].history = 1;
        configurations[p].epoch = fake->told[p] == fake->truth[p] ? fake->epochs[p] : 1;
        configurations[p].primary = primary;
        configurations[p].member_count = 1;
        configurations[p].members[0] = (struct replica_id){primary.server, primary.store, 0};
        targets[p] = (struct target){1, {primary.server}, TARGET_ANY};
    }
    CHECK(cluster_map_pack(&map, out, &error) == 0);
}

static inline void fake_on_map(void *context, struct rpc_call *call, const void *data)
{
    struct fake *fake = context;
    const map_args *args = data;
    map_result result = {.status = MANAGER_OK};
    struct buffer packed;

    pthread_mutex_lock(&fake->mutex);
    buffer_init(&packed, CAIRN_MAP_LIMIT);
    fake->map_calls++;
    if (fake->map_calls == fake->tell_at_call) {
        memcpy(fake->told, fake->truth, sizeof(fake->told));
        fake->version++;
    }
    result.status = (manager_status)fake->manager_status;
    if (result.status != MANAGER_OK) {
        result.map_result_u.message = view_of_text("scripted");
    } else if (args->known_version != fake->version) {
        fake_pack_map(fake, &packed);
        result.map_result_u.done.map_version = fake->version;
        result.map_result_u.done.map = (struct view){packed.data, (uint32_t)packed.length};
    }
    rpc_reply(call, &result);
    buffer_free(&packed);
    pthread_mutex_unlock(&fake->mutex);
}

static inline void fake_on_manager_status(void *context, struct rpc_call *call, const void *data)
{
    struct fake *fake = context;
    manager_status_result result = {.status = MANAGER_OK};
    manager_report *report = &result.manager_status_result_u.report;
    server_state states[FAKE_SERVERS];
    char texts[FAKE_SERVERS][ADDRESS_TEXT_MAX];
    struct buffer packed;

    (void)data;
    pthread_mutex_lock(&fake->mutex);
    buffer_init(&packed, CAIRN_MAP_LIMIT);
    fake_pack_map(fake, &packed);
    memset(states, 0, sizeof(states));
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        states[i].server = i;
        states[i].registered = true;
        states[i].address = view_of_text(address_format(&fake->servers[i].address, texts[i]));
    }
    report->cluster = fake->cluster;
    report->partitions = FAKE_PARTITIONS;
    report->replicas = 1;
    report->servers.servers_len = FAKE_SERVERS;
    report->servers.servers_val = states;
    report->map = (struct view){packed.data, (uint32_t)packed.length};
    report->moving.moving_len = fake->moving_count;
    report->moving.moving_val = fake->moving;
    rpc_reply(call, &result);
    fake->moving_count -= fake->moving_count > 0;
    buffer_free(&packed);
    pthread_mutex_unlock(&fake->mutex);
}

static inline void fake_listen_manager(struct fake *fake);

static inline void fake_on_manager_dropped(void *context)
{
    struct fake *fake = context;
    fake->open--;
    fake->manager_dropping = false;
    if (!fake->stopping) {
        fake_listen_manager(fake);
    }
}

/* Plans to move what the test says is moving, to server 2. */
static inline void fake_on_admin(void *context, struct rpc_call *call, const void *data)
{
    struct fake *fake = context;
    const admin_args *args = data;
    admin_result result = {.status = MANAGER_OK};
    planned_move moves[FAKE_PARTITIONS];

    pthread_mutex_lock(&fake->mutex);
    fake->admin_calls++;
    fake->admin = *args;
    snprintf(fake->admin_address, sizeof(fake->admin_address), "%.*s", (int)args->address.length,
             (const char *)args->address.data);
    result.status = (manager_status)fake->admin_status;
    if (fake->admin_drops) {
        fake->admin_drops = false;
        fake_kept.calls[fake_kept.count++] = call;
        fake->manager_dropping = true;
        rpc_server_close(fake->manager, fake_on_manager_dropped, fake);
        pthread_mutex_unlock(&fake->mutex);
        return;
    }
    if (result.status == MANAGER_OK) {
        admin_done *done = &result.admin_result_u.done;
        done->server = 7;
        done->message = view_of_text("as you say");
        done->moves.moves_len = fake->moving_count;
        done->moves.moves_val = moves;
        for (uint32_t i = 0; i < fake->moving_count; i++) {
            moves[i] = (planned_move){fake->moving[i], 0, 2, i == 0};
        }
    } else {
        result.admin_result_u.message = view_of_text("scripted refusal");
    }
    rpc_reply(call, &result);
    pthread_mutex_unlock(&fake->mutex);
}

static const rpc_handler fake_manager_handlers[] = {
    NULL, NULL, NULL, fake_on_map, NULL, fake_on_manager_status, fake_on_admin,
};

static const rpc_handler fake_old_manager_handlers[] = {
    NULL, NULL, NULL, fake_on_map, NULL, fake_on_manager_status, NULL,
};

static inline void fake_listen_manager(struct fake *fake)
{
    struct error error = {0};

    fake->manager_service = (struct rpc_service){
        &program_manager, fake->old_manager ? fake_old_manager_handlers : fake_manager_handlers,
        fake};
    CHECK(rpc_server_listen(&fake->loop, &fake->manager_address, &fake->manager_service, 1, NULL,
                            &fake->manager, &error) == 0);
    fake->manager_address.port = rpc_server_port(fake->manager);
    fake->open++;
}

/* --- the thread
 * ----------------------------------------------------------------------------------- */

static inline void fake_on_closed(void *context)
{
    struct fake *fake = context;
    fake->open--;
}

static inline void fake_on_stop(uv_async_t *async)
{
    struct fake *fake = async->data;

    fake->stopping = true;
    for (unsigned i = 0; i < fake_kept.count; i++) {
        rpc_reply_error(fake_kept.calls[i], SYSTEM_ERR);
    }
    fake_kept.count = 0;
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        if (fake->servers[i].host.listening != NULL) {
            rpc_reply_error(fake->servers[i].host.listening, SYSTEM_ERR);
        }
        if (fake->servers[i].rpc != NULL && !fake->servers[i].relisten && !fake->servers[i].gone) {
            rpc_server_close(fake->servers[i].rpc, fake_on_closed, fake);
        }
    }
    if (!fake->manager_dropping) {
        rpc_server_close(fake->manager, fake_on_closed, fake);
    }
    uv_close((uv_handle_t *)async, NULL);
    uv_close((uv_handle_t *)&fake->poke, NULL);
}

static inline void *fake_main(void *context)
{
    struct fake *fake = context;

    uv_run(&fake->loop, UV_RUN_DEFAULT);
    CHECK(fake->open == 0);
    return NULL;
}

static inline struct fake *fake_start_as(bool old)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    struct address local = {.host = "127.0.0.1"};

    CHECK(fake != NULL);
    fake->old_manager = fake->old_servers = old;
    signal(SIGPIPE, SIG_IGN);
    fake->pairs = calloc(FAKE_PAIRS + 1, sizeof(*fake->pairs));
    CHECK(fake->pairs != NULL);
    fake->cluster = 77;
    fake->version = 1;
    pthread_mutex_init(&fake->mutex, NULL);
    CHECK(uv_loop_init(&fake->loop) == 0);
    CHECK(uv_async_init(&fake->loop, &fake->stop, fake_on_stop) == 0);
    fake->stop.data = fake;
    CHECK(uv_async_init(&fake->loop, &fake->poke, fake_on_poke) == 0);
    fake->poke.data = fake;
    for (uint32_t i = 0; i < FAKE_SERVERS; i++) {
        fake->servers[i] = (struct fake_server){.fake = fake, .id = i, .address = local};
        fake->servers[i].host.lease_ms = FAKE_LEASE_MS;
        fake_listen(&fake->servers[i]);
    }
    fake->manager_address = local;
    fake_listen_manager(fake);
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        fake->told[p] = fake->truth[p] = p % FAKE_SERVERS;
        fake->epochs[p] = 1;
    }
    CHECK(pthread_create(&fake->thread, NULL, fake_main, fake) == 0);
    return fake;
}

static inline struct fake *fake_start(void)
{
    return fake_start_as(false);
}

static inline void fake_stop(struct fake *fake)
{
    uv_async_send(&fake->stop);
    pthread_join(fake->thread, NULL);
    CHECK(uv_loop_close(&fake->loop) == 0);
    for (uint32_t i = 0; i < fake->pair_count; i++) {
        free(fake->pairs[i].value);
    }
    free(fake->pairs);
    pthread_mutex_destroy(&fake->mutex);
    free(fake);
}

/* --- for tests
 * ------------------------------------------------------------------------------------ */

static inline cairn_t *fake_client(const struct fake *fake, uint64_t timeout_ms)
{
    const struct cairn_options options = {.timeout_ms = timeout_ms, .no_cache = 1};
    char text[ADDRESS_TEXT_MAX];
    cairn_t *db = NULL;

    assert_int_equal(cairn_open(address_format(&fake->manager_address, text), &options, &db),
                     CAIRN_OK);
    return db;
}

/* A counter, or anything else that the thread changes. */
static inline unsigned fake_count(struct fake *fake, const unsigned *count)
{
    pthread_mutex_lock(&fake->mutex);
    unsigned value = *count;
    pthread_mutex_unlock(&fake->mutex);
    return value;
}

/* The host's agent is told of a write to the bucket, now or when it listens. */
static inline void fake_invalidate(struct fake *fake, uint32_t server, uint32_t bucket)
{
    pthread_mutex_lock(&fake->mutex);
    fake->servers[server].host.bucket = bucket;
    fake->servers[server].host.waiting = true;
    pthread_mutex_unlock(&fake->mutex);
    uv_async_send(&fake->poke);
}

/* All connections to the server break; it can be reached again at once. */
static inline void fake_break(struct fake *fake, uint32_t server)
{
    pthread_mutex_lock(&fake->mutex);
    fake->drop[server] = true;
    pthread_mutex_unlock(&fake->mutex);
    uv_async_send(&fake->poke);
}

/* What the server does with its next calls, one after another. */
static inline void fake_script(struct fake *fake, uint32_t server, unsigned count, ...)
{
    va_list actions;

    pthread_mutex_lock(&fake->mutex);
    va_start(actions, count);
    for (unsigned i = 0; i < count; i++) {
        fake->servers[server].script[i] = va_arg(actions, int);
    }
    va_end(actions);
    fake->servers[server].script_length = count;
    fake->servers[server].script_at = 0;
    fake->servers[server].calls = 0;
    pthread_mutex_unlock(&fake->mutex);
}

/* A key of a partition whose primary, as told, is this server; different for each `salt`. */
static inline const char *fake_key(const struct fake *fake, uint32_t server, unsigned salt,
                                   char key[32])
{
    for (unsigned i = 0;; i++) {
        snprintf(key, 32, "key-%u-%u", salt, i);
        if (fake->told[partition_of((const uint8_t *)key, strlen(key), FAKE_PARTITIONS)] ==
            server) {
            return key;
        }
    }
}

static inline uint32_t fake_partition_of(const char *key)
{
    return partition_of((const uint8_t *)key, strlen(key), FAKE_PARTITIONS);
}

static inline int fake_put(cairn_t *db, const char *key, const char *value)
{
    return cairn_put(db, key, strlen(key), value, strlen(value), NULL, NULL);
}

static inline int fake_get(cairn_t *db, const char *key, char *out, size_t size)
{
    const void *value;
    size_t length;
    int status = cairn_get(db, key, strlen(key), &value, &length, NULL);

    snprintf(out, size, "%.*s", (int)length, status == CAIRN_OK ? (const char *)value : "");
    return status;
}

#endif
