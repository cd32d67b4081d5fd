/* check-history: whether a recorded history is linearizable.
 *
 *     check-history [FILE]        standard input without a FILE
 *
 * Reads one JSON object a line:
 *
 *     {"process":0,"op":"put","key":"k","value":"v","result":"not_found","start":10,"end":25}
 *
 * with op one of put, put_if, get, swap, delete; result "found" or "not_found" for put and delete,
 * the value or null for get, the old value or null for swap; times in nanoseconds of one clock;
 * "end":null when the outcome is unknown. fuzz/history_file.h says it all.
 *
 * Prints a verdict line on stdout, `linearizable`, `violation` or `unknown` with its counts, and
 * for a failure the history of the smallest failing key up to the answer that nothing explains.
 * Exit 0 linearizable; 1 a violation, or no verdict within the budget; 2 invalid input. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/checker.h"
#include "fuzz/history_file.h"

enum { SHOWN_LIMIT = 200 };

static int compare_operations(const void *left, const void *right)
{
    const struct operation *a = left, *b = right;
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    return (a->end_ns > b->end_ns) - (a->end_ns < b->end_ns);
}

/* Moves the failing key's operations that began by `until_ns` to the front, sorted by start. */
static size_t select_key(struct history *history, const struct check_report *report)
{
    size_t count = 0;
    for (size_t i = 0; i < history->count; i++)
        if (history->operations[i].key == report->key &&
            history->operations[i].start_ns <= report->until_ns)
            history->operations[count++] = history->operations[i];
    qsort(history->operations, count, sizeof(struct operation), compare_operations);
    return count;
}

static void print_failure(struct history *history, const struct check_report *report)
{
    size_t count = select_key(history, report);
    size_t first = count > SHOWN_LIMIT ? count - SHOWN_LIMIT : 0;
    uint64_t origin_ns = count > 0 ? history->operations[0].start_ns : 0;
    printf("key %s: %s\n", names_text(&history->keys, report->key), report->reason);
    if (report->until_ns != OPERATION_OPEN)
        printf("nothing explains the answer marked with >, together with those before it; times in "
               "ns from the first\n");
    if (first > 0)
        printf("  (%zu earlier operations)\n", first);
    for (size_t i = first; i < count; i++) {
        const struct operation *operation = &history->operations[i];
        printf("%c ", operation->end_ns == report->until_ns ? '>' : ' ');
        history_print(history, operation, origin_ns, stdout);
    }
}

static int check_and_print(struct history *history, struct error *error)
{
    struct check_report report;
    if (history_check(history->operations, history->count, NULL, &report, error) != 0)
        return 2;
    printf("%s operations=%" PRIu64 " keys=%" PRIu64 " failed_keys=%" PRIu64
           " configurations=%" PRIu64 "\n",
           verdict_text(report.verdict), report.operations, report.keys, report.failed_keys,
           report.configurations);
    if (report.verdict == VERDICT_LINEARIZABLE)
        return 0;
    print_failure(history, &report);
    return 1;
}

static int run(const char *path, struct error *error)
{
    struct history history = {0};
    FILE *file = path != NULL ? fopen(path, "r") : stdin;
    if (file == NULL) {
        error_set(error, CAIRN_EIO, "%s: %s", path, strerror(errno));
        return 2;
    }
    int result = 2;
    if (history_read(&history, file, path != NULL ? path : "stdin", error) == 0)
        result = check_and_print(&history, error);
    if (file != stdin)
        fclose(file);
    history_free(&history);
    return result;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: check-history [FILE]\n");
        return 2;
    }
    int result = run(argc == 2 ? argv[1] : NULL, &error);
    if (error.code != 0)
        fprintf(stderr, "ERROR: %s\n", error.message);
    return result;
}
