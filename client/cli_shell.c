/* The interactive shell: the one-shot commands with a prompt, history and completion (libedit). */
#include <errno.h>
#include <histedit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli.h"

enum { HISTORY_ENTRIES = 1000, PATH_SIZE = 4096, ARGUMENTS_MAX = 1024 };

struct shell {
    struct cli *cli;
    EditLine *editor;
    History *history;
    Tokenizer *tokens;
    char history_path[PATH_SIZE]; /* empty: none is kept */
};

static const char *const own_commands[] = {"help", "exit", "quit"};

static const char help_text[] =
    "put KEY VALUE [--if-version V] [--ttl SECONDS]   write a value\n"
    "get KEY [--with-version]                         print a value\n"
    "swap KEY VALUE                                   write, print the old value\n"
    "delete KEY...                                    remove keys\n"
    "scan FROM TO [--limit N]                         print pairs; '' leaves an end open\n"
    "status                                           print the cluster\n"
    "admin COMMAND ...                                see cairn admin --help\n"
    "cache stat|clear|unlink                          this host's shared cache\n"
    "help                                             print this\n"
    "exit, quit, Ctrl-D                               leave\n"
    "\n"
    "Options --json, --hex and --timeout MS may follow any command. Words with spaces go in\n"
    "quotes. Ctrl-C drops the line, or ends the command that is waiting. Control bytes are "
    "printed\n"
    "as \\xNN.\n";

static char *prompt(EditLine *editor)
{
    static char text[] = "cairn> ";

    (void)editor;
    return text;
}

/* --- completion ----------------------------------------------------------------------------- */

/* The command names: the library's first, then the shell's own. NULL at the end. */
static const char *word_at(size_t index)
{
    size_t names = 0;

    while (cli_command_name(names) != NULL) {
        names++;
    }
    if (index < names) {
        return cli_command_name(index);
    }
    index -= names;
    return index < sizeof(own_commands) / sizeof(own_commands[0]) ? own_commands[index] : NULL;
}

static bool is_offered(const char *word, const char *begun, size_t length)
{
    static const char *const not_here[] = {"agent", "workload", "shell"};

    for (size_t i = 0; i < sizeof(not_here) / sizeof(not_here[0]); i++) {
        if (strcmp(word, not_here[i]) == 0) {
            return false;
        }
    }
    return strncmp(word, begun, length) == 0;
}

/* Completes the first word: all that the candidates share, and a space if there is but one. */
static unsigned char complete(EditLine *editor, int key)
{
    const LineInfo *line = el_line(editor);
    size_t length = (size_t)(line->cursor - line->buffer);
    const char *only = NULL;
    size_t shared = 0;
    size_t matches = 0;
    char rest[32];

    (void)key;
    if (memchr(line->buffer, ' ', length) != NULL) {
        return CC_ERROR;
    }
    for (size_t i = 0; word_at(i) != NULL; i++) {
        const char *word = word_at(i);
        if (!is_offered(word, line->buffer, length)) {
            continue;
        }
        if (matches++ == 0) {
            only = word;
            shared = strlen(word);
        }
        while (strncmp(only, word, shared) != 0) {
            shared--;
        }
    }
    if (matches == 0 || (shared == length && matches > 1)) {
        return CC_ERROR;
    }
    snprintf(rest, sizeof(rest), "%.*s%s", (int)(shared - length), only + length,
             matches == 1 ? " " : "");
    return el_insertstr(editor, rest) == 0 ? CC_REFRESH : CC_ERROR;
}

/* --- history ---------------------------------------------------------------------------------- */

static void load_history(struct shell *shell)
{
    const char *home = getenv("HOME");
    HistEvent event;

    history(shell->history, &event, H_SETSIZE, HISTORY_ENTRIES);
    history(shell->history, &event, H_SETUNIQUE, 1);
    if (home != NULL && home[0] == '/' &&
        snprintf(shell->history_path, PATH_SIZE, "%s/.cairn_history", home) < PATH_SIZE) {
        history(shell->history, &event, H_LOAD, shell->history_path);
    } else {
        shell->history_path[0] = '\0';
    }
}

/* Values may be secrets: nobody else reads the file. */
static void save_history(struct shell *shell)
{
    HistEvent event;

    if (shell->history_path[0] == '\0') {
        return;
    }
    mode_t old = umask(S_IRWXG | S_IRWXO);
    if (history(shell->history, &event, H_SAVE, shell->history_path) >= 0) {
        (void)chmod(shell->history_path, S_IRUSR | S_IWUSR);
    }
    umask(old);
}

/* --- lines --------------------------------------------------------------------------------------
 */

/* The options of one command do not stay for the next. */
static int run_command(struct shell *shell, int argc, char **argv)
{
    struct cli *cli = shell->cli;
    struct cli_options saved = cli->options;
    struct cli_words words;
    struct error error = {0};
    bool leave = false;
    int code = CLI_DONE;

    if (cli_options_parse(&cli->options, argc, argv, true, &words, &leave, &error) != CAIRN_OK) {
        code = cli_error(CLI_INVALID, "%s", error.message);
    } else if (!leave && words.count > 0) {
        cairn_set_timeout(cli->db, cli->options.timeout_ms);
        code = cli_run(cli, &words);
    }
    cli->options = saved;
    fflush(stdout);
    return code;
}

static int run_words(struct shell *shell, int count, const char **words)
{
    char *argv[ARGUMENTS_MAX + 2] = {NULL};
    int code = CLI_DONE;
    int argc = 0;

    if (count == 0) {
        return CLI_DONE;
    }
    if (strcmp(words[0], "exit") == 0 || strcmp(words[0], "quit") == 0) {
        return CLI_LEAVE;
    }
    if (strcmp(words[0], "help") == 0) {
        fputs(help_text, stdout);
        return CLI_DONE;
    }
    if (count > ARGUMENTS_MAX) {
        return cli_error(CLI_INVALID, "more than %d words", ARGUMENTS_MAX);
    }
    argv[argc++] = strdup("cairn");
    for (int i = 0; i < count; i++) {
        argv[argc++] = strdup(words[i]);
    }
    /* Parsing reorders argv; what it points to stays ours through a copy of the pointers. */
    char *owned[ARGUMENTS_MAX + 2];
    memcpy(owned, argv, sizeof(owned));
    bool complete_copy = true;
    for (int i = 0; i < argc; i++) {
        complete_copy = complete_copy && owned[i] != NULL;
    }
    code = complete_copy ? run_command(shell, argc, argv) : cli_error(CLI_INVALID, "out of memory");
    for (int i = 0; i < argc; i++) {
        free(owned[i]);
    }
    return code;
}

static int run_line(struct shell *shell, const char *line)
{
    HistEvent event;
    int count;
    const char **words;
    int code;

    tok_reset(shell->tokens);
    int state = tok_str(shell->tokens, line, &count, &words);
    if (state != 0) {
        return cli_error(CLI_INVALID, "a quote is not closed");
    }
    if (count > 0) {
        history(shell->history, &event, H_ENTER, line);
    }
    code = run_words(shell, count, words);
    if (count > 0) {
        save_history(shell);
    }
    return code;
}

/* After a signal: Ctrl-C drops what it hit, SIGTERM ends the shell. */
static int after_signal(struct shell *shell)
{
    int signal_number = cli_signal_caught();

    if (signal_number == SIGTERM) {
        return 128 + SIGTERM;
    }
    cli_signal_clear();
    putchar('\n');
    el_reset(shell->editor);
    return CLI_DONE;
}

static int run(struct shell *shell)
{
    int code = CLI_DONE;

    /* What a command answered is printed; the shell's own exit code tells of the shell. */
    while (code != CLI_LEAVE) {
        int length = 0;
        const char *line = el_gets(shell->editor, &length);

        if (line != NULL && cli_signal_caught() == 0) {
            code = run_line(shell, line);
        }
        if (cli_signal_caught() != 0) {
            code = after_signal(shell);
            if (code != CLI_DONE) {
                return code;
            }
        } else if (line == NULL) {
            putchar('\n');
            break;
        }
    }
    return CLI_DONE;
}

static int open_editor(struct shell *shell)
{
    shell->editor = el_init("cairn", stdin, stdout, stderr);
    shell->history = history_init();
    shell->tokens = tok_init(NULL);
    if (shell->editor == NULL || shell->history == NULL || shell->tokens == NULL) {
        return cli_error(CLI_INVALID, "shell: the line editor cannot start");
    }
    el_set(shell->editor, EL_PROMPT, prompt);
    el_set(shell->editor, EL_EDITOR, "emacs");
    el_set(shell->editor, EL_HIST, history, shell->history);
    el_set(shell->editor, EL_ADDFN, "cairn-complete", "Complete a command", complete);
    el_set(shell->editor, EL_BIND, "^I", "cairn-complete", NULL);
    el_source(shell->editor, NULL);
    load_history(shell);
    return CLI_DONE;
}

static void close_editor(struct shell *shell)
{
    if (shell->tokens != NULL) {
        tok_end(shell->tokens);
    }
    if (shell->history != NULL) {
        history_end(shell->history);
    }
    if (shell->editor != NULL) {
        el_end(shell->editor);
    }
}

int cli_shell(struct cli *cli)
{
    struct shell shell = {.cli = cli};

    cli->in_shell = true;
    int code = open_editor(&shell);
    if (code == CLI_DONE) {
        printf("Cairn %s at %s. Type help for the commands.\n", cairn_version(),
               cli->options.managers);
        code = run(&shell);
    }
    close_editor(&shell);
    cli->in_shell = false;
    return code;
}
