/* Names with values, as YCSB's workload files and -p give them; a later one wins. */
#ifndef CAIRN_BENCH_PROPERTIES_H
#define CAIRN_BENCH_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { PROPERTIES_MAX = 128, PROPERTY_NAME_SIZE = 64, PROPERTY_VALUE_SIZE = 256 };

struct property {
    char name[PROPERTY_NAME_SIZE], value[PROPERTY_VALUE_SIZE];
};

struct properties {
    size_t count;
    struct property list[PROPERTIES_MAX];
};

/* Takes NAME=VALUE or NAME:VALUE, blanks around either dropped. 0, or CAIRN_EINVAL. */
int properties_parse(struct properties *properties, const char *text, struct error *error);
/* Takes the lines of a file; empty ones and those that begin with # or ! say nothing. 0, or
 * CAIRN_EINVAL, CAIRN_EIO with the file, and the line, in the message. */
int properties_read(struct properties *properties, const char *path, struct error *error);
int properties_set(struct properties *properties, const char *name, const char *value,
                   struct error *error);
/* NULL if it was not given. */
const char *properties_get(const struct properties *properties, const char *name);

/* A whole number in [least, most], or a part in [0, 1], or one of `names`, which ends with NULL, by
 * its index; what is not given leaves `out` as it is. CAIRN_EINVAL names the property. */
int properties_number(const struct properties *properties, const char *name, uint64_t least,
                      uint64_t most, uint64_t *out, struct error *error);
int properties_share(const struct properties *properties, const char *name, double *out,
                     struct error *error);
int properties_choice(const struct properties *properties, const char *name,
                      const char *const *names, size_t *out, struct error *error);

#endif
