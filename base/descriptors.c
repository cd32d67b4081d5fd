/* Whether the process may open more files: found out by opening some. */
#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"

enum { PAIRS_MAX = 16 };

bool descriptors_left(unsigned count)
{
    int pairs[PAIRS_MAX][2];
    unsigned wanted = (count + 1) / 2, made = 0;

    CHECK(wanted <= PAIRS_MAX);
    while (made < wanted && pipe2(pairs[made], O_CLOEXEC) == 0)
        made++;
    int saved = errno;
    for (unsigned i = 0; i < made; i++) {
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    errno = saved;
    return made == wanted;
}
