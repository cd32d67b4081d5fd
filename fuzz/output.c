/* Lines to the terminal and to the log. */
#include "fuzz/output.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { PATH_SIZE = 4096 };

static int make_folder(const char *path, struct error *error)
{
    char folder[PATH_SIZE];
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    if ((size_t)(slash - path) >= sizeof(folder))
        return error_set(error, CAIRN_EINVAL, "%s: too long a path", path);
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    return directory_create(folder, error);
}

int output_open(struct output *output, const char *log, struct error *error)
{
    *output = (struct output){.in_place = isatty(STDERR_FILENO) != 0};
    pthread_mutex_init(&output->lock, NULL);
    if (log == NULL)
        return 0;
    int status = make_folder(log, error);
    if (status != 0)
        return status;
    output->log = fopen(log, "we");
    return output->log != NULL ? 0 : error_set(error, CAIRN_EIO, "%s: %s", log, strerror(errno));
}

void output_close(struct output *output)
{
    if (output->unfinished)
        (void)fputc('\n', stderr);
    if (output->log != NULL)
        (void)fclose(output->log);
    pthread_mutex_destroy(&output->lock);
}

static void write_line(struct output *output, FILE *file, const char *end, const char *format,
                       va_list arguments) __attribute__((format(printf, 4, 0)));
static void write_line(struct output *output, FILE *file, const char *end, const char *format,
                       va_list arguments)
{
    if (output->unfinished && file != output->log)
        (void)fputs(file == stderr ? "\r\033[K" : "\n", stderr);
    if (file != output->log)
        output->unfinished = false;
    (void)vfprintf(file, format, arguments);
    (void)fputs(end, file);
    (void)fflush(file);
}

void output_say(struct output *output, const char *format, ...)
{
    va_list arguments;
    pthread_mutex_lock(&output->lock);
    va_start(arguments, format);
    write_line(output, stdout, "\n", format, arguments);
    va_end(arguments);
    if (output->log != NULL) {
        va_start(arguments, format);
        write_line(output, output->log, "\n", format, arguments);
        va_end(arguments);
    }
    pthread_mutex_unlock(&output->lock);
}

void output_progress(struct output *output, bool passing, const char *format, ...)
{
    bool stays = !passing || !output->in_place;
    va_list arguments;
    pthread_mutex_lock(&output->lock);
    va_start(arguments, format);
    write_line(output, stderr, stays ? "\n" : "", format, arguments);
    va_end(arguments);
    output->unfinished = !stays;
    if (output->log != NULL && stays) {
        va_start(arguments, format);
        write_line(output, output->log, "\n", format, arguments);
        va_end(arguments);
    }
    pthread_mutex_unlock(&output->lock);
}
