/* Log lines on stderr: `2026-01-31T12:34:56.789Z INFO server recovered partitions=22 ms=31`.
 *
 * One line a record, written with one write(2) so that lines of several processes never mix.
 * Control bytes in arguments are printed as `\xNN`. Thread-safe. */
#ifndef CAIRN_BASE_LOG_H
#define CAIRN_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Records below `level` are dropped; the default is LOG_INFO. */
void log_set_level(enum log_level level);
/* Parses debug, info, warn or error; 0 or CAIRN_EINVAL. */
int log_level_parse(const char *text, enum log_level *level);
enum log_level log_level(void);

/* `component` is one word; `format` gives the message, then `key=%value` pairs. */
void log_write(enum log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) (log_level() <= LOG_DEBUG ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
