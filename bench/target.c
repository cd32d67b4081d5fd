/* The list of targets. */
#include "bench/target.h"

#include <string.h>

const struct target *target_find(const char *name)
{
    const struct target *const targets[] = {&target_cairn, &target_redis, &target_lmdb,
                                            &target_etcd, &target_workload};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        if (strcmp(targets[i]->name, name) == 0)
            return targets[i];
    return NULL;
}
