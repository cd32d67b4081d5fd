/* The only place that reads a clock.
 *
 * Protocol time is CLOCK_BOOTTIME (ARCHITECTURE.md L3): it keeps counting while the machine sleeps
 * and never jumps. Wall time is for log lines only and is never compared between machines. */
#ifndef CAIRN_BASE_CLOCK_H
#define CAIRN_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds and milliseconds of CLOCK_BOOTTIME, read fresh on each call. Thread-safe. */
uint64_t clock_now_ns(void);
uint64_t clock_now_ms(void);

/* Writes the wall time as `2026-01-31T12:34:56.789Z` with its NUL into `out` (at least 25 bytes).
 */
void clock_wall_text(char *out, size_t size);

/* Sleeps at least `milliseconds`; for programs and tests, never on a loop thread. */
void clock_sleep_ms(uint64_t milliseconds);

#endif
