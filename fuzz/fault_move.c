/* What an operator does while clients work: moves, drains and rebalancing. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "fuzz/cluster_tool.h"
#include "fuzz/fault.h"

/* A command may meet a manager that is killed, stopped or cut off: then it is as if it had not been
 * given. */
enum { REQUEST_LIMIT_MS = 3000, ANSWER_MAX = 1 << 20, PAUSE_MS = 50 };
enum { EXIT_DONE = 0, EXIT_REFUSED = 2, EXIT_TIMED_OUT = 3 };

/* `command` begins with the options that it takes; `answer` is what the manager said, for errors.
 */
static int request(struct cluster *cluster, const char *command, int *exit_code,
                   struct buffer *answer, struct error *error)
{
    char words[128];

    buffer_clear(answer);
    (void)snprintf(words, sizeof words, "--timeout 1000 admin %s", command);
    int rc = tool_run(cluster, words, REQUEST_LIMIT_MS, exit_code, answer, error);
    if (rc == 0 && *exit_code != EXIT_DONE && *exit_code != EXIT_REFUSED &&
        *exit_code != EXIT_TIMED_OUT)
        rc = error_set(error, CAIRN_EIO, "cairn admin %s: exit %d: %.200s", command, *exit_code,
                       (const char *)answer->data);
    return rc;
}

int fault_begin_moves(const struct fault *fault, struct cluster *cluster, struct error *error)
{
    char command[64];
    struct buffer answer;
    int rc = 0, exit_code;

    buffer_init(&answer, ANSWER_MAX);
    for (uint32_t i = 0; rc == 0 && i < fault->move_count; i++) {
        const struct fault_move *move = &fault->moves[i];
        if (move->how == MOVE_PARTITION)
            (void)snprintf(command, sizeof command, "move %u %u --no-wait", move->partition,
                           move->server);
        else if (move->how == MOVE_DRAIN)
            (void)snprintf(command, sizeof command, "drain %u --no-wait", move->server);
        else
            (void)snprintf(command, sizeof command, "rebalance --no-wait");
        if (move->how == MOVE_DRAIN)
            cluster->drained |= 1U << move->server;
        rc = request(cluster, command, &exit_code, &answer, error);
    }
    buffer_free(&answer);
    return rc;
}

/* Harmless if the drain never arrived. */
static int undrain(struct cluster *cluster, unsigned server, uint64_t deadline_ms,
                   struct buffer *answer, struct error *error)
{
    char command[64];
    int exit_code = EXIT_DONE;

    (void)snprintf(command, sizeof command, "undrain %u", server);
    for (;;) {
        int rc = request(cluster, command, &exit_code, answer, error);
        if (rc != 0)
            return rc;
        if (exit_code == EXIT_DONE)
            return 0;
        if (clock_now_ms() > deadline_ms)
            return error_set(error, CAIRN_ETIMEDOUT,
                             "cairn admin undrain %u: exit %d to the end: %.200s; see %s", server,
                             exit_code, (const char *)answer->data, cluster->manager.log);
        rc = cluster_sleep(cluster, PAUSE_MS, error);
        if (rc != 0)
            return rc;
    }
}

int fault_end_drains(struct cluster *cluster, uint64_t limit_ms, struct error *error)
{
    uint64_t deadline_ms = clock_now_ms() + limit_ms;
    struct buffer answer;
    int rc = 0;

    buffer_init(&answer, ANSWER_MAX);
    for (unsigned i = 0; rc == 0 && i < cluster->server_count; i++)
        if ((cluster->drained >> i & 1) != 0)
            rc = undrain(cluster, i, deadline_ms, &answer, error);
    buffer_free(&answer);
    return rc;
}
