/* What the program prints: errors, raw bytes, JSON. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/text.h"

int cli_error(int code, const char *format, ...)
{
    char message[ERROR_MESSAGE_MAX];
    char line[2 * ERROR_MESSAGE_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    fflush(stdout);
    fprintf(stderr, "ERROR: %s\n", text_excerpt(message, strlen(message), line, sizeof(line)));
    return code;
}

int cli_exit_code(int status)
{
    switch (status) {
    case CAIRN_OK:
        return CLI_DONE;
    case CAIRN_ENOTFOUND:
    case CAIRN_EMISMATCH:
        return CLI_NEGATIVE;
    case CAIRN_ETIMEDOUT:
    case CAIRN_EUNKNOWN:
        return CLI_TIMED_OUT;
    case CAIRN_ECANCELED:
        return cli_signal_caught() != 0 ? 128 + cli_signal_caught() : CLI_TIMED_OUT;
    default:
        return CLI_INVALID;
    }
}

int cli_failure(const struct cli *cli, int status)
{
    int code = cli_exit_code(status);

    return cli_error(code, "%s", cairn_errmsg(cli->db));
}

int cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return CLI_DONE;
    }
    int reason = errno;
    clearerr(stdout);
    fprintf(stderr, "ERROR: stdout: %s\n", strerror(reason));
    return CLI_INVALID;
}

void cli_print(const struct cli *cli, const void *data, size_t length)
{
    const uint8_t *bytes = data;

    if (!cli->options.hex && !cli->in_shell) {
        fwrite(bytes, 1, length, stdout);
        return;
    }
    for (size_t i = 0; i < length; i++) {
        if (cli->options.hex) {
            printf("%02x", bytes[i]);
        } else if (bytes[i] < 0x20 || bytes[i] == 0x7f) {
            printf("\\x%02x", bytes[i]); /* a terminal would obey it */
        } else {
            putchar(bytes[i]);
        }
    }
}

void cli_json_bytes(json_t *object, const char *name, const void *data, size_t length)
{
    json_t *text = json_stringn(length == 0 ? "" : data, length);
    struct buffer hex;
    char hex_name[32];

    if (text != NULL) {
        json_object_set_new(object, name, text);
        return;
    }
    buffer_init(&hex, 2 * length);
    if (text_append_hex(&hex, data, length) == CAIRN_OK) {
        snprintf(hex_name, sizeof(hex_name), "%s_hex", name);
        json_object_set_new(object, hex_name, json_stringn((const char *)hex.data, hex.length));
    }
    buffer_free(&hex);
}

void cli_json_print(json_t *object)
{
    if (json_dumpf(object, stdout, JSON_COMPACT) == 0) {
        putchar('\n');
    }
    json_decref(object);
}
