/* The line of a run that goes on. */
#include "bench/progress.h"

#include <inttypes.h>

static double rate(uint64_t operations, uint64_t milliseconds)
{
    return milliseconds > 0 ? (double)operations * 1000 / (double)milliseconds : 0;
}

/* The part that is done, by time or by operations, whichever is nearer to its end. */
static double part_done(const struct progress_options *options, uint64_t elapsed_ms,
                        uint64_t operations)
{
    double by_time =
        options->milliseconds > 0 ? (double)elapsed_ms / (double)options->milliseconds : 0;
    double by_count =
        options->operations > 0 ? (double)operations / (double)options->operations : 0;
    double part = by_time > by_count ? by_time : by_count;
    return part > 1 ? 1 : part;
}

void progress_begin(struct progress *progress, const struct progress_options *options,
                    uint64_t now_ms)
{
    *progress = (struct progress){.options = options, .begun_ms = now_ms, .told_ms = now_ms};
}

void progress_text(const struct progress *progress, uint64_t now_ms, uint64_t operations,
                   char out[PROGRESS_LINE_SIZE])
{
    uint64_t elapsed_ms = now_ms - progress->begun_ms;
    double part = part_done(progress->options, elapsed_ms, operations);
    int length = snprintf(out, PROGRESS_LINE_SIZE,
                          "%s %" PRIu64 " s: %" PRIu64 " operations, %.0f/s now, %.0f/s so far",
                          progress->options->label, elapsed_ms / 1000, operations,
                          rate(operations - progress->told_operations, now_ms - progress->told_ms),
                          rate(operations, elapsed_ms));
    if (part > 0 && length > 0 && length < PROGRESS_LINE_SIZE)
        snprintf(out + length, (size_t)(PROGRESS_LINE_SIZE - length), ", %.0f%%, %.0f s left",
                 part * 100, (double)elapsed_ms * (1 - part) / part / 1000);
}

void progress_tell(struct progress *progress, uint64_t now_ms, uint64_t operations)
{
    char text[PROGRESS_LINE_SIZE];
    const struct progress_options *options = progress->options;
    if (options == NULL || now_ms - progress->told_ms < options->interval_ms)
        return;
    progress_text(progress, now_ms, operations, text);
    fprintf(options->out, options->in_place ? "\r%s\033[K" : "%s\n", text);
    fflush(options->out);
    progress->told_ms = now_ms;
    progress->told_operations = operations;
}

void progress_end(const struct progress *progress)
{
    if (progress->options == NULL || !progress->options->in_place)
        return;
    fputs("\r\033[K", progress->options->out);
    fflush(progress->options->out);
}
