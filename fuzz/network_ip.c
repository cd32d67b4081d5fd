/* See network_ip.h. */
#include "fuzz/network_ip.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "fuzz/node_process.h"

enum { IP_LIMIT_MS = 60000, COMMANDS_MAX = 1024 };

static int run(int network, int input, int output, struct error *error)
{
    char *words[] = {(char *)"ip", (char *)"-batch", (char *)"-", NULL};
    struct process_start start = {.words = words,
                                  .environment = environ,
                                  .network = network,
                                  .input = input,
                                  .output = output,
                                  .errors = output};
    char said[256];
    pid_t process;
    int status;

    int rc = process_start(&start, &process, error);
    if (rc != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "%s (package iproute2)", error->message);
    if (process_wait(process, IP_LIMIT_MS, &status) != 0) {
        (void)kill(process, SIGKILL);
        (void)waitpid(process, &status, 0);
        return error_set(error, CAIRN_EUNAVAILABLE, "ip: no end within %d s", IP_LIMIT_MS / 1000);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    ssize_t length = pread(output, said, sizeof said - 1, 0);
    said[length > 0 ? length : 0] = 0;
    return error_set(error, CAIRN_EUNAVAILABLE, "ip: %s", said);
}

int network_ip_text(int network, const char *commands, struct error *error)
{
    ssize_t length = (ssize_t)strlen(commands);
    struct error local;
    int input = memfd_create("ip-commands", MFD_CLOEXEC);
    int output = memfd_create("ip-answers", MFD_CLOEXEC);
    int rc = 0;
    if (input < 0 || output < 0 || pwrite(input, commands, (size_t)length, 0) != length)
        rc = error_set(error, CAIRN_EIO, "ip: %s", strerror(errno));
    else
        rc = run(network, input, output, error != NULL ? error : &local);
    if (input >= 0)
        close(input);
    if (output >= 0)
        close(output);
    return rc;
}

int network_ip(int network, struct error *error, const char *format, ...)
{
    char commands[COMMANDS_MAX];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(commands, sizeof commands, format, arguments);
    va_end(arguments);
    CHECK(length > 0 && length < COMMANDS_MAX);
    return network_ip_text(network, commands, error);
}
