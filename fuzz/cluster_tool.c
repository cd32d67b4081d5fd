/* See cluster_tool.h. */
#include "fuzz/cluster_tool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "fuzz/node_process.h"

enum { TIMED_OUT = 3 };

static void split(struct words *words, const char *text)
{
    while (*text != 0) {
        size_t length = strcspn(text, " ");
        words_add(words, "%.*s", (int)length, text);
        text += length + (text[length] == ' ');
    }
}

static int read_all(int file, struct buffer *output)
{
    off_t length = lseek(file, 0, SEEK_END);

    CHECK(length >= 0);
    int rc = buffer_reserve(output, (size_t)length + 1);
    if (rc != 0)
        return rc;
    CHECK(pread(file, output->data + output->length, (size_t)length, 0) == length);
    output->length += (size_t)length;
    output->data[output->length] = 0;
    return 0;
}

static int run(struct cluster *cluster, const struct words *words, int out, int err,
               uint64_t limit_ms, int *exit_code, struct error *error)
{
    struct process_start start = {.words = words->items,
                                  .environment = cluster->environment.items,
                                  .network = -1,
                                  .input = -1,
                                  .output = out,
                                  .errors = err};
    char how[48];
    pid_t process;
    int status;

    if (cluster->network != NULL)
        start.network = network_host(cluster->network, cluster_operator_host(cluster));
    int rc = process_start(&start, &process, error);
    if (rc != 0)
        return rc;
    *exit_code = TIMED_OUT;
    if (process_wait(process, limit_ms, &status) != 0) {
        CHECK(kill(process, SIGKILL) == 0);
        CHECK(waitpid(process, &status, 0) == process);
        return 0;
    }
    process_describe(status, how, sizeof how);
    if (!WIFEXITED(status))
        return error_set(error, CAIRN_EIO, "%s %s", cluster->cli, how);
    *exit_code = WEXITSTATUS(status);
    return 0;
}

int tool_run(struct cluster *cluster, const char *text, uint64_t limit_ms, int *exit_code,
             struct buffer *output, struct error *error)
{
    struct words words = {0};
    int out = memfd_create("answers", MFD_CLOEXEC), err = memfd_create("errors", MFD_CLOEXEC);

    words_add(&words, "%s", cluster->cli);
    words_add(&words, "--manager=%s", cluster->managers);
    words_add(&words, "--no-cache");
    split(&words, text);
    int rc = out < 0 || err < 0 ? error_set(error, CAIRN_EIO, "memfd: %s", strerror(errno)) : 0;
    if (rc == 0)
        rc = run(cluster, &words, out, err, limit_ms, exit_code, error);
    size_t before = output->length;
    if (rc == 0)
        rc = read_all(out, output);
    if (rc == 0 && output->length == before)
        rc = read_all(err, output);
    if (out >= 0)
        close(out);
    if (err >= 0)
        close(err);
    words_free(&words);
    return rc;
}
