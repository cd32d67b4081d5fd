/* The program `cairn`: which command, which handle, which exit code. */
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "client/cli.h"

enum { TIMEOUT_DEFAULT_MS = 10000 };

/* Without a command: workload mode behind a pipe, the shell on a terminal. */
static void choose_command(struct cli_words *words)
{
    static char workload[] = "workload";
    static char shell[] = "shell";
    static char *chosen[1];

    chosen[0] = isatty(STDIN_FILENO) ? shell : workload;
    if (words->count == 0) {
        words->words = chosen;
        words->count = 1;
    }
}

/* A manager whose name nobody knows will not come up by waiting. True if any of the list has an
 * address, or if the list is for cairn_open to refuse. */
static bool is_any_known(const char *managers, struct error *error)
{
    struct address_list *list = malloc(sizeof(*list));
    bool known = false;

    if (list == NULL || address_list_parse(managers, list, error) != CAIRN_OK) {
        free(list);
        return true;
    }
    for (size_t i = 0; i < list->count && !known; i++) {
        struct addrinfo *found = NULL;
        int status = getaddrinfo(list->items[i].host, NULL, NULL, &found);

        known = status == 0;
        if (known) {
            freeaddrinfo(found);
        } else {
            error_set(error, CAIRN_EUNAVAILABLE, "manager %s: %s", list->items[i].host,
                      gai_strerror(status));
        }
    }
    free(list);
    return known;
}

/* How a command uses its handle. */
struct usage {
    bool endless;   /* waits for ever unless told otherwise */
    bool one_shot;  /* too short-lived to be worth an agent */
    bool on_memory; /* is about this host's memory: reads no keys, and may need no manager */
};

static struct usage usage_of(const char *command)
{
    bool is_workload = strcmp(command, "workload") == 0;
    bool is_agent = strcmp(command, "agent") == 0;

    return (struct usage){
        .endless = is_workload || is_agent,
        .one_shot = !is_workload && strcmp(command, "shell") != 0,
        .on_memory = is_agent || strcmp(command, "cache") == 0,
    };
}

static int open_handle(struct cli *cli, const struct usage *usage)
{
    struct error error = {0};

    if (!cli->options.timeout_given && !usage->endless) {
        cli->options.timeout_ms = TIMEOUT_DEFAULT_MS;
    }
    if (usage->one_shot && !usage->on_memory && !is_any_known(cli->options.managers, &error)) {
        return cli_error(CLI_INVALID, "%s", error.message);
    }
    const struct cairn_options options = {
        .timeout_ms = cli->options.timeout_ms,
        .no_cache = cli->options.no_cache || usage->on_memory,
        .cache_bytes = cli->options.cache_bytes,
        .cache_name = cli->options.cache_name,
        .no_agent = usage->one_shot,
    };
    int status = cairn_open(cli->options.managers, &options, &cli->db);
    if (status != CAIRN_OK) {
        return cli_failure(cli, status);
    }
    return cli_signal_catch(cli->db);
}

static int run(struct cli *cli, struct cli_words *words)
{
    choose_command(words);
    struct usage usage = usage_of(words->words[0]);
    int code = cli_check(cli, words);

    if (code == CLI_DONE) {
        code = open_handle(cli, &usage);
    }
    if (code == CLI_DONE) {
        code = cli_run(cli, words);
    }
    /* What comes from here on changes nothing of what the command did. */
    int caught = cli_signal_caught();
    cli_signal_release();
    cairn_close(cli->db);
    return caught != 0 ? 128 + caught : code;
}

static int print_help(void)
{
    char *arguments[] = {(char[]){"cairn"}, (char[]){"--help"}, NULL};
    struct cli_options options = {.managers = "127.0.0.1:3666"};
    struct cli_words words;
    struct error error = {0};
    bool leave;

    (void)cli_options_parse(&options, 2, arguments, false, &words, &leave, &error);
    return cli_flush();
}

int main(int argc, char **argv)
{
    struct cli cli = {.options.managers = "127.0.0.1:3666"};
    struct cli_words words;
    struct error error = {0};
    bool leave = false;
    int code;

    signal(SIGPIPE, SIG_IGN);
    if (cli_options_parse(&cli.options, argc, argv, false, &words, &leave, &error) != CAIRN_OK) {
        return cli_error(CLI_INVALID, "%s", error.message);
    }
    if (leave) {
        return cli_flush();
    }
    if (words.count > 0 && strcmp(words.words[0], "help") == 0) {
        return print_help();
    }
    buffer_init(&cli.key, CAIRN_VALUE_MAX + 2);
    buffer_init(&cli.value, CAIRN_VALUE_MAX + (1 << 16));
    code = run(&cli, &words);
    buffer_free(&cli.key);
    buffer_free(&cli.value);
    return code;
}
