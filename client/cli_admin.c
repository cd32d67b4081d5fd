/* The command admin: what an operator asks of the manager, and waiting until it is done.
 *
 * The manager only notes what shall be; the servers then move copies at their own pace. So the
 * command asks once and looks again and again; ending it ends nothing of the work. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "client/admin.h"
#include "client/cli.h"
#include "client/handle.h"

enum { LOOK_LIMIT_MS = 2000, LOOK_EVERY_MS = 300, LINE_EVERY_MS = 1000, NAME_SIZE = 32 };

struct admin_command {
    const char *name;
    admin_kind kind;
    const char *takes; /* one letter for each argument: p partition, s server, a address */
    const char *arguments;
    const char *options;
    bool waits;
};

/* Not the manager's: each server looks at what it holds (cli_scrub.c). */
enum { ADMIN_SCRUB = -1, ADMIN_VERIFY = -2 };

static const struct admin_command commands[] = {
    {"move", ADMIN_MOVE, "ps", "PARTITION SERVER", "dry-run no-wait", true},
    {"drain", ADMIN_DRAIN, "s", "SERVER", "dry-run no-wait", true},
    {"undrain", ADMIN_UNDRAIN, "s", "SERVER", "dry-run", false},
    {"add-server", ADMIN_ADD_SERVER, "a", "HOST:PORT", "dry-run", false},
    {"remove-server", ADMIN_REMOVE_SERVER, "s", "SERVER", "dry-run", false},
    {"rebalance", ADMIN_REBALANCE, "", "no arguments", "dry-run no-wait", true},
    {"scrub", (admin_kind)ADMIN_SCRUB, "", "no arguments", "", false},
    {"verify", (admin_kind)ADMIN_VERIFY, "", "no arguments", "", false},
    {"unsafe-recover", ADMIN_UNSAFE_RECOVER, "p", "PARTITION", "dry-run accept-data-loss from",
     false},
};

static const struct admin_command *find(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* --- arguments ------------------------------------------------------------------------------- */

/* A decimal number below `limit`. */
static int parse_id(const char *text, const char *what, uint32_t limit, uint32_t *id)
{
    uint32_t value = 0;
    size_t length = strlen(text);

    if (length == 0 || length > 9 || strspn(text, "0123456789") != length) {
        return cli_error(CLI_INVALID, "%s: %.64s: not a number from 0 to %u", what, text,
                         limit - 1);
    }
    for (size_t i = 0; i < length; i++) {
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    if (value >= limit) {
        return cli_error(CLI_INVALID, "%s: %.64s: not a number from 0 to %u", what, text,
                         limit - 1);
    }
    *id = value;
    return CLI_DONE;
}

static int parse_argument(char kind, const char *text, struct admin_request *request,
                          char address[ADDRESS_TEXT_MAX])
{
    struct address parsed;
    struct error error = {0};

    if (kind == 'p') {
        return parse_id(text, "PARTITION", CAIRN_PARTITIONS_LIMIT, &request->partition);
    }
    if (kind == 's') {
        return parse_id(text, "SERVER", CAIRN_SERVERS_LIMIT, &request->server);
    }
    if (address_parse(text, &parsed, &error) != CAIRN_OK) {
        return cli_error(CLI_INVALID, "HOST:PORT: %s", error.message);
    }
    request->address = address_format(&parsed, address);
    return CLI_DONE;
}

static int check_recover(const struct cli *cli, struct admin_request *request)
{
    const struct cli_options *options = &cli->options;

    request->server = options->from_given ? (uint32_t)options->from : ADMIN_ANY_SERVER;
    if (options->accept_data_loss || options->dry_run) {
        return CLI_DONE;
    }
    return cli_error(
        CLI_INVALID,
        "%s: makes one copy of partition %u the only one and starts a new history from it: what "
        "only the other copies hold is lost for good, and their servers must be off and stay off. "
        "If that is meant, say --accept-data-loss",
        request->name, request->partition);
}

static int fill_request(const struct cli *cli, const struct admin_command *command,
                        const struct cli_words *words, struct admin_request *request,
                        char address[ADDRESS_TEXT_MAX])
{
    struct error error = {0};
    int given = words->count - 2;

    if (given != (int)strlen(command->takes)) {
        return cli_error(CLI_INVALID, "%s: takes %s, %d arguments are given", request->name,
                         command->arguments, given);
    }
    if (cli_options_check(&cli->options, request->name, command->options, &error) != CAIRN_OK) {
        return cli_error(CLI_INVALID, "%s", error.message);
    }
    for (int i = 0; i < given; i++) {
        int code = parse_argument(command->takes[i], words->words[i + 2], request, address);
        if (code != CLI_DONE) {
            return code;
        }
    }
    return command->kind == ADMIN_UNSAFE_RECOVER ? check_recover(cli, request) : CLI_DONE;
}

/* --- waiting --------------------------------------------------------------------------------- */

struct progress {
    const struct admin_request *request;
    bool terminal;
    uint64_t line_ms; /* when the last line was printed */
};

static const char *partitions_text(uint32_t count)
{
    return count == 1 ? "partition has" : "partitions have";
}

static void show(struct progress *progress, const char *text)
{
    uint64_t now_ms = clock_now_ms();

    if (progress->terminal) {
        fprintf(stderr, "\r%s: %s\033[K", progress->request->name, text);
    } else if (progress->line_ms == 0 || now_ms - progress->line_ms >= LINE_EVERY_MS) {
        fprintf(stderr, "%s: %s\n", progress->request->name, text);
        progress->line_ms = now_ms;
    }
    fflush(stderr);
}

static void show_rest(struct progress *progress, const struct admin_rest *rest)
{
    char text[64];

    snprintf(text, sizeof(text), "%u %s still to move", rest->moving,
             partitions_text(rest->moving));
    show(progress, text);
}

static void clear(const struct progress *progress)
{
    if (progress->terminal) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}

/* Not the signal but the work is what the exit code tells of: that it goes on, or is done. */
static void forget_interrupt(const struct cli *cli)
{
    if (!cli->in_shell && cli_signal_caught() == SIGINT) {
        cli_signal_clear();
    }
}

static int end_early(struct cli *cli, const struct admin_request *request, const char *why,
                     const struct admin_rest *rest)
{
    forget_interrupt(cli);
    return cli_error(
        CLI_TIMED_OUT,
        "%s: %s: %u %s still to move. The manager carries on; `cairn status` shows how "
        "far it is, and the same command waits again",
        request->name, why, rest->moving, partitions_text(rest->moving));
}

static int conclude(const struct admin_request *request, const struct admin_rest *rest)
{
    if (request->kind == ADMIN_DRAIN && rest->copies > 0) {
        return cli_error(CLI_INVALID,
                         "%s: server %u still holds %u copies for which there is no other server",
                         request->name, request->server, rest->copies);
    }
    return CLI_DONE;
}

/* Looks until nothing is left to do. `deadline_ms`: UINT64_MAX for none. */
static int await(struct cli *cli, const struct admin_request *request,
                 const struct admin_answer *answer, uint64_t deadline_ms, struct admin_rest *rest)
{
    struct progress progress = {.request = request, .terminal = isatty(STDERR_FILENO) != 0};

    for (;;) {
        struct admin_rest now;
        uint64_t left_ms = client_left_ms(deadline_ms);

        cairn_set_timeout(cli->db, left_ms > LOOK_LIMIT_MS ? LOOK_LIMIT_MS : left_ms + 1);
        int status = admin_look(cli->db, request, answer, &now);
        if (status == CAIRN_OK) {
            *rest = now;
        }
        if (status == CAIRN_OK && now.moving == 0) {
            clear(&progress);
            forget_interrupt(cli);
            return conclude(request, rest);
        }
        if (status != CAIRN_OK && status != CAIRN_ETIMEDOUT && status != CAIRN_ECANCELED) {
            clear(&progress);
            return cli_failure(cli, status);
        }
        if (status == CAIRN_OK) {
            show_rest(&progress, rest);
        } else if (status == CAIRN_ETIMEDOUT) {
            show(&progress, "the manager does not answer");
        }
        if (status == CAIRN_ECANCELED || !client_wait(cli->db, NULL, LOOK_EVERY_MS)) {
            clear(&progress);
            return end_early(cli, request, "interrupted", rest);
        }
        if (client_left_ms(deadline_ms) == 0) {
            clear(&progress);
            return end_early(cli, request, "out of time", rest);
        }
    }
}

/* --- what is printed ------------------------------------------------------------------------- */

static json_t *moves_json(const struct admin_answer *answer)
{
    json_t *moves = json_array();

    for (size_t i = 0; i < answer->move_count; i++) {
        const planned_move *move = &answer->moves[i];
        json_array_append_new(moves,
                              json_pack("{s:I, s:I, s:I, s:b}", "partition",
                                        (json_int_t)move->partition, "from", (json_int_t)move->from,
                                        "to", (json_int_t)move->to, "leads", (int)move->leads));
    }
    return moves;
}

static void print_json(const struct admin_request *request, const struct admin_answer *answer,
                       bool waited, const struct admin_rest *rest)
{
    json_t *object = json_object();

    json_object_set_new(object, "dry_run", json_boolean(request->dry_run));
    json_object_set_new(object, "message", json_string(answer->message));
    json_object_set_new(object, "moves", moves_json(answer));
    if (request->kind == ADMIN_ADD_SERVER || request->kind == ADMIN_UNSAFE_RECOVER) {
        json_object_set_new(object, "server", json_integer(answer->server));
    }
    if (waited) {
        json_object_set_new(object, "moving", json_integer(rest->moving));
    }
    cli_json_print(object);
}

static void print_plan(const struct admin_answer *answer)
{
    if (answer->move_count == 0) {
        puts("Nothing would move.");
        return;
    }
    printf("%-9s %5s %5s %5s\n", "PARTITION", "FROM", "TO", "LEADS");
    for (size_t i = 0; i < answer->move_count; i++) {
        const planned_move *move = &answer->moves[i];
        printf("%-9u %5u %5u %5s\n", move->partition, move->from, move->to,
               move->leads ? "yes" : "no");
    }
}

static void print_text(const struct cli *cli, const struct admin_request *request,
                       const struct admin_answer *answer)
{
    if (cli->options.json) {
        return;
    }
    if (answer->message[0] != '\0') {
        puts(answer->message);
    }
    if (request->dry_run) {
        print_plan(answer);
    }
    (void)cli_flush(); /* before the progress */
}

/* --- the command ----------------------------------------------------------------------------- */

static int run(struct cli *cli, const struct admin_command *command,
               const struct admin_request *request)
{
    bool waits = command->waits && !cli->options.no_wait && !request->dry_run;
    bool bounded = cli->options.timeout_given && cli->options.timeout_ms > 0;
    uint64_t deadline_ms = bounded ? client_deadline(cli->db) : UINT64_MAX;
    struct admin_answer answer;
    struct admin_rest rest = {0};
    int code = CLI_DONE;

    int status = admin_ask(cli->db, request, &answer);
    if (status != CAIRN_OK) {
        return cli_failure(cli, status);
    }
    print_text(cli, request, &answer);
    if (waits) {
        code = await(cli, request, &answer, deadline_ms, &rest);
    }
    if (cli->options.json) {
        print_json(request, &answer, waits, &rest);
    }
    admin_answer_free(&answer);
    return code;
}

static int parse(const struct cli *cli, const struct cli_words *words,
                 const struct admin_command **command, struct admin_request *request,
                 char name[NAME_SIZE], char address[ADDRESS_TEXT_MAX])
{
    *command = find(words->words[1]);
    if (*command == NULL) {
        return cli_error(CLI_INVALID,
                         "admin %.64s: unknown; there are move, drain, undrain, add-server, "
                         "remove-server, rebalance, scrub, verify, unsafe-recover",
                         words->words[1]);
    }
    snprintf(name, NAME_SIZE, "admin %s", (*command)->name);
    *request = (struct admin_request){
        .name = name,
        .kind = (*command)->kind,
        .dry_run = cli->options.dry_run,
        .address = "",
    };
    return fill_request(cli, *command, words, request, address);
}

int cli_admin_check(const struct cli *cli, const struct cli_words *words)
{
    const struct admin_command *command;
    struct admin_request request;
    char name[NAME_SIZE];
    char address[ADDRESS_TEXT_MAX];

    return parse(cli, words, &command, &request, name, address);
}

int cli_admin(struct cli *cli, const struct cli_words *words)
{
    const struct admin_command *command;
    struct admin_request request;
    char name[NAME_SIZE];
    char address[ADDRESS_TEXT_MAX];

    int code = parse(cli, words, &command, &request, name, address);
    if (code != CLI_DONE) {
        return code;
    }
    if ((int)command->kind == ADMIN_SCRUB || (int)command->kind == ADMIN_VERIFY) {
        return cli_scrub(cli, (int)command->kind == ADMIN_SCRUB);
    }
    return run(cli, command, &request);
}
