/* Preloaded into each node: makes it end with the process that started it, and finds the page that
 * says what its clocks and disk shall do. */
#include "fuzz/preload/node.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static const struct control_page *control;

const struct control_page *preload_control(void)
{
    return control;
}

void *preload_original(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    return found;
}

static void end_with_parent(void)
{
    const char *parent = getenv(CONTROL_PARENT_VARIABLE);

    if (parent == NULL)
        return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        abort();
    /* It may have ended before the kernel was asked to tell. */
    if (getppid() != (pid_t)strtol(parent, NULL, 10))
        _exit(1);
}

static void map_control(void)
{
    const char *path = getenv(CONTROL_FILE_VARIABLE);

    if (path == NULL)
        return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        abort();
    void *page = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED)
        abort();
    close(file);
    control = page;
}

__attribute__((constructor)) static void start(void)
{
    end_with_parent();
    map_control();
}
