/* The command status: the library's JSON, or two tables made from it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli.h"

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));

    return value != NULL ? value : "-";
}

/* `out` must hold a few digits and a unit. */
static const char *bytes_text(json_int_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"", "K", "M", "G", "T"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 10000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(out, size, "%.0f%s", value, units[unit]);
    return out;
}

static void print_server(const json_t *server)
{
    const json_t *operations = json_object_get(server, "operations");
    char log[16], memory[16], store[16];

    printf("%-4" JSON_INTEGER_FORMAT " %-24s %-13s", number(server, "id"), text(server, "address"),
           json_is_true(json_object_get(server, "draining")) && operations != NULL
               ? "draining"
               : text(server, "state"));
    if (operations == NULL) {
        printf(" %s\n", text(server, "error"));
        return;
    }
    json_int_t reads = number(operations, "get") + number(operations, "scan");
    json_int_t writes =
        number(operations, "put") + number(operations, "swap") + number(operations, "delete");
    printf(" %8" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT
           " %7s %9s %7s%s\n",
           number(server, "uptime_ms") / 1000, reads, writes,
           bytes_text(number(server, "log_bytes"), log, sizeof(log)),
           bytes_text(number(server, "memtable_bytes"), memory, sizeof(memory)),
           bytes_text(number(server, "store_bytes"), store, sizeof(store)),
           json_is_true(json_object_get(server, "read_only")) ? " read-only: the disk is full"
                                                              : "");
}

/* Backups, then learners with a mark: "1,2,3*". */
static void print_backups(const json_t *partition)
{
    char list[64] = "";
    size_t length = 0;
    size_t index;
    json_t *server;
    static const char *const kinds[] = {"backups", "learners"};

    for (size_t kind = 0; kind < 2; kind++) {
        json_array_foreach(json_object_get(partition, kinds[kind]), index, server)
        {
            int added =
                snprintf(list + length, sizeof(list) - length, "%s%" JSON_INTEGER_FORMAT "%s",
                         length == 0 ? "" : ",", json_integer_value(server), kind == 0 ? "" : "*");
            if (added < 0 || (size_t)added >= sizeof(list) - length) {
                break;
            }
            length += (size_t)added;
        }
    }
    printf(" %-12s", length == 0 ? "-" : list);
}

/* "-" when it is not known. */
static const char *lag_text(const json_t *partition, char *out, size_t size)
{
    const json_t *lag = json_object_get(partition, "lag");

    snprintf(out, size, "-");
    if (json_is_integer(lag)) {
        snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(lag));
    }
    return out;
}

static void print_partition(const json_t *partition)
{
    char lag[24];

    printf("%-9" JSON_INTEGER_FORMAT " %7" JSON_INTEGER_FORMAT, number(partition, "partition"),
           number(partition, "primary"));
    print_backups(partition);
    printf(" %5" JSON_INTEGER_FORMAT " %5s %-11s", number(partition, "epoch"),
           lag_text(partition, lag, sizeof(lag)), text(partition, "state"));
    if (json_object_get(partition, "role") != NULL) {
        printf(" %-9s %10" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT
               " %10" JSON_INTEGER_FORMAT,
               text(partition, "role"), number(partition, "commit_index"),
               number(partition, "applied_index"), number(partition, "checkpoint_index"));
    }
    putchar('\n');
}

/* Only of servers that have found any. */
static void print_damage(const json_t *servers)
{
    size_t index;
    json_t *server;

    json_array_foreach(servers, index, server)
    {
        const json_t *scrub = json_object_get(server, "scrub");

        if (number(scrub, "bad_values") + number(scrub, "stepped_aside") > 0) {
            printf("server %" JSON_INTEGER_FORMAT ": %" JSON_INTEGER_FORMAT
                   " bad values found, %" JSON_INTEGER_FORMAT " repaired, %" JSON_INTEGER_FORMAT
                   " not; %" JSON_INTEGER_FORMAT " copies installed anew\n",
                   number(server, "id"), number(scrub, "bad_values"), number(scrub, "repaired"),
                   number(scrub, "waiting") + number(scrub, "unrepaired"),
                   number(scrub, "stepped_aside"));
        }
    }
}

static void print_tables(const json_t *status)
{
    const json_t *servers = json_object_get(status, "servers");
    const json_t *partitions = json_object_get(status, "partitions");
    bool any_learner = false;
    size_t index;
    json_t *item;

    printf("cluster %s: %zu servers, %" JSON_INTEGER_FORMAT " partitions, %" JSON_INTEGER_FORMAT
           " %s of each\n\n",
           text(status, "cluster"), json_array_size(servers), number(status, "partition_count"),
           number(status, "replicas"), number(status, "replicas") == 1 ? "copy" : "copies");
    printf("%-4s %-24s %-13s %8s %10s %10s %7s %9s %7s\n", "ID", "ADDRESS", "STATE", "UPTIME S",
           "READS", "WRITES", "LOG", "MEMTABLE", "STORE");
    json_array_foreach(servers, index, item)
    {
        print_server(item);
    }
    print_damage(servers);
    if (json_array_size(partitions) == 0) {
        puts("\nThe partitions are not placed yet: not all servers have registered.");
        return;
    }
    putchar('\n');
    cli_status_notes(status);
    printf("\n%-9s %7s %-12s %5s %5s %-11s %-9s %10s %10s %10s\n", "PARTITION", "PRIMARY",
           "BACKUPS", "EPOCH", "LAG", "STATE", "ROLE", "COMMITTED", "APPLIED", "CHECKPOINT");
    json_array_foreach(partitions, index, item)
    {
        print_partition(item);
        any_learner = any_learner || json_array_size(json_object_get(item, "learners")) > 0;
    }
    if (any_learner) {
        puts("* is still catching up");
    }
}

int cli_status(struct cli *cli, const struct cli_words *words)
{
    const char *json;
    json_error_t error;

    (void)words;
    int status = cairn_status(cli->db, &json);
    if (status != CAIRN_OK) {
        return cli_failure(cli, status);
    }
    if (cli->options.json) {
        puts(json);
        return CLI_DONE;
    }
    json_t *parsed = json_loads(json, 0, &error);
    if (parsed == NULL) {
        return cli_error(CLI_INVALID, "status: %s", error.text);
    }
    print_tables(parsed);
    json_decref(parsed);
    return CLI_DONE;
}
