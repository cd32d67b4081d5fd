/* See log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

enum { MESSAGE_MAX = 1024, LINE_MAX_BYTES = 4 * MESSAGE_MAX + 128 };

static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
static atomic_int current_level = LOG_INFO; /* the house's one global (style) */

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

int log_level_parse(const char *text, enum log_level *level)
{
    static const char *const words[] = {"debug", "info", "warn", "error"};

    for (int i = 0; i < 4; i++)
        if (strcmp(text, words[i]) == 0) {
            *level = (enum log_level)i;
            return CAIRN_OK;
        }
    return CAIRN_EINVAL;
}

/* A record is one line whatever its arguments hold. */
static size_t escape(const char *message, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = 0;

    for (; *message != '\0'; message++) {
        unsigned char byte = (unsigned char)*message;

        if (byte >= 0x20 && byte != 0x7f) {
            out[length++] = (char)byte;
            continue;
        }
        out[length++] = '\\';
        out[length++] = 'x';
        out[length++] = digits[byte >> 4];
        out[length++] = digits[byte & 15];
    }
    return length;
}

void log_write(enum log_level level, const char *component, const char *format, ...)
{
    char message[MESSAGE_MAX], line[LINE_MAX_BYTES], wall[32];
    va_list arguments;
    size_t length;
    ssize_t written;

    if (level < log_level())
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    clock_wall_text(wall, sizeof wall);
    length = (size_t)snprintf(line, 128, "%s %s %s ", wall, names[level], component);
    if (length > 127)
        length = 127;
    length += escape(message, line + length);
    line[length++] = '\n';
    written = write(STDERR_FILENO, line, length);
    (void)written; /* nowhere to report to */
}
