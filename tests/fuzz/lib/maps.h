/* Whether maps are the same, field by field: an encoder that drops a field is seen. */
#ifndef CAIRN_TESTS_FUZZ_MAPS_H
#define CAIRN_TESTS_FUZZ_MAPS_H

#include "proto/map.h"

/* End the process if they differ. */
void configurations_require_same(const struct configuration *left,
                                 const struct configuration *right);
void targets_require_same(const struct target *left, const struct target *right);
void maps_require_same(const struct cluster_map *left, const struct cluster_map *right);

#endif
