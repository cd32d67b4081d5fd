/* Assertions that stay on in release builds.
 *
 * CHECK states what cannot happen. When it does happen the process must not go on: it prints
 * the expression and its place on stderr and aborts. What can happen is an error, not a CHECK. */
#ifndef CAIRN_BASE_CHECK_H
#define CAIRN_BASE_CHECK_H

/* Prints `file:line: function: check failed: expression` and aborts. Thread-safe. */
_Noreturn void check_failed(const char *file, int line, const char *function,
                            const char *expression);

#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #condition))

#endif
