/* What status says in sentences: what is missing, who is away, what is under way. */
#include <stdio.h>
#include <string.h>

#include "client/cli.h"

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* Collects partitions, which come in ascending order, and prints them as `1-3, 7`. */
struct ranges {
    bool any;
    json_int_t first, last;
};

static void ranges_print(const struct ranges *ranges, const char *before)
{
    printf("%s%" JSON_INTEGER_FORMAT, before, ranges->first);
    if (ranges->last > ranges->first) {
        printf("-%" JSON_INTEGER_FORMAT, ranges->last);
    }
}

static const char *ranges_add(struct ranges *ranges, json_int_t partition, const char *before)
{
    if (ranges->any && partition == ranges->last + 1) {
        ranges->last = partition;
        return before;
    }
    if (ranges->any) {
        ranges_print(ranges, before);
        before = ", ";
    }
    *ranges = (struct ranges){true, partition, partition};
    return before;
}

static void ranges_end(const struct ranges *ranges, const char *before)
{
    if (ranges->any) {
        ranges_print(ranges, before);
    }
    putchar('\n');
}

static void print_missing(const json_t *status)
{
    const json_t *partitions = json_object_get(status, "partitions");
    json_int_t missing = number(status, "missing_copies");
    json_int_t wanted = number(status, "replicas");
    const char *copies = wanted == 1 ? "copy" : "copies";
    struct ranges ranges = {0};
    const char *before = ": ";
    size_t index;
    json_t *item;

    if (missing == 0) {
        printf("All %zu partitions have %" JSON_INTEGER_FORMAT " %s.\n",
               json_array_size(partitions), wanted, copies);
        return;
    }
    printf("%" JSON_INTEGER_FORMAT " of %zu partitions %s fewer than %" JSON_INTEGER_FORMAT " %s",
           missing, json_array_size(partitions), missing == 1 ? "has" : "have", wanted, copies);
    json_array_foreach(partitions, index, item)
    {
        if (number(item, "copies") < number(item, "wanted")) {
            before = ranges_add(&ranges, number(item, "partition"), before);
        }
    }
    ranges_end(&ranges, before);
}

/* Partitions whose primary is away or does not lead yet. */
static void print_unserved(const json_t *status)
{
    struct ranges ranges = {0};
    const char *before = "Not served now: ";
    size_t index;
    json_t *item;

    json_array_foreach(json_object_get(status, "partitions"), index, item)
    {
        const char *state = json_string_value(json_object_get(item, "state"));

        if (state == NULL || strcmp(state, "ok") != 0) {
            before = ranges_add(&ranges, number(item, "partition"), before);
        }
    }
    if (ranges.any) {
        ranges_end(&ranges, before);
    }
}

static void print_moving(const json_t *status)
{
    const json_t *moving = json_object_get(status, "moving");
    struct ranges ranges = {0};
    const char *before = ": ";
    size_t count = json_array_size(moving);
    size_t index;
    json_t *item;

    if (count == 0) {
        return;
    }
    printf("%zu %s copies that have still to move", count,
           count == 1 ? "partition has" : "partitions have");
    json_array_foreach(moving, index, item)
    {
        before = ranges_add(&ranges, json_integer_value(item), before);
    }
    ranges_end(&ranges, before);
}

/* True if its copies will be replaced unless it comes back. */
static bool print_server(const json_t *server)
{
    const char *state = json_string_value(json_object_get(server, "state"));
    bool away = state != NULL && strcmp(state, "unreachable") == 0;
    json_int_t copies = number(server, "copies");

    if (away) {
        printf("Server %" JSON_INTEGER_FORMAT " is not reachable; it holds %" JSON_INTEGER_FORMAT
               " %s.\n",
               number(server, "id"), copies, copies == 1 ? "copy" : "copies");
    } else if (state != NULL && strcmp(state, "unregistered") == 0) {
        printf("Server %" JSON_INTEGER_FORMAT " has not registered.\n", number(server, "id"));
    }
    if (json_is_true(json_object_get(server, "draining"))) {
        printf("Server %" JSON_INTEGER_FORMAT " is draining: %" JSON_INTEGER_FORMAT
               " %s left on it.\n",
               number(server, "id"), copies, copies == 1 ? "copy is" : "copies are");
    }
    return away && copies > 0;
}

void cli_status_notes(const json_t *status)
{
    json_int_t replace_after_ms = number(status, "replace_after_ms");
    bool any_away = false;
    size_t index;
    json_t *item;

    print_missing(status);
    print_unserved(status);
    json_array_foreach(json_object_get(status, "servers"), index, item)
    {
        any_away = print_server(item) || any_away;
    }
    if (any_away && replace_after_ms > 0) {
        printf("Copies of a server that stays away are replaced after %" JSON_INTEGER_FORMAT
               " s.\n",
               replace_after_ms / 1000);
    }
    print_moving(status);
}
