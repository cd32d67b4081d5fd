/* The only file that reads a clock (ARCHITECTURE.md L3: CLOCK_BOOTTIME). */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"

uint64_t clock_now_ns(void)
{
    struct timespec now;

    /* Linux has had the clock since 2.6.39; a process that cannot tell the time cannot keep leases.
     */
    CHECK(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t clock_now_ms(void)
{
    return clock_now_ns() / 1000000U;
}

void clock_wall_text(char *out, size_t size)
{
    struct timespec now;
    struct tm utc;
    size_t length;

    CHECK(size >= 25);
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    CHECK(gmtime_r(&now.tv_sec, &utc) != NULL);
    length = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out + length, size - length, ".%03uZ", (unsigned)(now.tv_nsec / 1000000) % 1000);
}

void clock_sleep_ms(uint64_t milliseconds)
{
    struct timespec rest = {
        .tv_sec = (time_t)(milliseconds / 1000),
        .tv_nsec = (long)(milliseconds % 1000) * 1000000,
    };

    while (nanosleep(&rest, &rest) != 0)
        CHECK(errno == EINTR);
}
