/* The commands admin scrub and admin verify. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "client/cli.h"
#include "client/handle.h"
#include "client/scrub.h"
#include "client/text.h"

enum { LINE_EVERY_MS = 1000, CLI_UNSOUND = 1, TEXT_LIMIT = 8 * CAIRN_KEY_LIMIT };

struct line {
    const char *name;
    uint64_t next_ms;
};

/* A line a second on stderr, so that it can be followed in a file, too. */
static void show(void *context, const struct scrub_outcome *result)
{
    struct line *line = context;
    uint64_t now_ms = clock_now_ms();

    if (now_ms < line->next_ms) {
        return;
    }
    line->next_ms = now_ms + LINE_EVERY_MS;
    if (result->reading) {
        fprintf(stderr, "%s: %" PRIu64 " MiB of about %" PRIu64 " read\n", line->name,
                result->read_bytes >> 20, result->read_of >> 20);
    } else {
        fprintf(stderr, "%s: %u of %u partitions compared\n", line->name, result->compared,
                result->partition_count);
    }
    fflush(stderr);
}

/* --- what is printed ---------------------------------------------------------------------------
 */

static json_t *partition_json(uint32_t number, const struct scrub_partition *partition)
{
    json_t *servers = json_array();

    for (uint32_t i = 0; i < partition->differing_count; i++) {
        json_array_append_new(servers, json_integer(partition->differing[i]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "partition", (json_int_t)number, "copies",
                     (json_int_t)partition->copies, "index", (json_int_t)partition->index,
                     "bad_rows", (json_int_t)partition->bad, "servers", servers);
}

static void add_partitions(json_t *object, const struct scrub_outcome *result)
{
    json_t *differing = json_array();
    json_t *not_compared = json_array();
    json_t *unreachable = json_array();

    for (uint32_t i = 0; i < result->partition_count; i++) {
        const struct scrub_partition *partition = &result->partitions[i];

        if (partition->state == SCRUB_DIFFERS) {
            json_array_append_new(differing, partition_json(i, partition));
        } else if (partition->state != SCRUB_EQUAL) {
            json_array_append_new(not_compared, json_integer(i));
        }
    }
    for (size_t i = 0; i < result->server_count; i++) {
        if (result->servers[i].lost) {
            json_array_append_new(unreachable, json_integer(result->servers[i].id));
        }
    }
    json_object_set_new(object, "differing", differing);
    json_object_set_new(object, "not_compared", not_compared);
    json_object_set_new(object, "unreachable", unreachable);
}

static json_t *damaged_json(const struct scrub_outcome *result)
{
    json_t *values = json_array();

    for (size_t i = 0; i < result->server_count; i++) {
        for (uint32_t k = 0; k < result->servers[i].damaged_count; k++) {
            const struct scrub_damaged *value = &result->servers[i].damaged[k];
            json_t *object =
                json_pack("{s:I, s:I, s:b}", "server", (json_int_t)result->servers[i].id,
                          "partition", (json_int_t)value->partition, "lost", (int)value->lost);

            cli_json_bytes(object, "key", value->key, value->key_length);
            json_array_append_new(values, object);
        }
    }
    return values;
}

static void print_json(const struct scrub_outcome *result, const struct scrub_summary *summary,
                       bool repairs)
{
    json_t *object = json_object();

    json_object_set_new(object, "partitions", json_integer(summary->partitions));
    json_object_set_new(object, "copies", json_integer(summary->copies));
    json_object_set_new(object, "equal", json_integer(summary->equal));
    add_partitions(object, result);
    if (repairs) {
        json_object_set_new(object, "values", json_integer((json_int_t)summary->values));
        json_object_set_new(object, "bytes", json_integer((json_int_t)summary->bytes));
        json_object_set_new(object, "bad_values", json_integer((json_int_t)summary->bad));
        json_object_set_new(object, "repaired", json_integer((json_int_t)summary->repaired));
        json_object_set_new(object, "unrepaired", json_integer((json_int_t)summary->unrepaired));
        json_object_set_new(object, "reinstalled", json_integer(summary->reinstalled));
        json_object_set_new(object, "damaged", damaged_json(result));
    }
    cli_json_print(object);
}

static void print_partition(uint32_t number, const struct scrub_partition *partition)
{
    if (partition->state == SCRUB_DIFFERS) {
        printf("partition %u differs at index %" PRIu64 ", %" PRIu64 " bad rows: server", number,
               partition->index, partition->bad);
        for (uint32_t i = 0; i < partition->differing_count; i++) {
            printf(" %u", partition->differing[i]);
        }
        putchar('\n');
    } else if (partition->state == SCRUB_REPAIRING) {
        printf("partition %u: a copy is still being installed anew\n", number);
    } else if (partition->state != SCRUB_EQUAL) {
        printf("partition %u could not be compared\n", number);
    }
}

static void print_damaged(const struct scrub_server *server)
{
    for (uint32_t i = 0; i < server->damaged_count; i++) {
        const struct scrub_damaged *value = &server->damaged[i];
        struct buffer key;

        buffer_init(&key, TEXT_LIMIT);
        (void)text_append_word(&key, value->key, value->key_length);
        printf("server %u, partition %u: %s of key %.*s\n", server->id, value->partition,
               value->lost ? "no copy has a sound value" : "the value is damaged", (int)key.length,
               (const char *)key.data);
        buffer_free(&key);
    }
}

static void print_text(const struct scrub_outcome *result, const struct scrub_summary *summary,
                       bool repairs)
{
    for (uint32_t i = 0; i < result->partition_count; i++) {
        print_partition(i, &result->partitions[i]);
    }
    if (repairs) {
        for (size_t i = 0; i < result->server_count; i++) {
            print_damaged(&result->servers[i]);
        }
        printf("read %" PRIu64 " values, %" PRIu64 " bytes: %" PRIu64 " found bad, %" PRIu64
               " repaired, %" PRIu64 " not repaired; %u copies installed anew\n",
               summary->values, summary->bytes, summary->bad, summary->repaired,
               summary->unrepaired, summary->reinstalled);
    }
    printf("compared %u of %u partitions, %u copies: %u equal, %u differ\n",
           summary->equal + summary->differing, summary->partitions, summary->copies,
           summary->equal, summary->differing);
}

/* --- the commands ------------------------------------------------------------------------------
 */

static int conclude(const char *name, const struct scrub_outcome *result,
                    const struct scrub_summary *summary, bool repairs)
{
    if (summary->differing > 0 || (repairs && summary->unrepaired > 0)) {
        return CLI_UNSOUND;
    }
    for (size_t i = 0; i < result->server_count; i++) {
        if (result->servers[i].lost) {
            return cli_error(CLI_INVALID, "%s: server %u does not answer: %s", name,
                             result->servers[i].id, result->servers[i].error);
        }
    }
    if (summary->not_compared > 0) {
        return cli_error(CLI_INVALID, "%s: %u partitions could not be compared", name,
                         summary->not_compared);
    }
    return CLI_DONE;
}

int cli_scrub(struct cli *cli, bool repairs)
{
    const char *name = repairs ? "admin scrub" : "admin verify";
    bool bounded = cli->options.timeout_given && cli->options.timeout_ms > 0;
    struct line line = {.name = name, .next_ms = 0};
    struct scrub_request request = {
        .name = name,
        .repairs = repairs,
        .deadline_ms = bounded ? client_deadline(cli->db) : UINT64_MAX,
        .progress = show,
        .context = &line,
    };
    struct scrub_outcome result;
    struct scrub_summary summary;

    int status = scrub_run(cli->db, &request, &result);
    if (status != CAIRN_OK) {
        scrub_result_free(&result);
        return cli_failure(cli, status);
    }
    scrub_summarize(&result, &summary);
    if (cli->options.json) {
        print_json(&result, &summary, repairs);
    } else {
        print_text(&result, &summary, repairs);
    }
    int code = conclude(name, &result, &summary, repairs);
    scrub_result_free(&result);
    return code;
}
