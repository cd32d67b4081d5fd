/* See error.h. */
#include "base/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

int error_set(struct error *error, int code, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return code;
    error->code = code;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return code;
}

const char *error_text(int code)
{
    static const char *const texts[] = {
        "done",
        "invalid argument",
        "out of memory",
        "input/output error",
        "no room on the disk",
        "timed out",
        "outcome unknown",
        "unavailable",
        "stored bytes are damaged",
        "format or protocol of a newer version",
        "held by somebody else",
        "the peer's message is not valid",
        "not found",
        "version mismatch",
        "too large",
        "cancelled",
        "identities contradict",
        "full, try later",
        "another configuration is in force",
    };
    size_t count = sizeof texts / sizeof texts[0];

    if (code > 0 || (size_t)-code >= count)
        return "unknown error";
    return texts[-code];
}
