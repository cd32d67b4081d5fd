/* See nemesis_verify.h. */
#include "fuzz/nemesis_verify.h"

#include <string.h>

#include "base/clock.h"
#include "fuzz/cluster_tool.h"
#include "fuzz/nemesis_internal.h"

enum { ANSWER_MAX = 1 << 20, HELP_LIMIT_MS = 10000, VERIFY_LIMIT_MS = 40000, PAUSE_MS = 100 };

static int ask(struct nemesis *nemesis, const char *words, uint64_t limit_ms, int *exit_code,
               struct buffer *answer, struct error *error)
{
    buffer_clear(answer);
    return tool_run(&nemesis->cluster, words, limit_ms, exit_code, answer, error);
}

/* Copies that still catch up are not equal yet. */
static int wait_equal(struct nemesis *nemesis, struct buffer *answer, struct error *error)
{
    uint64_t deadline_ms = clock_now_ms() + nemesis->options.heal_limit_ms;
    int exit_code;

    for (;;) {
        int rc = ask(nemesis, "--timeout 30000 admin verify", VERIFY_LIMIT_MS, &exit_code, answer,
                     error);
        if (rc != 0)
            return rc;
        if (exit_code == 0)
            return 0;
        if (clock_now_ms() > deadline_ms)
            return error_set(error, CAIRN_EIO, "cairn admin verify: exit %d: %.300s", exit_code,
                             (const char *)answer->data);
        rc = cluster_sleep(&nemesis->cluster, PAUSE_MS, error);
        if (rc != 0)
            return rc;
    }
}

int nemesis_verify(struct nemesis *nemesis, struct error *error)
{
    struct buffer answer;
    int exit_code;

    buffer_init(&answer, ANSWER_MAX);
    int rc = ask(nemesis, "admin --help", HELP_LIMIT_MS, &exit_code, &answer, error);
    bool has_verify =
        rc == 0 && exit_code == 0 && strstr((const char *)answer.data, "\n  verify") != NULL;
    if (has_verify)
        rc = wait_equal(nemesis, &answer, error);
    if (rc == 0)
        nemesis_say(nemesis, has_verify ? "all copies are equal"
                                        : "this cairn has no admin verify: copies not compared");
    buffer_free(&answer);
    return rc;
}
