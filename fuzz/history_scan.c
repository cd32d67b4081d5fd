/* Reads scans, and expands them to gets of all keys in their ranges. */
#include "fuzz/history_scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    uint64_t key, value;
};

struct scan {
    char *from, *to;    /* owned */
    struct pair *pairs; /* by key once read; owned */
    size_t pair_count;
    uint32_t process;
    uint64_t start_ns, end_ns;
};

static int compare_pairs(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    return (a->key > b->key) - (a->key < b->key);
}

static bool in_range(const struct scan *scan, const char *key)
{
    return strcmp(scan->from, key) <= 0 && strcmp(key, scan->to) <= 0;
}

static const char *read_pairs(struct history *history, const json_t *object, struct scan *scan)
{
    const json_t *result = json_object_get(object, "result");
    if (!json_is_array(result))
        return "result of a scan is no list";
    scan->pairs = calloc(json_array_size(result) + 1, sizeof(*scan->pairs));
    if (scan->pairs == NULL)
        return "out of memory";
    for (size_t i = 0; i < json_array_size(result); i++) {
        const json_t *pair = json_array_get(result, i);
        const char *key = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));
        if (key == NULL || value == NULL || json_array_size(pair) != 2)
            return "result of a scan has something else than pairs of texts";
        if (!in_range(scan, key))
            return "a scan shows a key out of its range";
        struct pair read = {names_number(&history->keys, key),
                            names_number(&history->values, value)};
        if (read.key == 0 || read.value == 0)
            return "out of memory";
        scan->pairs[scan->pair_count++] = read;
    }
    qsort(scan->pairs, scan->pair_count, sizeof(*scan->pairs), compare_pairs);
    for (size_t i = 1; i < scan->pair_count; i++)
        if (scan->pairs[i].key == scan->pairs[i - 1].key)
            return "a scan shows a key twice";
    return NULL;
}

static bool get_number(const json_t *object, const char *name, uint64_t *number)
{
    const json_t *member = json_object_get(object, name);
    *number = json_is_integer(member) ? (uint64_t)json_integer_value(member) : 0;
    return json_is_integer(member) && json_integer_value(member) >= 0;
}

static const char *read_scan(struct history *history, const json_t *object, struct scan *scan)
{
    const char *from = json_string_value(json_object_get(object, "from"));
    const char *to = json_string_value(json_object_get(object, "to"));
    uint64_t process;
    if (from == NULL || to == NULL)
        return "from or to of a scan is no text";
    if (!get_number(object, "process", &process) || process > UINT32_MAX)
        return "process is no number";
    if (!get_number(object, "start", &scan->start_ns))
        return "start is no number";
    if (!get_number(object, "end", &scan->end_ns) || scan->end_ns < scan->start_ns)
        return "end is neither null nor a number from start on";
    scan->process = (uint32_t)process;
    scan->from = strdup(from);
    scan->to = strdup(to);
    if (scan->from == NULL || scan->to == NULL)
        return "out of memory";
    return read_pairs(history, object, scan);
}

const char *history_scan_read(struct history *history, const json_t *object)
{
    if (json_is_null(json_object_get(object, "end")))
        return NULL; /* an answer that did not come tells nothing */
    struct scan *scans =
        realloc(history->scans, (history->scan_count + 1) * sizeof(*history->scans));
    if (scans == NULL)
        return "out of memory";
    history->scans = scans;
    scans[history->scan_count] = (struct scan){0};
    return read_scan(history, object, &scans[history->scan_count++]);
}

static int expand(struct history *history, const struct scan *scan, struct error *error)
{
    int status = 0;
    for (uint64_t key = 1; status == 0 && key <= history->keys.count; key++) {
        if (!in_range(scan, names_text(&history->keys, key)))
            continue;
        struct pair wanted = {.key = key};
        const struct pair *found =
            bsearch(&wanted, scan->pairs, scan->pair_count, sizeof(*scan->pairs), compare_pairs);
        const struct operation get = {.kind = OPERATION_GET,
                                      .process = scan->process,
                                      .key = key,
                                      .result = found != NULL ? found->value : 0,
                                      .version = OPERATION_NO_VERSION,
                                      .start_ns = scan->start_ns,
                                      .end_ns = scan->end_ns};
        status = history_add(history, &get, error);
    }
    return status;
}

int history_scans_expand(struct history *history, struct error *error)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < history->scan_count; i++)
        status = expand(history, &history->scans[i], error);
    history_scans_free(history);
    return status;
}

void history_scans_free(struct history *history)
{
    for (size_t i = 0; i < history->scan_count; i++) {
        free(history->scans[i].from);
        free(history->scans[i].to);
        free(history->scans[i].pairs);
    }
    free(history->scans);
    history->scans = NULL;
    history->scan_count = 0;
}
