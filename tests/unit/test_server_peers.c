/* The connections between servers: what is sent to whom and when, and that everything that was sent
 * is heard of again, as answered or as lost. What the messages say is scripted here. */
#include "server/catch_up.h"
#include "server/exchange.h"
#include "server/peers.h"
#include "server/scrub.h"
#include "server/snapshot.h"
#include "tests/unit/rpc_fixture.h"

enum { PARTITIONS = 4, OTHER = 1, APPEND_BYTES = 1000, CALLS = 256 };

/* --- the script: stands in for the node's side --------------------------------------------------
 */

static struct script {
    uint32_t appends_due; /* that exchange_build_append has to give */
    uint64_t next_epoch;  /* numbers them */
    uint32_t answered, lost;
    uint64_t answered_epochs[CALLS];
    uint32_t beacons_built, beacons_answered;
    bool behind;
    uint32_t passes_open, pieces_due, pieces_read;
    uint32_t snapshots_opened, snapshots_open, snapshot_reads, snapshot_builds;
    bool snapshot_open_in[PARTITIONS];
    enum snapshot_next snapshot_next;
    uint64_t durable_lsn;
} script;

int append_builder_init(struct append_builder *builder)
{
    *builder = (struct append_builder){.runs = calloc(1, sizeof *builder->runs),
                                       .sent = calloc(1, sizeof *builder->sent)};
    buffer_init(&builder->records, APPEND_BYTES_TARGET);
    return builder->runs != NULL && builder->sent != NULL ? CAIRN_OK : CAIRN_ENOMEM;
}

void append_builder_free(struct append_builder *builder)
{
    free(builder->runs);
    free(builder->sent);
    buffer_free(&builder->records);
}

static uint32_t build_one(struct append_builder *builder)
{
    static const uint8_t zeros[APPEND_BYTES];
    uint64_t epoch = ++script.next_epoch;

    buffer_clear(&builder->records);
    assert_int_equal(buffer_append(&builder->records, zeros, sizeof zeros), 0);
    builder->runs[0] =
        (append_run){.epoch = epoch, .records = {builder->records.data, sizeof zeros}};
    builder->sent[0] = (struct append_sent){.epoch = epoch};
    builder->args = (append_args){.runs = {.runs_len = 1, .runs_val = builder->runs}};
    return 1;
}

uint32_t exchange_build_append(struct node *node, uint32_t server, bool idle, uint64_t now_ms,
                               struct append_builder *builder)
{
    (void)node;
    (void)idle;
    (void)now_ms;
    assert_int_equal(server, OTHER);
    if (script.appends_due == 0)
        return 0;
    script.appends_due--;
    return build_one(builder);
}

void exchange_append_answered(struct node *node, uint32_t server, const struct append_sent *sent,
                              uint32_t count, const append_result *result, uint64_t now_ms)
{
    (void)node;
    (void)server;
    (void)now_ms;
    assert_int_equal(count, 1);
    assert_int_equal(result->acks.acks_val[0].epoch, sent->epoch); /* the answer is that call's */
    script.answered_epochs[script.answered++] = sent->epoch;
}

void exchange_append_lost(struct node *node, uint32_t server, const struct append_sent *sent,
                          uint32_t count, uint64_t now_ms)
{
    (void)node;
    (void)server;
    (void)sent;
    (void)now_ms;
    assert_int_equal(count, 1);
    script.lost++;
}

bool exchange_has_follower(const struct node *node, uint32_t server)
{
    (void)server;
    for (uint32_t i = 0; i < node->partition_count; i++)
        if (node->partitions[i].replica.barrier_index != 0)
            return true;
    return false;
}

bool exchange_is_behind(const struct node *node, uint32_t server)
{
    (void)node;
    (void)server;
    return script.behind;
}

/* Nobody looks for damage here (node->scrub is NULL). */
void scrub_take_fetch(struct scrub *scrub, const fetch_args *args, fetch_result *result)
{
    (void)scrub;
    (void)args;
    (void)result;
    fail();
}

void scrub_take_digest(struct scrub *scrub, const digest_args *args, uint64_t now_ms,
                       digest_result *result)
{
    (void)scrub;
    (void)args;
    (void)now_ms;
    (void)result;
    fail();
}

void scrub_take_differs(struct scrub *scrub, const differs_args *args, uint64_t now_ms,
                        differs_result *result)
{
    (void)scrub;
    (void)args;
    (void)now_ms;
    (void)result;
    fail();
}

int exchange_take_append(struct node *node, const append_args *args, uint64_t now_ms,
                         struct append_taken *taken)
{
    (void)node;
    (void)now_ms;
    *taken = (struct append_taken){.lsn = args->runs.runs_val[0].previous_index, .count = 1};
    taken->runs = calloc(1, sizeof *taken->runs);
    assert_non_null(taken->runs);
    taken->runs[0].partition = (uint32_t)args->runs.runs_val[0].epoch; /* to be repeated */
    return CAIRN_OK;
}

void exchange_answer_append(const struct node *node, const struct append_taken *taken,
                            append_ack *acks, append_result *result)
{
    (void)node;
    acks[0] = (append_ack){.epoch = taken->runs[0].partition, .matched_index = taken->lsn};
    result->acks.acks_len = 1;
    result->acks.acks_val = acks;
}

void append_taken_free(struct append_taken *taken)
{
    free(taken->runs);
    taken->runs = NULL;
}

uint32_t exchange_build_beacon(struct node *node, uint32_t server, uint64_t now_ms,
                               beacon_pair *pairs, beacon_args *args)
{
    (void)node;
    (void)server;
    (void)now_ms;
    pairs[0] = (beacon_pair){.partition = 3, .epoch = 9};
    *args = (beacon_args){.lease_ms = WAIT_MS,
                          .number = ++script.beacons_built,
                          .pairs = {.pairs_len = 1, .pairs_val = pairs}};
    return 1;
}

void exchange_beacon_answered(struct node *node, uint32_t server, const beacon_pair *sent_pairs,
                              uint32_t count, const beacon_result *result, uint64_t now_ms)
{
    (void)node;
    (void)server;
    (void)result;
    (void)now_ms;
    assert_int_equal(count, 1);
    assert_int_equal(sent_pairs[0].partition, 3);
    assert_int_equal(sent_pairs[0].epoch, 9);
    script.beacons_answered++;
}

void exchange_take_beacon(struct node *node, const beacon_args *args, uint64_t now_ms,
                          beacon_pair *refused, beacon_result *result)
{
    (void)node;
    (void)now_ms;
    result->number = args->number;
    result->refused.refused_len = args->pairs.pairs_len;
    result->refused.refused_val = refused;
    memcpy(refused, args->pairs.pairs_val, args->pairs.pairs_len * sizeof *refused);
}

/* A pass gives pieces_due pieces of one Append each. */
struct catch_up {
    bool piece;
};

int catch_up_open(struct node *node, uint32_t server, struct catch_up **pass)
{
    (void)node;
    (void)server;
    *pass = calloc(1, sizeof **pass);
    script.passes_open++;
    return CAIRN_OK;
}

int catch_up_read(struct catch_up *pass, uint64_t limit_bytes, struct error *error)
{
    (void)limit_bytes;
    (void)error;
    if (script.pieces_read < script.pieces_due) {
        script.pieces_read++;
        pass->piece = true;
    }
    return CAIRN_OK;
}

uint32_t catch_up_build(struct catch_up *pass, struct node *node, uint64_t now_ms,
                        struct append_builder *builder)
{
    (void)node;
    (void)now_ms;
    if (!pass->piece)
        return 0;
    pass->piece = false;
    return build_one(builder);
}

bool catch_up_done(const struct catch_up *pass)
{
    (void)pass;
    return script.pieces_read == script.pieces_due;
}

void catch_up_close(struct node *node, struct catch_up *pass)
{
    (void)node;
    script.passes_open--;
    script.behind = false;
    free(pass);
}

struct snapshot_sender {
    uint32_t partition;
};

int snapshot_open(struct node *node, uint32_t partition, uint32_t server,
                  struct snapshot_sender **sender)
{
    (void)node;
    (void)server;
    assert_false(script.snapshot_open_in[partition]);
    *sender = calloc(1, sizeof **sender);
    (*sender)->partition = partition;
    script.snapshot_open_in[partition] = true;
    script.snapshots_opened++;
    script.snapshots_open++;
    return CAIRN_OK;
}

uint32_t snapshot_partition(const struct snapshot_sender *sender)
{
    return sender->partition;
}

int snapshot_read(struct snapshot_sender *sender, struct error *error)
{
    (void)sender;
    (void)error;
    __atomic_add_fetch(&script.snapshot_reads, 1, __ATOMIC_RELAXED);
    return CAIRN_OK;
}

bool snapshot_build(struct snapshot_sender *sender, struct node *node, snapshot_args *args)
{
    (void)node;
    *args = (snapshot_args){.partition = sender->partition};
    script.snapshot_builds++;
    return true;
}

enum snapshot_next snapshot_answered(struct snapshot_sender *sender, struct node *node,
                                     const snapshot_result *result, uint64_t now_ms)
{
    (void)now_ms;
    (void)result;
    if (script.snapshot_next == SNAPSHOT_FINISHED)
        node->partitions[sender->partition].replica.followers[0].mode = REPLICA_PROBE;
    return script.snapshot_next;
}

void snapshot_close(struct node *node, struct snapshot_sender *sender)
{
    (void)node;
    if (sender == NULL)
        return;
    script.snapshot_open_in[sender->partition] = false;
    script.snapshots_open--;
    free(sender);
}

void snapshot_take(struct node *node, const snapshot_args *args, uint64_t now_ms,
                   snapshot_result *result)
{
    (void)node;
    (void)now_ms;
    result->next_chunk = args->chunk + 1;
}

bool replica_may_send(const struct replica *replica)
{
    (void)replica;
    return true;
}

uint64_t wal_durable_lsn(const struct wal *wal)
{
    (void)wal;
    return script.durable_lsn;
}

/* --- a server that the test plays, and the peers under test --------------------------------------
 */

struct side {
    uv_loop_t loop;
    uv_prepare_t end_of_turn;
    struct rpc_server *server;
    struct rpc_service service;
    uint16_t port;
    struct rpc_call *appends[CALLS]; /* that came, in order; NULL once answered */
    uint64_t epochs[CALLS];
    uint32_t append_count, beacon_count, snapshot_count;
    bool hold_snapshots;
    struct rpc_call *snapshots[CALLS];
    char append_peer[64], beacon_peer[64], snapshot_peer[64]; /* the connections they came by */
    struct node node;
    struct map_server servers[2];
    struct peers *peers;
    bool closed, server_closed;
};

static void run_side(struct side *side)
{
    (void)uv_run(&side->loop, UV_RUN_NOWAIT);
}
#define fixture_run run_side /* of RUN_UNTIL */

static void hear_append(void *context, struct rpc_call *call, const void *args)
{
    struct side *side = context;
    const append_args *append = args;

    (void)snprintf(side->append_peer, sizeof side->append_peer, "%s", rpc_call_peer(call));
    side->epochs[side->append_count] = append->runs.runs_val[0].epoch;
    side->appends[side->append_count++] = call;
}

static void answer(struct side *side, uint32_t i)
{
    append_ack ack = {.epoch = side->epochs[i]};
    append_result result = {.acks = {.acks_len = 1, .acks_val = &ack}};

    rpc_reply(side->appends[i], &result);
    side->appends[i] = NULL;
}

static void hear_beacon(void *context, struct rpc_call *call, const void *args)
{
    struct side *side = context;
    const beacon_args *beacon = args;
    beacon_result result = {.number = beacon->number};

    side->beacon_count++;
    (void)snprintf(side->beacon_peer, sizeof side->beacon_peer, "%s", rpc_call_peer(call));
    rpc_reply(call, &result);
}

static void hear_snapshot(void *context, struct rpc_call *call, const void *args)
{
    struct side *side = context;
    snapshot_result result = {0};

    (void)args;
    (void)snprintf(side->snapshot_peer, sizeof side->snapshot_peer, "%s", rpc_call_peer(call));
    if (side->hold_snapshots)
        side->snapshots[side->snapshot_count] = call;
    else
        rpc_reply(call, &result);
    side->snapshot_count++;
}

static const rpc_handler handlers[] = {[REPLICA_APPEND] = hear_append,
                                       [REPLICA_BEACON] = hear_beacon,
                                       [REPLICA_SNAPSHOT] = hear_snapshot};

static void on_end_of_turn(uv_prepare_t *handle)
{
    struct side *side = handle->data;

    if (side->peers != NULL)
        peers_end_turn(side->peers);
}

static void listen_on(struct side *side, uint16_t port)
{
    struct address address = fixture_address(port);
    struct error error;

    side->server_closed = false;
    assert_int_equal(
        rpc_server_listen(&side->loop, &address, &side->service, 1, NULL, &side->server, &error),
        0);
    side->port = rpc_server_port(side->server);
}

static void end_server(struct side *side)
{
    rpc_server_close(side->server, fixture_on_closed, &side->server_closed);
    for (uint32_t i = 0; i < side->append_count; i++)
        if (side->appends[i] != NULL)
            answer(side, i);
    for (uint32_t i = 0; i < CALLS; i++)
        if (side->snapshots[i] != NULL) {
            rpc_reply_error(side->snapshots[i], SYSTEM_ERR);
            side->snapshots[i] = NULL;
        }
    RUN_UNTIL(side, side->server_closed);
}

/* This process leads partition 0, with a copy on the other server. */
static void lead(struct side *side, uint32_t partition, enum replica_mode mode)
{
    struct replica *replica = &side->node.partitions[partition].replica;

    replica->barrier_index = 1;
    replica->follower_count = 1;
    replica->followers[0] = (struct replica_follower){.id = {.server = OTHER}, .mode = mode};
}

static struct side *open_side(uint64_t beacon_ms, uint64_t window_bytes, bool served_by_peers)
{
    struct side *side = calloc(1, sizeof *side);
    struct peers_options options = {.beacon_ms = beacon_ms, .window_bytes = window_bytes};
    struct error error;

    assert_non_null(side);
    script = (struct script){.snapshot_next = SNAPSHOT_READ_NEXT};
    assert_int_equal(uv_loop_init(&side->loop), 0);
    side->service = served_by_peers ? peers_service(&side->peers)
                                    : (struct rpc_service){&program_replica, handlers, side};
    listen_on(side, 0);
    side->node.partition_count = PARTITIONS;
    side->node.partitions = calloc(PARTITIONS, sizeof *side->node.partitions);
    assert_non_null(side->node.partitions);
    side->servers[1] = (struct map_server){.id = OTHER, .address = fixture_address(side->port)};
    side->node.map =
        (struct cluster_map){.version = 1, .server_count = 2, .servers = side->servers};
    assert_int_equal(peers_open(&side->loop, &side->node, &options, &side->peers, &error), 0);
    assert_int_equal(uv_prepare_init(&side->loop, &side->end_of_turn), 0);
    side->end_of_turn.data = side;
    assert_int_equal(uv_prepare_start(&side->end_of_turn, on_end_of_turn), 0);
    return side;
}

static void close_peers(struct side *side)
{
    peers_close(side->peers, fixture_on_closed, &side->closed);
    side->peers = NULL;
    RUN_UNTIL(side, side->closed);
}

static void close_side(struct side *side)
{
    if (side->peers != NULL)
        close_peers(side);
    if (side->server != NULL)
        end_server(side);
    uv_close((uv_handle_t *)&side->end_of_turn, NULL);
    RUN_UNTIL(side, !uv_loop_alive(&side->loop));
    assert_int_equal(uv_loop_close(&side->loop), 0);
    assert_int_equal(script.passes_open, 0);
    assert_int_equal(script.snapshots_open, 0);
    free(side->node.partitions);
    free(side);
}

/* Enough turns for what must not happen to happen. */
static void run_some(struct side *side)
{
    for (int i = 0; i < 50; i++)
        run_side(side);
}

/* --- Appends -------------------------------------------------------------------------------------
 */

static void test_appends_are_pipelined_as_far_as_the_window_allows(void **state)
{
    struct side *side = open_side(WAIT_MS, 4 * APPEND_BYTES, false);

    (void)state;
    lead(side, 0, REPLICA_REPLICATE);
    script.appends_due = 10;
    RUN_UNTIL(side, side->append_count == 4);
    run_some(side);
    assert_int_equal(side->append_count, 4);
    assert_int_equal(script.appends_due, 6);
    answer(side, 1); /* out of order: each answer finds its own call */
    RUN_UNTIL(side, side->append_count == 5);
    assert_int_equal(script.answered, 1);
    assert_int_equal(script.answered_epochs[0], 2);
    assert_int_equal(script.lost, 0);
    close_side(side);
}

static void test_what_a_broken_connection_had_is_lost_and_more_follows_on_a_new_one(void **state)
{
    struct side *side = open_side(WAIT_MS, 4 * APPEND_BYTES, false);
    uint16_t port = side->port;

    (void)state;
    lead(side, 0, REPLICA_REPLICATE);
    script.appends_due = 4;
    RUN_UNTIL(side, side->append_count == 4);
    end_server(side);
    side->append_count = 0;
    RUN_UNTIL(side, script.lost + script.answered == 4);
    script.appends_due = CALLS;
    listen_on(side, port);
    RUN_UNTIL(side, side->append_count == 4);
    close_side(side);
}

static void test_nothing_is_sent_to_a_server_without_a_copy(void **state)
{
    struct side *side = open_side(1, 0, false);

    (void)state;
    script.appends_due = 1;
    run_some(side);
    assert_int_equal(script.appends_due, 1);
    assert_int_equal(script.beacons_built, 0);
    lead(side, 0, REPLICA_REPLICATE);
    RUN_UNTIL(side, side->append_count == 1 && script.beacons_answered > 1);
    close_side(side);
}

static void test_a_changed_address_is_followed(void **state)
{
    struct side *side = open_side(WAIT_MS, 0, false);

    (void)state;
    lead(side, 0, REPLICA_REPLICATE);
    script.appends_due = 1;
    RUN_UNTIL(side, side->append_count == 1);
    end_server(side);
    side->append_count = 0;
    listen_on(side, 0);
    side->servers[1].address = fixture_address(side->port);
    side->node.map.version++;
    script.appends_due = 1;
    RUN_UNTIL(side, side->append_count == 1);
    assert_int_equal(script.lost + script.answered, 1);
    close_side(side);
}

/* --- beacons -------------------------------------------------------------------------------------
 */

static void test_beacons_and_snapshots_have_connections_of_their_own(void **state)
{
    struct side *side = open_side(1, 0, false);

    (void)state;
    lead(side, 0, REPLICA_REPLICATE);
    lead(side, 1, REPLICA_INSTALL);
    script.appends_due = 1;
    RUN_UNTIL(side, side->append_count > 0 && side->beacon_count > 0 && side->snapshot_count > 0);
    assert_string_not_equal(side->append_peer, side->beacon_peer);
    assert_string_not_equal(side->append_peer, side->snapshot_peer);
    assert_string_not_equal(side->beacon_peer, side->snapshot_peer);
    close_side(side);
}

static void test_a_partition_that_wants_a_lease_does_not_wait_for_the_next_beacon_L1(void **state)
{
    struct side *side = open_side(WAIT_MS * 2, 0, false);

    (void)state;
    lead(side, 0, REPLICA_REPLICATE);
    side->node.partitions[0].replica.followers[0].counted = true;
    RUN_UNTIL(side, script.beacons_answered >= 3);
    close_side(side);
}

/* --- catching up and snapshots -------------------------------------------------------------------
 */

static void test_a_pass_over_the_log_is_sent_piece_by_piece_and_closed(void **state)
{
    struct side *side = open_side(WAIT_MS, 0, false);

    (void)state;
    lead(side, 0, REPLICA_REPLICATE);
    script.pieces_due = 5;
    script.behind = true;
    RUN_UNTIL(side, side->append_count == 2);
    run_some(side);
    assert_int_equal(side->append_count, 2); /* few in flight */
    for (uint32_t i = 0; i < 5; i++) {
        RUN_UNTIL(side, side->append_count > i);
        answer(side, i);
    }
    RUN_UNTIL(side, script.passes_open == 0 && script.answered == 5);
    assert_int_equal(script.pieces_read, 5);
    close_side(side);
}

static void test_a_snapshot_piece_is_sent_until_it_is_taken(void **state)
{
    struct side *side = open_side(WAIT_MS, 0, false);

    (void)state;
    lead(side, 0, REPLICA_INSTALL);
    script.snapshot_next = SNAPSHOT_SEND_AGAIN;
    RUN_UNTIL(side, side->snapshot_count == 3);
    assert_int_equal(script.snapshot_reads, 1);
    script.snapshot_next = SNAPSHOT_READ_NEXT;
    RUN_UNTIL(side, __atomic_load_n(&script.snapshot_reads, __ATOMIC_RELAXED) > 1);
    script.snapshot_next = SNAPSHOT_FINISHED;
    RUN_UNTIL(side, script.snapshots_open == 0);
    run_some(side);
    assert_int_equal(script.snapshots_opened, 1);
    close_side(side);
}

static void test_few_snapshots_go_to_one_server_at_the_same_time(void **state)
{
    struct side *side = open_side(WAIT_MS, 0, false);

    (void)state;
    side->hold_snapshots = true;
    for (uint32_t i = 0; i < PARTITIONS; i++)
        lead(side, i, REPLICA_INSTALL);
    RUN_UNTIL(side, side->snapshot_count == 2);
    run_some(side);
    assert_int_equal(side->snapshot_count, 2);
    assert_int_equal(script.snapshots_open, 2);
    close_side(side);
}

/* What a snapshot pins grows for as long as it is open (W6). */
static void test_no_snapshot_is_open_to_a_server_that_is_silent(void **state)
{
    struct side *side = open_side(1, 0, false);
    uint64_t looked_ms = clock_now_ms() + 100; /* partitions are looked through more often */
    uint16_t port = side->port;

    (void)state;
    end_server(side);
    lead(side, 0, REPLICA_INSTALL);
    RUN_UNTIL(side, clock_now_ms() > looked_ms);
    assert_int_equal(script.snapshots_opened, 0);
    script.snapshot_next = SNAPSHOT_SEND_AGAIN;
    listen_on(side, port);
    RUN_UNTIL(side, script.snapshots_open == 1);
    end_server(side);
    RUN_UNTIL(side, script.snapshots_open == 0);
    run_some(side);
    assert_int_equal(script.snapshots_open, 0);
    uint32_t opened = script.snapshots_opened;
    listen_on(side, port);
    RUN_UNTIL(side, script.snapshots_opened > opened);
    close_side(side);
}

/* --- the other side ------------------------------------------------------------------------------
 */

static void on_acknowledged(void *context, int status, const void *result,
                            const struct error *error)
{
    const append_result *answered = result;

    (void)error;
    assert_int_equal(status, 0);
    *(uint64_t *)context = answered->acks.acks_val[0].matched_index;
}

static void call_append(struct rpc_client *client, uint64_t lsn, uint64_t *acknowledged)
{
    append_run run = {.previous_index = lsn};
    append_args args = {.runs = {.runs_len = 1, .runs_val = &run}};

    *acknowledged = 0;
    assert_int_equal(rpc_client_call(client, &program_replica, REPLICA_APPEND, &args, WAIT_MS,
                                     on_acknowledged, acknowledged, NULL),
                     0);
}

static void test_an_append_is_answered_once_it_is_durable_R1(void **state)
{
    struct side *side = open_side(WAIT_MS, 0, true);
    struct address address = fixture_address(side->port);
    struct rpc_client *client;
    uint64_t late, early, durable;
    bool client_closed = false;

    (void)state;
    script.durable_lsn = 2;
    assert_int_equal(rpc_client_open(&side->loop, &address, NULL, &client), 0);
    call_append(client, 5, &late);
    call_append(client, 3, &early);
    call_append(client, 2, &durable);
    RUN_UNTIL(side, durable == 2);
    run_some(side);
    assert_true(early == 0 && late == 0);
    script.durable_lsn = 4;
    peers_durable(side->peers, 4);
    RUN_UNTIL(side, early == 3);
    run_some(side);
    assert_int_equal(late, 0);
    peers_durable(side->peers, 5);
    RUN_UNTIL(side, late == 5);
    rpc_client_close(client, fixture_on_closed, &client_closed);
    RUN_UNTIL(side, client_closed);
    close_side(side);
}

static void on_refused(void *context, int status, const void *result, const struct error *error)
{
    (void)result;
    (void)error;
    assert_int_not_equal(status, 0);
    *(bool *)context = true;
}

static void test_closing_ends_what_is_under_way_in_both_directions(void **state)
{
    struct side *side = open_side(1, 0, true);
    struct address address = fixture_address(side->port);
    struct rpc_client *client;
    append_run run = {.previous_index = 9};
    append_args args = {.runs = {.runs_len = 1, .runs_val = &run}};
    bool refused = false, client_closed = false;

    (void)state;
    lead(side, 0, REPLICA_REPLICATE);
    lead(side, 1, REPLICA_INSTALL);
    script.appends_due = 3;
    script.behind = true;
    script.pieces_due = UINT32_MAX;
    assert_int_equal(rpc_client_open(&side->loop, &address, NULL, &client), 0);
    assert_int_equal(rpc_client_call(client, &program_replica, REPLICA_APPEND, &args, WAIT_MS,
                                     on_refused, &refused, NULL),
                     0);
    RUN_UNTIL(side, script.snapshots_open > 0 && script.passes_open > 0);
    run_some(side);
    close_peers(side);
    RUN_UNTIL(side, refused);
    rpc_client_close(client, fixture_on_closed, &client_closed);
    RUN_UNTIL(side, client_closed);
    close_side(side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_are_pipelined_as_far_as_the_window_allows),
        cmocka_unit_test(test_what_a_broken_connection_had_is_lost_and_more_follows_on_a_new_one),
        cmocka_unit_test(test_nothing_is_sent_to_a_server_without_a_copy),
        cmocka_unit_test(test_a_changed_address_is_followed),
        cmocka_unit_test(test_beacons_and_snapshots_have_connections_of_their_own),
        cmocka_unit_test(test_a_partition_that_wants_a_lease_does_not_wait_for_the_next_beacon_L1),
        cmocka_unit_test(test_a_pass_over_the_log_is_sent_piece_by_piece_and_closed),
        cmocka_unit_test(test_a_snapshot_piece_is_sent_until_it_is_taken),
        cmocka_unit_test(test_few_snapshots_go_to_one_server_at_the_same_time),
        cmocka_unit_test(test_no_snapshot_is_open_to_a_server_that_is_silent),
        cmocka_unit_test(test_an_append_is_answered_once_it_is_durable_R1),
        cmocka_unit_test(test_closing_ends_what_is_under_way_in_both_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
