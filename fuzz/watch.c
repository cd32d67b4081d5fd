/* Keeps the windows of all keys, and checks them up to cuts. */
#include "fuzz/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fuzz/cut.h"

enum {
    DUE_DEFAULT = 256,
    PREFIX_TIMES = 16, /* so many times as large, a window is checked although it has no cut */
    KEYS_MAX = 1 << 24,
};

struct window {
    struct key_state state; /* at its beginning */
    struct operation *operations;
    size_t count, room;
    size_t due; /* looked at from so many operations on */
    bool waits; /* it is in the list of those that are due */
    bool later; /* it was cut before */
};

struct watch {
    struct watch_options options;
    struct window **windows; /* by key - 1; NULL: none yet, or finished and forgotten */
    size_t room, finished;   /* keys up to `finished` are */
    uint64_t *due;           /* keys */
    size_t due_count, due_room;
    struct watch_counts counts;
    struct finding finding;
};

void finding_free(struct finding *finding)
{
    free(finding->operations);
    *finding = (struct finding){0};
}

int watch_create(const struct watch_options *options, struct watch **watch, struct error *error)
{
    *watch = calloc(1, sizeof(**watch));
    if (*watch == NULL)
        return error_set(error, CAIRN_ENOMEM, "watch: out of memory");
    (*watch)->options = *options;
    if (options->due == 0)
        (*watch)->options.due = DUE_DEFAULT;
    return 0;
}

static void window_free(struct window *window)
{
    if (window != NULL)
        free(window->operations);
    free(window);
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    for (size_t i = 0; i < watch->room; i++)
        window_free(watch->windows[i]);
    free(watch->windows);
    free(watch->due);
    finding_free(&watch->finding);
    free(watch);
}

const struct finding *watch_finding(const struct watch *watch)
{
    return watch->finding.operations != NULL ? &watch->finding : NULL;
}

void watch_counts(const struct watch *watch, struct watch_counts *counts)
{
    *counts = watch->counts;
}

/* --- windows ------------------------------------------------------------------------------------
 */

/* Room for one more element of `size` bytes. */
static int grow(void **list, size_t *room, size_t needed, size_t size)
{
    if (needed <= *room)
        return 0;
    size_t wanted = *room == 0 ? 64 : *room * 2;
    while (wanted < needed)
        wanted *= 2;
    void *larger = realloc(*list, wanted * size);
    if (larger == NULL)
        return CAIRN_ENOMEM;
    memset((char *)larger + *room * size, 0, (wanted - *room) * size);
    *list = larger;
    *room = wanted;
    return 0;
}

/* The key's window, made if it is missing; NULL without memory. */
static struct window *window_of(struct watch *watch, uint64_t key)
{
    void *windows = watch->windows;
    if (grow(&windows, &watch->room, key, sizeof(*watch->windows)) != 0)
        return NULL;
    watch->windows = windows;
    struct window **window = &watch->windows[key - 1];
    if (*window == NULL) {
        *window = calloc(1, sizeof(**window));
        if (*window != NULL) {
            (*window)->due = watch->options.due;
            watch->counts.keys++;
        }
    }
    return *window;
}

static int note_due(struct watch *watch, uint64_t key, struct window *window)
{
    if (window->waits || window->count < window->due)
        return 0;
    void *due = watch->due;
    if (grow(&due, &watch->due_room, watch->due_count + 1, sizeof(*watch->due)) != 0)
        return CAIRN_ENOMEM;
    watch->due = due;
    watch->due[watch->due_count++] = key;
    window->waits = true;
    return 0;
}

int watch_add(struct watch *watch, const struct operation *operation, struct error *error)
{
    if (operation->key == 0 || operation->key > KEYS_MAX || operation->key <= watch->finished)
        return error_set(error, CAIRN_EINVAL, "watch: key %llu is none, or finished",
                         (unsigned long long)operation->key);
    struct window *window = window_of(watch, operation->key);
    int status = window == NULL ? CAIRN_ENOMEM : 0;
    if (status == 0) {
        void *operations = window->operations;
        status = grow(&operations, &window->room, window->count + 1, sizeof(*operation));
        window->operations = operations;
    }
    if (status == 0) {
        window->operations[window->count++] = *operation;
        watch->counts.operations++;
        status = note_due(watch, operation->key, window);
    }
    return status == 0 ? 0 : error_set(error, status, "watch: out of memory");
}

/* --- checking -----------------------------------------------------------------------------------
 */

static int check(struct watch *watch, struct key_state initial, const struct operation *operations,
                 size_t count, struct check_report *report, struct error *error)
{
    if (count > watch->counts.longest)
        watch->counts.longest = count;
    return history_check_key(operations, count, initial, &watch->options.limits, report, error);
}

/* Keeps the first operations of the window as what was found. */
static int keep_finding(struct watch *watch, uint64_t key, const struct window *window,
                        size_t count, const struct check_report *report, struct error *error)
{
    struct finding *finding = &watch->finding;
    struct operation *operations = calloc(count + 1, sizeof(*operations));
    if (operations == NULL)
        return error_set(error, CAIRN_ENOMEM, "watch: out of memory");
    memcpy(operations, window->operations, count * sizeof(*operations));
    *finding = (struct finding){.verdict = report->verdict,
                                .key = key,
                                .initial = window->state,
                                .later = window->later,
                                .operations = operations,
                                .count = count,
                                .until_ns = report->until_ns};
    (void)snprintf(finding->reason, sizeof(finding->reason), "%s", report->reason);
    return 0;
}

/* The part of a window before a cut that its verdict depends on: all but what may take effect
 * later. Owned by the caller. */
static struct operation *settled_part(const struct window *window, const uint64_t *seen_ns,
                                      size_t before, size_t *count)
{
    struct operation *part = calloc(before + 1, sizeof(*part));
    *count = 0;
    for (size_t i = 0; part != NULL && i < before; i++)
        if (window->operations[i].end_ns != OPERATION_OPEN || seen_ns[i] != OPERATION_OPEN)
            part[(*count)++] = window->operations[i];
    return part;
}

/* Forgets what lies before the cut. */
static void take_cut(struct watch *watch, struct window *window, const uint64_t *seen_ns,
                     const struct cut *cut)
{
    size_t kept = 0;
    for (size_t i = 0; i < window->count; i++) {
        bool open = window->operations[i].end_ns == OPERATION_OPEN;
        if (i >= cut->before || (open && seen_ns[i] == OPERATION_OPEN))
            window->operations[kept++] = window->operations[i];
    }
    watch->counts.checked += window->count - kept;
    watch->counts.cuts++;
    window->count = kept;
    window->state = cut->state;
    window->later = true;
}

enum step { STEP_NONE, STEP_CUT, STEP_VIOLATION };

/* Makes a cut, the last or the first that there is. STEP_NONE if there is none, or what lies before
 * it needs operations whose outcome is unknown; STEP_VIOLATION if nothing explains it, with the
 * report. The window is sorted. */
static int step_cut(struct watch *watch, struct window *window, uint64_t limit_ns, bool first,
                    enum step *step, struct check_report *report, struct error *error)
{
    struct cut cut;
    size_t count;
    *step = STEP_NONE;
    uint64_t *seen_ns = calloc(window->count + 1, sizeof(*seen_ns));
    if (seen_ns == NULL)
        return error_set(error, CAIRN_ENOMEM, "watch: out of memory");
    cut_seen(window->operations, window->count, limit_ns, seen_ns);
    int status = 0;
    if (cut_find(window->operations, seen_ns, window->count, limit_ns, watch->options.versions,
                 first, &cut)) {
        struct operation *part = settled_part(window, seen_ns, cut.before, &count);
        status = part == NULL ? error_set(error, CAIRN_ENOMEM, "watch: out of memory")
                              : check(watch, window->state, part, count, report, error);
        free(part);
        if (status == 0 && report->verdict == VERDICT_LINEARIZABLE) {
            take_cut(watch, window, seen_ns, &cut);
            *step = STEP_CUT;
        } else if (status == 0) {
            status = check(watch, window->state, window->operations, cut.before, report, error);
            if (status == 0 && report->verdict != VERDICT_LINEARIZABLE)
                *step = STEP_VIOLATION;
        }
    }
    free(seen_ns);
    return status;
}

/* Something before `limit_ns` is not explained: goes to it in the smallest steps, so that little is
 * left to look at. */
static int find_closely(struct watch *watch, uint64_t key, struct window *window, uint64_t limit_ns,
                        const struct check_report *coarse, struct error *error)
{
    struct check_report report = *coarse;
    enum step step = STEP_CUT;
    int status = 0;
    while (status == 0 && step == STEP_CUT) {
        struct check_report next;
        status = step_cut(watch, window, limit_ns, true, &step, &next, error);
        if (status == 0 && step == STEP_VIOLATION)
            report = next;
    }
    /* What the verdict was about may be found no closer: then it is about all that is left. */
    size_t count = window->count;
    if (status == 0 && report.until_ns != OPERATION_OPEN)
        for (count = 0; count < window->count; count++)
            if (window->operations[count].start_ns > report.until_ns)
                break;
    return status != 0 ? status : keep_finding(watch, key, window, count, &report, error);
}

/* The window as it was before `limit_ns`: what ended later is open. Owned by the caller. */
static struct operation *prefix_of(const struct window *window, uint64_t limit_ns, size_t *count)
{
    struct operation *prefix = calloc(window->count + 1, sizeof(*prefix));
    *count = 0;
    for (size_t i = 0; prefix != NULL && i < window->count; i++) {
        if (window->operations[i].start_ns >= limit_ns)
            continue;
        prefix[*count] = window->operations[i];
        if (prefix[*count].end_ns >= limit_ns)
            prefix[*count].end_ns = OPERATION_OPEN;
        (*count)++;
    }
    return prefix;
}

static int check_prefix(struct watch *watch, uint64_t key, struct window *window, uint64_t limit_ns,
                        struct error *error)
{
    struct check_report report;
    size_t count;
    struct operation *prefix = prefix_of(window, limit_ns, &count);
    if (prefix == NULL)
        return error_set(error, CAIRN_ENOMEM, "watch: out of memory");
    int status = check(watch, window->state, prefix, count, &report, error);
    free(prefix);
    if (status == 0 && report.verdict != VERDICT_LINEARIZABLE)
        status = find_closely(watch, key, window, limit_ns, &report, error);
    return status;
}

/* All operations that start before `limit_ns` are there or under way, and of the latter none
 * started before it. */
static int look_at(struct watch *watch, uint64_t key, struct window *window, uint64_t limit_ns,
                   struct error *error)
{
    struct check_report report;
    enum step step;
    size_t before = window->count;
    cut_sort(window->operations, window->count);
    int status = step_cut(watch, window, limit_ns, false, &step, &report, error);
    if (status == 0 && step == STEP_VIOLATION)
        status = find_closely(watch, key, window, limit_ns, &report, error);
    else if (status == 0 && step == STEP_NONE && before >= PREFIX_TIMES * watch->options.due)
        status = check_prefix(watch, key, window, limit_ns, error);
    window->due = window->count * 2 > watch->options.due ? window->count * 2 : watch->options.due;
    return status;
}

static uint64_t limit_of(uint64_t key, uint64_t floor_ns, const struct pending *pending,
                         size_t count)
{
    uint64_t limit_ns = floor_ns;
    for (size_t i = 0; i < count; i++)
        if (pending[i].key == key && pending[i].start_ns < limit_ns)
            limit_ns = pending[i].start_ns;
    return limit_ns;
}

int watch_advance(struct watch *watch, uint64_t floor_ns, const struct pending *pending,
                  size_t count, struct error *error)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < watch->due_count && !watch_finding(watch); i++) {
        uint64_t key = watch->due[i];
        struct window *window = watch->windows[key - 1];
        if (window == NULL) /* finished meanwhile */
            continue;
        window->waits = false;
        status = look_at(watch, key, window, limit_of(key, floor_ns, pending, count), error);
    }
    watch->due_count = 0;
    return status;
}

static int finish_key(struct watch *watch, uint64_t key, struct window *window, struct error *error)
{
    struct check_report report;
    cut_sort(window->operations, window->count);
    int status = check(watch, window->state, window->operations, window->count, &report, error);
    if (status != 0)
        return status;
    if (report.verdict != VERDICT_LINEARIZABLE)
        return find_closely(watch, key, window, OPERATION_OPEN, &report, error);
    watch->counts.checked += window->count;
    return 0;
}

int watch_finish(struct watch *watch, uint64_t first, uint64_t end, struct error *error)
{
    int status = 0;
    CHECK(first > 0 && first == watch->finished + 1);
    for (uint64_t key = first; status == 0 && key < end && !watch_finding(watch); key++) {
        struct window *window = key <= watch->room ? watch->windows[key - 1] : NULL;
        if (window == NULL)
            continue;
        status = finish_key(watch, key, window, error);
        if (status == 0 && !watch_finding(watch)) {
            window_free(window);
            watch->windows[key - 1] = NULL;
        }
    }
    watch->finished = end - 1;
    return status;
}
