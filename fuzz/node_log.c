/* Reads what nodes logged for signs of a defect that a later start, or a repair, would hide. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/node.h"

static const char *const complaints[] = {
    ": check failed: ",
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "WARNING: ThreadSanitizer",
    "runtime error:",
    /* No fault of ours damages data, and servers repair what is damaged or differs (W8). */
    "a copy differs partition=",
    " fails its checksum",
    "values fail their checksums",
    "this copy is to be installed anew",
    "a page of the store cannot be read",
    ": damaged: ",
};

static const char *complaint_in(const char *line)
{
    for (size_t i = 0; i < sizeof complaints / sizeof *complaints; i++)
        if (strstr(line, complaints[i]) != NULL)
            return complaints[i];
    return NULL;
}

int node_check_log(const struct node *node, struct error *error)
{
    FILE *file = fopen(node->log, "re");
    char *line = NULL;
    size_t room = 0;
    int rc = 0;

    if (file == NULL)
        return errno == ENOENT ? 0
                               : error_set(error, CAIRN_EIO, "%s: %s", node->log, strerror(errno));
    while (rc == 0 && getline(&line, &room, file) >= 0)
        if (complaint_in(line) != NULL)
            rc = error_set(error, CAIRN_EIO, "%s complained: %.300s; see %s", node->name, line,
                           node->log);
    free(line);
    (void)fclose(file);
    return rc;
}
