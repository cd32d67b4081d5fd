/* Ends the process when something that cannot happen has happened. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *function, const char *expression)
{
    char text[512];
    int length = snprintf(text, sizeof text, "%s:%d: %s: check failed: %s\n", file, line, function,
                          expression);

    if (length > (int)sizeof text - 1) {
        length = (int)sizeof text - 1;
        text[length - 1] = '\n';
    }
    /* One write(2), no stdio buffer: the state of the process is no longer trusted. */
    if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0)
        abort();
    abort();
}
