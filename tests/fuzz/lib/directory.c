/* A directory for decoders that read files by their path. */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/fuzz/lib/fuzz.h"

static char directory[PATH_MAX];

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    (void)remove(path);
    return 0;
}

static void remove_directory(void)
{
    (void)nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_directory(void)
{
    const char *above = getenv("TMPDIR");

    if (directory[0] != '\0')
        return directory;
    CHECK(snprintf(directory, sizeof directory, "%s/cairn-fuzz-XXXXXX",
                   above != NULL ? above : "/tmp") < (int)sizeof directory);
    CHECK(mkdtemp(directory) != NULL);
    CHECK(atexit(remove_directory) == 0);
    return directory;
}

void fuzz_file(const char *name, const void *bytes, size_t length)
{
    char path[PATH_MAX];
    int descriptor;

    CHECK(snprintf(path, sizeof path, "%s/%s", fuzz_directory(), name) < (int)sizeof path);
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(descriptor >= 0);
    CHECK(length == 0 || write(descriptor, bytes, length) == (ssize_t)length);
    CHECK(close(descriptor) == 0);
}
