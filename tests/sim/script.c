/* Scenarios: small text files that say what happens when, and what is expected (scenarios/README).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { WORDS_MAX = 12, LINE_MAX_BYTES = 200, LINES_MAX = 256, NAMES_MAX = 8, NAME_BYTES = 24 };

struct line {
    uint64_t at_us;
    uint32_t number, count;
    char text[LINE_MAX_BYTES];
    const char *words[WORDS_MAX];
};

/* `let NAME be NODE` */
struct node_name {
    char name[NAME_BYTES];
    uint32_t node;
};

struct script {
    size_t name_count;
    struct node_name names[NAMES_MAX];
    uint64_t seed;
    struct plan plan;
    size_t count;
    struct line lines[LINES_MAX];
};

/* --- loading -----------------------------------------------------------------------------------
 */

static void split(struct line *line)
{
    char *rest = line->text, *word;

    while (line->count < WORDS_MAX && (word = strtok_r(rest, " \t\n", &rest)) != NULL)
        line->words[line->count++] = word;
}

static bool is_word(const struct line *line, uint32_t index, const char *word)
{
    return index < line->count && strcmp(line->words[index], word) == 0;
}

static uint64_t number_at(const struct line *line, uint32_t index)
{
    return index < line->count ? strtoull(line->words[index], NULL, 10) : 0;
}

static bool set_up(struct script *script, const struct line *line)
{
    struct plan *plan = &script->plan;
    uint64_t value = number_at(line, 1);

    if (is_word(line, 0, "servers"))
        plan->servers = (uint32_t)value;
    else if (is_word(line, 0, "replicas"))
        plan->replicas = (uint32_t)value;
    else if (is_word(line, 0, "partitions"))
        plan->partitions = (uint32_t)value;
    else if (is_word(line, 0, "clients"))
        plan->clients = (uint32_t)value;
    else if (is_word(line, 0, "machines") && value <= SIM_MACHINES)
        plan->machines = (uint32_t)value;
    else if (is_word(line, 0, "seed"))
        script->seed = value;
    else if (is_word(line, 0, "replace-after"))
        plan->replace_after_ms = value;
    else if (is_word(line, 0, "sync"))
        plan->sync_us = value * MS;
    else if (is_word(line, 0, "end"))
        plan->faults_until_us = value * MS;
    else
        return false;
    plan->give_up_us = plan->faults_until_us + 60000 * MS;
    return true;
}

static int bad_line(const char *path, const struct line *line)
{
    (void)fprintf(stderr, "ERROR: %s:%u: not understood: %s\n", path, line->number,
                  line->count > 0 ? line->words[0] : "");
    return -1;
}

static int load_line(struct script *script, const char *path, const char *text, uint32_t number)
{
    struct line *line = &script->lines[script->count];

    memset(line, 0, sizeof *line);
    line->number = number;
    (void)snprintf(line->text, sizeof line->text, "%s", text);
    split(line);
    if (line->count == 0 || line->words[0][0] == '#')
        return 0;
    if (is_word(line, 0, "at") && line->count > 2 && script->count + 1 < LINES_MAX) {
        line->at_us = number_at(line, 1) * MS;
        script->count++;
        return 0;
    }
    return set_up(script, line) ? 0 : bad_line(path, line);
}

int script_load(const char *path, struct script **result)
{
    FILE *file = fopen(path, "r");
    struct script *script = calloc(1, sizeof *script);
    char text[LINE_MAX_BYTES];
    int status = 0;

    *result = NULL;
    CHECK(script != NULL);
    if (file == NULL) {
        (void)fprintf(stderr, "ERROR: %s: cannot be read\n", path);
        free(script);
        return -1;
    }
    plan_fixed(&script->plan);
    script->seed = 1;
    for (uint32_t number = 1; status == 0 && fgets(text, sizeof text, file) != NULL; number++)
        status = load_line(script, path, text, number);
    (void)fclose(file);
    if (status != 0)
        free(script);
    else
        *result = script;
    return status;
}

void script_free(struct script *script)
{
    free(script);
}

uint64_t script_seed(const struct script *script)
{
    return script->seed;
}

void script_plan(const struct script *script, struct plan *plan)
{
    *plan = script->plan;
}

void script_begin(struct sim *sim, struct script *script)
{
    sim->script = script;
    script->name_count = 0;
    for (size_t i = 0; i < script->count; i++)
        sim_schedule(sim, script->lines[i].at_us, EVENT_SCRIPT, 0, 0, 0, &script->lines[i]);
}

/* --- who -----------------------------------------------------------------------------------------
 */

static void complain(struct sim *sim, const struct line *line, const char *what)
{
    sim_fail(sim, "line %u: %s", line->number, what);
}

static bool is_member(const struct configuration *configuration, uint32_t server)
{
    for (uint32_t i = 0; i < configuration->member_count; i++)
        if (configuration->members[i].server == server)
            return true;
    return false;
}

/* Of partition 0: primary, backup (the first one), spare (no member). */
static uint32_t find_by_role(struct sim *sim, const char *word)
{
    const struct configuration *configuration = manager_configuration(sim, 0);

    for (uint32_t i = 0; configuration != NULL && i < sim->plan.servers; i++) {
        bool member = is_member(configuration, i), leads = configuration->primary.server == i;

        if ((strcmp(word, "primary") == 0 && leads) ||
            (strcmp(word, "backup") == 0 && member && !leads) ||
            (strcmp(word, "spare") == 0 && !member))
            return i;
    }
    return SIM_NODES;
}

/* A node at words[*at]; moves behind it. */
static uint32_t node_at(struct sim *sim, const struct line *line, uint32_t *at)
{
    uint32_t node = SIM_NODES, index;

    if (is_word(line, *at, "server") || is_word(line, *at, "client") ||
        is_word(line, *at, "machine")) {
        index = (uint32_t)number_at(line, *at + 1);
        node = is_word(line, *at, "server")   ? index
               : is_word(line, *at, "client") ? SIM_FIRST_CLIENT + index
                                              : SIM_FIRST_MACHINE + index;
        *at += 2;
    } else if (is_word(line, *at, "manager")) {
        node = SIM_MANAGER;
        *at += 1;
    } else if (*at < line->count) {
        node = find_by_role(sim, line->words[*at]);
        for (size_t i = 0; i < sim->script->name_count; i++)
            if (strcmp(sim->script->names[i].name, line->words[*at]) == 0)
                node = sim->script->names[i].node;
        *at += 1;
    }
    if (node >= SIM_NODES) {
        complain(sim, line, "no such node");
        return 0;
    }
    return node;
}

static struct host *host_at(struct sim *sim, const struct line *line, uint32_t *at)
{
    uint32_t node = node_at(sim, line, at);

    if (node >= SIM_SERVERS)
        complain(sim, line, "not a server");
    return &sim->hosts[node < SIM_SERVERS ? node : 0];
}

/* `for MS`; without it, until the end. */
static uint64_t duration_at(const struct line *line, uint32_t at)
{
    return is_word(line, at, "for") ? number_at(line, at + 1) * MS : UINT64_MAX / 4;
}

/* --- what happens
 * ---------------------------------------------------------------------------------- */

static const char *const message_names[MESSAGE_KINDS] = {
    [MESSAGE_APPEND] = "appends",         [MESSAGE_ACK] = "acks",
    [MESSAGE_BEACON] = "beacons",         [MESSAGE_BEACON_ANSWER] = "beacon-answers",
    [MESSAGE_SNAPSHOT] = "snapshots",     [MESSAGE_SNAPSHOT_ANSWER] = "snapshot-answers",
    [MESSAGE_REGISTER] = "registrations", [MESSAGE_REGISTERED] = "registration-answers",
    [MESSAGE_HEARTBEAT] = "heartbeats",   [MESSAGE_HEARTBEAT_ANSWER] = "heartbeat-answers",
    [MESSAGE_PROPOSE] = "proposals",      [MESSAGE_PROPOSED] = "proposal-answers",
    [MESSAGE_GET_MAP] = "map-requests",   [MESSAGE_MAP] = "maps",
    [MESSAGE_REQUEST] = "requests",       [MESSAGE_REPLY] = "replies",
    [MESSAGE_HOST_CALL] = "host-calls",   [MESSAGE_HOST_ANSWER] = "host-answers",
};

/* drop|hold KIND to NODE [for MS]: lost, or delivered when the time is over. */
static void do_hold(struct sim *sim, const struct line *line, bool drop)
{
    uint32_t at = 5, node = node_at(sim, line, &at);
    uint64_t until = sim->now_us + duration_at(line, at);

    for (uint32_t kind = 0; kind < MESSAGE_KINDS; kind++) {
        if (!is_word(line, 3, message_names[kind]))
            continue;
        if (drop)
            sim->block_until_us[node][kind] = until;
        else
            sim->hold_until_us[node][kind] = until;
        return;
    }
    complain(sim, line, "no such kind of message");
}

static void do_cut(struct sim *sim, const struct line *line)
{
    uint32_t at = 3, from = node_at(sim, line, &at), to;
    bool both = is_word(line, at, "<->");
    uint64_t for_us;

    at++;
    to = node_at(sim, line, &at);
    for_us = duration_at(line, at);
    network_cut(sim, from, to, for_us);
    if (both)
        network_cut(sim, to, from, for_us);
}

static void do_isolate(struct sim *sim, const struct line *line)
{
    uint32_t at = 3, node = node_at(sim, line, &at);
    uint64_t for_us = duration_at(line, at);

    for (uint32_t other = 0; other < SIM_NODES; other++) {
        network_cut(sim, node, other, for_us);
        network_cut(sim, other, node, for_us);
    }
}

static void do_crash(struct sim *sim, const struct line *line)
{
    uint32_t at = 3, node = node_at(sim, line, &at);

    if (node == SIM_MANAGER)
        manager_crash(sim);
    else
        host_crash(&sim->hosts[node]);
    if (is_word(line, at, "for"))
        sim_schedule(sim, duration_at(line, at), EVENT_START, node, 0, 0, NULL);
}

static void do_start(struct sim *sim, const struct line *line)
{
    uint32_t at = 3, node = node_at(sim, line, &at);

    sim_schedule(sim, 0, EVENT_START, node, 0, is_word(line, 2, "mount") ? 1 : 0, NULL);
}

static void do_pause(struct sim *sim, const struct line *line)
{
    uint32_t at = 3, node = node_at(sim, line, &at);
    uint64_t until = sim->now_us + duration_at(line, at);

    if (node == SIM_MANAGER)
        sim->manager.paused_until_us = until;
    else if (node >= SIM_FIRST_MACHINE)
        machine_pause(&sim->machines[node - SIM_FIRST_MACHINE], until - sim->now_us);
    else if (node >= SIM_FIRST_CLIENT)
        complain(sim, line, "a client is stopped in its steps");
    else
        sim->hosts[node].paused_until_us = until;
}

static void do_let(struct sim *sim, const struct line *line)
{
    struct node_name *name = &sim->script->names[sim->script->name_count++];
    uint32_t at = 5;

    CHECK(sim->script->name_count <= NAMES_MAX);
    (void)snprintf(name->name, sizeof name->name, "%s", line->words[3]);
    name->node = node_at(sim, line, &at);
}

static void do_admin(struct sim *sim, const struct line *line)
{
    uint32_t at = 3, node;

    if (is_word(line, 2, "move")) {
        at = 5; /* move 0 to NODE */
        node = node_at(sim, line, &at);
        (void)manager_admin(sim, ADMIN_MOVE, (uint32_t)number_at(line, 3), node);
        return;
    }
    node = node_at(sim, line, &at);
    (void)manager_admin(sim, is_word(line, 2, "drain") ? ADMIN_DRAIN : ADMIN_UNDRAIN, 0, node);
}

static void do_disk(struct sim *sim, const struct line *line)
{
    uint32_t at = 3;
    struct host *host = host_at(sim, line, &at);
    struct replica_event event = {.kind = REPLICA_EVENT_DAMAGED};
    struct replica_update update;

    if (is_word(line, 2, "wipe"))
        host_wipe(host);
    else if (is_word(line, 2, "unmount"))
        host_unmount(host);
    else if (is_word(line, 2, "slow"))
        host->slow_until_us = sim->now_us + duration_at(line, at);
    else if (!host->up)
        complain(sim, line, "the server is down");
    else if (is_word(line, 2, "checkpoint"))
        host_checkpoint(host);
    else if (is_word(line, 2, "cut-log"))
        host_cut_log(host, !is_word(line, at, "all"));
    else if (is_word(line, 2, "damage")) {
        host->disk->damaged[0] = true;
        part_step(&host->parts[0], &event, &update, NULL);
    }
}

/* --- machines -----------------------------------------------------------------------------------
 */

static struct machine *machine_at(struct sim *sim, const struct line *line, uint32_t at)
{
    uint64_t index = number_at(line, at);

    if (index >= sim->plan.machines || at >= line->count) {
        complain(sim, line, "no such machine");
        return &sim->machines[0];
    }
    return &sim->machines[index];
}

/* agent N kill | leave | pause for MS */
static void do_agent(struct sim *sim, const struct line *line)
{
    struct machine *machine = machine_at(sim, line, 3);
    struct segment *segment = &machine->segments[machine->current];

    if (sim->failed || !segment->agent.up)
        complain(sim, line, "there is no agent");
    else if (is_word(line, 4, "kill"))
        agent_kill(segment);
    else if (is_word(line, 4, "leave"))
        agent_leave(segment);
    else if (is_word(line, 4, "pause"))
        segment->agent.stopped_until_us = sim->now_us + duration_at(line, 5);
    else
        complain(sim, line, "not understood");
}

/* segment N replace | wipe */
static void do_segment(struct sim *sim, const struct line *line)
{
    struct machine *machine = machine_at(sim, line, 3);

    if (!sim->failed && !machine_replace_segment(machine, is_word(line, 4, "wipe")))
        complain(sim, line, "the one before it is still in use");
}

/* break N NODE agent MS|never server MS|never: when each end sees it */
static void do_break(struct sim *sim, const struct line *line)
{
    struct machine *machine = machine_at(sim, line, 3);
    uint32_t at = 4;
    const struct host *host = host_at(sim, line, &at);
    uint64_t agent_us = number_at(line, at + 1) * MS, server_us = number_at(line, at + 3) * MS;

    if (sim->failed)
        return;
    agent_break(&machine->segments[machine->current], host->node,
                is_word(line, at + 1, "never") ? UINT64_MAX : agent_us,
                is_word(line, at + 3, "never") ? UINT64_MAX : server_us);
}

/* client N stop STEP for MS: of its next read that comes there */
static void do_stop(struct sim *sim, const struct line *line, struct client *client)
{
    static const char *const steps[READ_STEPS] = {
        [READ_COPY] = "copy",     [READ_CHECK] = "check", [READ_CLOCK] = "clock",
        [READ_RETURN] = "return", [READ_NOTE] = "note",   [READ_SEND] = "send",
        [READ_FILL] = "fill"};

    for (uint32_t i = 0; i < READ_STEPS; i++)
        if (is_word(line, 5, steps[i])) {
            client->stop_us[i] = duration_at(line, 6);
            return;
        }
    complain(sim, line, "no such step");
}

/* expect machine N has|lacks K: whether the key would be read from the cache now */
static void expect_machine(struct sim *sim, const struct line *line)
{
    struct machine *machine = machine_at(sim, line, 4);
    bool has;

    if (sim->failed)
        return;
    has = machine_has_key(machine, (uint32_t)number_at(line, 6));
    if (has == is_word(line, 5, "lacks"))
        sim_fail(sim, "line %u: machine %u %s the key", line->number, machine->number,
                 has ? "has" : "lacks");
}

static bool mutation_of(const char *word, enum operation_kind *kind)
{
    static const char *const words[] = {[OPERATION_PUT] = "put",
                                        [OPERATION_PUT_IF] = "put-if",
                                        [OPERATION_GET] = "get",
                                        [OPERATION_SWAP] = "swap",
                                        [OPERATION_DELETE] = "delete"};

    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], word) == 0) {
            *kind = (enum operation_kind)i;
            return true;
        }
    return false;
}

/* client N put K V [ttl MS] | put-if K V VERSION | get K | swap K V | delete K; or loop COUNT */
static void do_client(struct sim *sim, const struct line *line)
{
    uint32_t index = (uint32_t)number_at(line, 3);
    struct sim_request request = {.key = (uint32_t)number_at(line, 5), .value = number_at(line, 6)};

    if (index >= sim->plan.clients || line->count < 6) {
        complain(sim, line, "no such client");
    } else if (is_word(line, 4, "stop")) {
        do_stop(sim, line, &sim->clients[index]);
    } else if (is_word(line, 4, "loop")) {
        sim->clients[index].scripted = false;
        sim->clients[index].left = (uint32_t)number_at(line, 5);
        sim_schedule(sim, 0, EVENT_CLIENT, sim->clients[index].node, 0, 0, NULL);
    } else if (!mutation_of(line->words[4], &request.kind)) {
        complain(sim, line, "no such operation");
    } else {
        if (is_word(line, 7, "ttl"))
            request.ttl_ms = number_at(line, 8);
        else if (request.kind == OPERATION_PUT_IF)
            request.if_version = number_at(line, 7);
        if (!client_begin(sim, index, &request))
            complain(sim, line, "the client still waits for its last answer");
    }
}

/* --- what is expected
 * -------------------------------------------------------------------------------- */

static void expect_client(struct sim *sim, const struct line *line)
{
    const struct client *client = &sim->clients[number_at(line, 4) % SIM_CLIENTS];
    const struct sim_reply *reply = &client->last_reply;

    if (is_word(line, 5, "waits")) {
        if (!client->busy)
            complain(sim, line, "the client has its answer");
        return;
    }
    if (client->busy)
        complain(sim, line, "the client still waits");
    else if (is_word(line, 5, "answered"))
        return;
    else if (is_word(line, 6, "none") ? reply->existed
                                      : !reply->existed || reply->value != number_at(line, 6))
        sim_fail(sim, "line %u: the client was told %s %llu", line->number,
                 reply->existed ? "value" : "absent", (unsigned long long)reply->value);
    else if (line->count > 7 && is_word(line, 7, "cached") != reply->cached)
        sim_fail(sim, "line %u: the value %s from the cache", line->number,
                 reply->cached ? "came" : "did not come");
}

static void expect_node(struct sim *sim, const struct line *line)
{
    uint32_t at = 3;
    struct host *host = host_at(sim, line, &at);
    const struct configuration *configuration = manager_configuration(sim, 0);
    bool negated = is_word(line, at, "not");
    bool holds = false;

    at += negated ? 1 : 0;
    if (is_word(line, at, "serves"))
        holds = host->up && replica_serves(&host->parts[0].replica, host_now_ms(host));
    else if (is_word(line, at, "leads"))
        holds = configuration != NULL && configuration->primary.server == host->node;
    else if (is_word(line, at, "member"))
        holds = configuration != NULL && is_member(configuration, host->node);
    else if (is_word(line, at, "up"))
        holds = host->up;
    else
        complain(sim, line, "no such expectation");
    if (holds == negated)
        sim_fail(sim, "line %u: server %u is not as expected", line->number, host->node);
}

/* expect members N | client ... | NODE [not] serves|leads|member|up */
static void do_expect(struct sim *sim, const struct line *line)
{
    const struct configuration *configuration = manager_configuration(sim, 0);

    if (is_word(line, 3, "client"))
        expect_client(sim, line);
    else if (is_word(line, 3, "machine"))
        expect_machine(sim, line);
    else if (!is_word(line, 3, "members"))
        expect_node(sim, line);
    else if (configuration == NULL)
        complain(sim, line, "the partitions are not placed");
    else if (configuration->member_count != number_at(line, 4))
        sim_fail(sim, "line %u: there are %u members", line->number, configuration->member_count);
}

void script_event(struct sim *sim, const struct event *event)
{
    static const struct {
        const char *word;
        void (*act)(struct sim *sim, const struct line *line);
    } verbs[] = {
        {"cut", do_cut},       {"isolate", do_isolate}, {"crash", do_crash},
        {"start", do_start},   {"mount", do_start},     {"pause", do_pause},
        {"let", do_let},       {"move", do_admin},      {"drain", do_admin},
        {"undrain", do_admin}, {"wipe", do_disk},       {"unmount", do_disk},
        {"slow", do_disk},     {"checkpoint", do_disk}, {"cut-log", do_disk},
        {"damage", do_disk},   {"client", do_client},   {"expect", do_expect},
        {"agent", do_agent},   {"break", do_break},     {"segment", do_segment},
    };
    const struct line *line = event->data;

    if (sim->tracing) {
        char text[LINE_MAX_BYTES] = "";
        size_t used = 0;

        for (uint32_t i = 2; i < line->count; i++)
            used += (size_t)snprintf(text + used, sizeof text - used, " %s", line->words[i]);
        TRACE(sim, "*%s", text);
    }
    if (is_word(line, 2, "heal")) {
        network_heal(sim);
        return;
    }
    if (is_word(line, 2, "drop") || is_word(line, 2, "hold")) {
        do_hold(sim, line, is_word(line, 2, "drop"));
        return;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (is_word(line, 2, verbs[i].word)) {
            verbs[i].act(sim, line);
            return;
        }
    complain(sim, line, "not understood");
}
