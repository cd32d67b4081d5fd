/* See nemesis_verify.h. */
#include "fuzz/nemesis_verify.h"

#include "base/clock.h"
#include "fuzz/cluster_tool.h"
#include "fuzz/nemesis_internal.h"

enum { ANSWER_MAX = 1 << 20, VERIFY_LIMIT_MS = 40000, PAUSE_MS = 100 };

static int ask(struct nemesis *nemesis, const char *words, uint64_t limit_ms, int *exit_code,
               struct buffer *answer, struct error *error)
{
    buffer_clear(answer);
    return tool_run(&nemesis->cluster, words, limit_ms, exit_code, answer, error);
}

/* Copies that are busy cannot be compared yet (exit 2). Those that differ are a fault at once: the
 * servers would repair them (W8), and it would be forgotten. */
static int wait_equal(struct nemesis *nemesis, struct buffer *answer, struct error *error)
{
    uint64_t deadline_ms = clock_now_ms() + nemesis->options.heal_limit_ms;
    int exit_code;

    for (;;) {
        int rc = ask(nemesis, "--timeout 30000 admin verify", VERIFY_LIMIT_MS, &exit_code, answer,
                     error);
        if (rc != 0 || exit_code == 0)
            return rc;
        if (exit_code == 1 || clock_now_ms() > deadline_ms)
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

    buffer_init(&answer, ANSWER_MAX);
    int rc = wait_equal(nemesis, &answer, error);
    if (rc == 0)
        nemesis_say(nemesis, "all copies are equal");
    buffer_free(&answer);
    return rc;
}
