/* Error codes as texts, and errors with a message. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *error, int code, const char *format, ...)
{
    char message[ERROR_MESSAGE_MAX];
    va_list arguments;

    if (error == NULL)
        return code;
    /* Formatted aside first: callers put context before a message with
     * error_set(error, code, "%s: %s", path, error->message). */
    va_start(arguments, format);
    if (vsnprintf(message, sizeof message, format, arguments) < 0)
        message[0] = '\0';
    va_end(arguments);
    /* What a user typed or a peer sent may be quoted in it: still one line, no terminal commands.
     */
    for (char *at = message; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    error->code = code;
    memcpy(error->message, message, strlen(message) + 1);
    return code;
}

static const char *const texts[] = {
    [-CAIRN_OK] = "success",
    [-CAIRN_EINVAL] = "invalid argument",
    [-CAIRN_ENOMEM] = "out of memory",
    [-CAIRN_EIO] = "input/output error",
    [-CAIRN_ENOSPC] = "no space left on the disk; not applied",
    [-CAIRN_ETIMEDOUT] = "timed out; not applied",
    [-CAIRN_EUNKNOWN] = "outcome unknown",
    [-CAIRN_EUNAVAILABLE] = "server unavailable; not applied",
    [-CAIRN_ECORRUPT] = "stored data is corrupt",
    [-CAIRN_EVERSION] = "newer format or protocol version",
    [-CAIRN_EBUSY] = "held by another process",
    [-CAIRN_EPROTO] = "invalid message from the peer",
    [-CAIRN_ENOTFOUND] = "not found",
    [-CAIRN_EMISMATCH] = "version mismatch; not applied",
    [-CAIRN_ETOOBIG] = "too big",
    [-CAIRN_ECANCELED] = "canceled",
    [-CAIRN_ECONFLICT] = "identity conflict",
    [-CAIRN_EFULL] = "table or queue full; not applied",
    [-CAIRN_EFENCED] = "another configuration is in force; not applied",
};

const char *error_text(int code)
{
    const int count = (int)(sizeof texts / sizeof texts[0]);

    if (code > 0 || code <= -count)
        return "unknown error";
    return texts[-code];
}
