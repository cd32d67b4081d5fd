/* The command scan: pairs as they come, with bounded memory. */
#include <stdio.h>

#include "client/cli.h"

static void print_pair(const struct cli *cli, uint64_t count, const void *key, size_t key_length,
                       const void *value, size_t value_length)
{
    if (!cli->options.json) {
        cli_print(cli, key, key_length);
        putchar('\t');
        cli_print(cli, value, value_length);
        putchar('\n');
        return;
    }
    json_t *object = json_object();
    cli_json_bytes(object, "key", key, key_length);
    cli_json_bytes(object, "value", value, value_length);
    fputs(count == 0 ? "[" : ",", stdout);
    json_dumpf(object, stdout, JSON_COMPACT);
    json_decref(object);
}

static int print_pairs(struct cli *cli, cairn_cursor_t *cursor)
{
    uint64_t limit = cli->options.limit_given ? cli->options.limit : UINT64_MAX;
    uint64_t count = 0;
    const void *key;
    const void *value;
    size_t key_length;
    size_t value_length;
    int status = CAIRN_OK;

    while (count < limit && !ferror(stdout)) {
        status = cairn_scan_next(cursor, &key, &key_length, &value, &value_length);
        if (status != CAIRN_OK) {
            break;
        }
        print_pair(cli, count, key, key_length, value, value_length);
        count++;
    }
    /* A JSON text that ends in an error stays unfinished, so that nobody takes it for the whole. */
    if (status != CAIRN_OK && status != CAIRN_ENOTFOUND) {
        return cli_failure(cli, status);
    }
    if (cli->options.json) {
        puts(count == 0 ? "[]" : "]");
    }
    return CLI_DONE;
}

int cli_scan(struct cli *cli, const struct cli_words *words)
{
    cairn_cursor_t *cursor;
    int code = cli_argument(cli, words->words[1], &cli->key, "FROM");

    if (code == CLI_DONE) {
        code = cli_argument(cli, words->words[2], &cli->value, "TO");
    }
    if (code != CLI_DONE) {
        return code;
    }
    int status = cairn_scan(cli->db, cli->key.data, cli->key.length, cli->value.data,
                            cli->value.length, &cursor);
    if (status != CAIRN_OK) {
        return cli_failure(cli, status);
    }
    code = print_pairs(cli, cursor);
    cairn_scan_close(cursor);
    return code;
}
