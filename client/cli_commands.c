/* The one-shot commands; the shell runs the same ones. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "client/cli.h"
#include "client/text.h"

enum { EXCERPT_SIZE = 64 };

struct command {
    const char *name;
    int arguments_min, arguments_max; /* -1: any number */
    const char *arguments;
    const char *options;
    int (*run)(struct cli *cli, const struct cli_words *words);
    bool top_only; /* not in the shell */
};

int cli_argument(const struct cli *cli, const char *text, struct buffer *out, const char *what)
{
    char excerpt[EXCERPT_SIZE];
    int status;

    if (cli->options.hex) {
        status = text_from_hex(text, strlen(text), out);
    } else {
        buffer_clear(out);
        status = text[0] == '\0' ? CAIRN_OK : buffer_append(out, text, strlen(text));
    }
    if (status == CAIRN_OK) {
        return CLI_DONE;
    }
    text_excerpt(text, strlen(text), excerpt, sizeof(excerpt));
    if (status == CAIRN_EINVAL) {
        return cli_error(CLI_INVALID, "%s: %s: not an even number of hexadecimal digits", what,
                         excerpt);
    }
    return cli_error(CLI_INVALID, "%s: %s: %s", what, excerpt, cairn_strerror(status));
}

/* The whole of stdin, one byte past the limit at most, so that too much is seen as such. */
static int read_stdin(struct buffer *out)
{
    buffer_clear(out);
    while (out->length <= CAIRN_VALUE_MAX) {
        size_t room = CAIRN_VALUE_MAX + 1 - out->length;

        room = room > 65536 ? 65536 : room;
        if (buffer_reserve(out, room) != CAIRN_OK) {
            return cli_error(CLI_INVALID, "stdin: out of memory");
        }
        if (!cli_signal_wait(STDIN_FILENO)) {
            return cli_error(128 + cli_signal_caught(), "stdin: interrupted");
        }
        ssize_t got = read(STDIN_FILENO, out->data + out->length, room);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return cli_error(CLI_INVALID, "stdin: %s", strerror(errno));
        }
        if (got == 0) {
            return CLI_DONE;
        }
        out->length += (size_t)got;
    }
    return cli_error(CLI_INVALID, "stdin: the value has more than %d bytes, the limit",
                     CAIRN_VALUE_MAX);
}

static int key_argument(struct cli *cli, const char *text)
{
    return cli_argument(cli, text, &cli->key, "KEY");
}

static int value_argument(struct cli *cli, const char *text)
{
    if (strcmp(text, "-") == 0 && !cli->in_shell) {
        return read_stdin(&cli->value);
    }
    return cli_argument(cli, text, &cli->value, "VALUE");
}

static int put_bytes(struct cli *cli, int *existed, uint64_t *version)
{
    const struct cli_options *options = &cli->options;
    uint64_t ttl_ms = options->ttl_s * 1000;

    if (options->if_version_given) {
        return cairn_put_if_version(cli->db, cli->key.data, cli->key.length, cli->value.data,
                                    cli->value.length, options->if_version, ttl_ms, existed,
                                    version);
    }
    return cairn_put_ttl(cli->db, cli->key.data, cli->key.length, cli->value.data,
                         cli->value.length, ttl_ms, existed, version);
}

static int run_put(struct cli *cli, const struct cli_words *words)
{
    int existed = 0;
    uint64_t version = 0;
    int code = key_argument(cli, words->words[1]);

    if (code == CLI_DONE) {
        code = value_argument(cli, words->words[2]);
    }
    if (code != CLI_DONE) {
        return code;
    }
    int status = put_bytes(cli, &existed, &version);
    if (status != CAIRN_OK && !(status == CAIRN_EMISMATCH && cli->options.json)) {
        return cli_failure(cli, status);
    }
    if (cli->options.json) {
        json_t *object = json_object();
        cli_json_bytes(object, "key", cli->key.data, cli->key.length);
        json_object_set_new(object, "applied", json_boolean(status == CAIRN_OK));
        json_object_set_new(object, "found", json_boolean(existed));
        json_object_set_new(object, "version", json_integer((json_int_t)version));
        cli_json_print(object);
        return status == CAIRN_OK ? CLI_DONE : cli_failure(cli, status);
    }
    fputs("PUT ", stdout);
    cli_print(cli, cli->key.data, cli->key.length);
    puts(existed ? " found" : " not_found");
    return CLI_DONE;
}

static void print_value_json(struct cli *cli, const char *name, const void *value, size_t length,
                             bool exists, uint64_t version)
{
    json_t *object = json_object();

    cli_json_bytes(object, "key", cli->key.data, cli->key.length);
    if (exists) {
        cli_json_bytes(object, name, value, length);
    } else {
        json_object_set_new(object, name, json_null());
    }
    if (version != UINT64_MAX) {
        json_object_set_new(object, "version", json_integer((json_int_t)version));
    }
    cli_json_print(object);
}

static int run_get(struct cli *cli, const struct cli_words *words)
{
    const void *value;
    size_t length;
    uint64_t version;
    int code = key_argument(cli, words->words[1]);

    if (code != CLI_DONE) {
        return code;
    }
    int status = cairn_get(cli->db, cli->key.data, cli->key.length, &value, &length, &version);
    if (cli->options.json && (status == CAIRN_OK || status == CAIRN_ENOTFOUND)) {
        print_value_json(cli, "value", value, length, status == CAIRN_OK, version);
    }
    if (status != CAIRN_OK) {
        return cli_failure(cli, status);
    }
    if (!cli->options.json) {
        if (cli->options.with_version) {
            printf("%" PRIu64 "\t", version);
        }
        cli_print(cli, value, length);
        putchar('\n');
    }
    return CLI_DONE;
}

static int run_swap(struct cli *cli, const struct cli_words *words)
{
    const void *old;
    size_t length;
    int code = key_argument(cli, words->words[1]);

    if (code == CLI_DONE) {
        code = value_argument(cli, words->words[2]);
    }
    if (code != CLI_DONE) {
        return code;
    }
    int status = cairn_swap(cli->db, cli->key.data, cli->key.length, cli->value.data,
                            cli->value.length, &old, &length);
    if (status != CAIRN_OK) {
        return cli_failure(cli, status);
    }
    if (cli->options.json) {
        print_value_json(cli, "old_value", old, length, old != NULL, UINT64_MAX);
    } else if (old == NULL) {
        puts("null");
    } else {
        cli_print(cli, old, length);
        putchar('\n');
    }
    return CLI_DONE;
}

/* Gives the command's next call what is left of the command's time; at least a millisecond, with
 * which a call that cannot be answered at once says what it waits for. */
static void limit_call(const struct cli *cli, uint64_t begin_ms)
{
    uint64_t limit_ms = cli->options.timeout_ms;
    uint64_t passed_ms = clock_now_ms() - begin_ms;

    if (limit_ms > 0) {
        cairn_set_timeout(cli->db, passed_ms < limit_ms ? limit_ms - passed_ms : 1);
    }
}

static int run_delete(struct cli *cli, const struct cli_words *words)
{
    uint64_t begin_ms = clock_now_ms();
    int deleted = 0;

    for (int i = 1; i < words->count; i++) {
        int existed = 0;
        int code = key_argument(cli, words->words[i]);

        if (code != CLI_DONE) {
            return code;
        }
        limit_call(cli, begin_ms);
        int status = cairn_delete(cli->db, cli->key.data, cli->key.length, &existed);
        if (status != CAIRN_OK) {
            return cli_failure(cli, status);
        }
        deleted += existed;
    }
    if (cli->options.json) {
        json_t *object = json_object();
        json_object_set_new(object, "deleted", json_integer(deleted));
        cli_json_print(object);
    } else {
        printf("%d\n", deleted);
    }
    return CLI_DONE;
}

static int run_workload(struct cli *cli, const struct cli_words *words)
{
    (void)words;
    return cli_workload(cli);
}

static int run_shell(struct cli *cli, const struct cli_words *words)
{
    (void)words;
    return cli_shell(cli);
}

static const struct command commands[] = {
    {"put", 2, 2, "KEY VALUE", "if-version ttl", run_put, false},
    {"get", 1, 1, "KEY", "with-version", run_get, false},
    {"swap", 2, 2, "KEY VALUE", "", run_swap, false},
    {"delete", 1, -1, "KEY...", "", run_delete, false},
    {"scan", 2, 2, "FROM TO", "limit", cli_scan, false},
    {"status", 0, 0, "", "", cli_status, false},
    {"admin", 1, -1, "a command: see cairn admin --help", "dry-run no-wait accept-data-loss from",
     cli_admin, false},
    {"cache", 1, -1, "a command: see cairn cache --help", "watch all", cli_cache, false},
    {"agent", 0, 0, "", "", cli_agent, true},
    {"workload", 0, 0, "", "", run_workload, true},
    {"shell", 0, 0, "", "", run_shell, true},
};

const char *cli_command_name(size_t index)
{
    return index < sizeof(commands) / sizeof(commands[0]) ? commands[index].name : NULL;
}

static const struct command *find_command(const struct cli *cli, const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0 && !(commands[i].top_only && cli->in_shell)) {
            return &commands[i];
        }
    }
    return NULL;
}

int cli_check(const struct cli *cli, const struct cli_words *words)
{
    struct error error = {0};
    const struct command *command = find_command(cli, words->words[0]);
    int arguments = words->count - 1;

    if (command == NULL) {
        return cli_error(CLI_INVALID, "%s: unknown command; see %s", words->words[0],
                         cli->in_shell ? "help" : "cairn --help");
    }
    if (arguments < command->arguments_min ||
        (command->arguments_max >= 0 && arguments > command->arguments_max)) {
        return cli_error(CLI_INVALID, "%s: takes %s, %d arguments are given", command->name,
                         command->arguments[0] == '\0' ? "no arguments" : command->arguments,
                         arguments);
    }
    if (cli_options_check(&cli->options, command->name, command->options, &error) != CAIRN_OK) {
        return cli_error(CLI_INVALID, "%s", error.message);
    }
    if (command->run == cli_cache) {
        return cli_cache_check(cli, words);
    }
    return command->run == cli_admin ? cli_admin_check(cli, words) : CLI_DONE;
}

int cli_run(struct cli *cli, const struct cli_words *words)
{
    int code = cli_check(cli, words);

    if (code != CLI_DONE) {
        return code;
    }
    const struct command *command = find_command(cli, words->words[0]);
    CHECK(command != NULL); /* cli_check has seen it */
    code = command->run(cli, words);
    int flushed = cli_flush();
    return flushed != CLI_DONE ? flushed : code;
}
