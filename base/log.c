/* Log lines on stderr, one write(2) a line. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

enum { MESSAGE_MAX = 2048, LINE_MAX_BYTES = 4 * MESSAGE_MAX + 256 };

static _Atomic int current_level = LOG_INFO;

static const struct {
    const char *option, *label;
} names[] = {
    [LOG_DEBUG] = {"debug", "DEBUG"},
    [LOG_INFO] = {"info", "INFO"},
    [LOG_WARN] = {"warn", "WARN"},
    [LOG_ERROR] = {"error", "ERROR"},
};

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
    *level = LOG_INFO;
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(text, names[i].option) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    }
    return CAIRN_EINVAL;
}

/* Keys and peers' texts end up in messages: a control byte must neither break the line nor reach a
 * terminal. A byte grows to at most four, which LINE_MAX_BYTES allows for. */
static size_t escape(const char *message, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = 0;

    for (const char *at = message; *at != '\0'; at++) {
        const unsigned char byte = (unsigned char)*at;

        if (byte >= 0x20 && byte != 0x7f) {
            out[length++] = *at;
            continue;
        }
        out[length++] = '\\';
        out[length++] = 'x';
        out[length++] = digits[byte >> 4];
        out[length++] = digits[byte & 15];
    }
    return length;
}

static void write_line(const char *line, size_t length)
{
    ssize_t written;

    do {
        written = write(STDERR_FILENO, line, length);
    } while (written < 0 && errno == EINTR);
    /* A closed or full stderr must not stop a server: the line is lost. */
}

void log_write(enum log_level level, const char *component, const char *format, ...)
{
    const int saved_errno = errno;
    char message[MESSAGE_MAX], line[LINE_MAX_BYTES], time[32];
    va_list arguments;
    size_t length;
    int wanted;

    if (level < log_level())
        return;
    va_start(arguments, format);
    wanted = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (wanted < 0)
        message[0] = '\0';
    if (wanted >= (int)sizeof message)
        memcpy(message + sizeof message - 4, "...", 4);
    clock_wall_text(time, sizeof time);
    length = (size_t)snprintf(line, 128, "%s %s %.64s ", time, names[level].label, component);
    length += escape(message, line + length);
    line[length++] = '\n';
    write_line(line, length);
    errno = saved_errno;
}
