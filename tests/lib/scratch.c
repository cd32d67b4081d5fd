/* See scratch.h. */
#include "tests/lib/scratch.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { OPEN_DIRECTORIES = 8 };

void scratch_create(char path[SCRATCH_PATH_MAX])
{
    (void)snprintf(path, SCRATCH_PATH_MAX, "/tmp/cairn-unit-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void scratch_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_entry, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS), 0);
}
