/* Comparing maps and what they are made of. */
#include "tests/fuzz/lib/maps.h"

#include <string.h>

#include "base/check.h"

static void require_same_copy(const struct replica_id *left, const struct replica_id *right)
{
    CHECK(left->server == right->server && left->store == right->store &&
          left->incarnation == right->incarnation);
}

void configurations_require_same(const struct configuration *left,
                                 const struct configuration *right)
{
    CHECK(left->partition == right->partition && left->history == right->history &&
          left->epoch == right->epoch && left->switched == right->switched &&
          left->member_count == right->member_count && left->learner_count == right->learner_count);
    require_same_copy(&left->primary, &right->primary);
    for (uint32_t i = 0; i < left->member_count; i++)
        require_same_copy(&left->members[i], &right->members[i]);
    for (uint32_t i = 0; i < left->learner_count; i++)
        require_same_copy(&left->learners[i], &right->learners[i]);
}

void targets_require_same(const struct target *left, const struct target *right)
{
    CHECK(left->server_count == right->server_count && left->primary == right->primary);
    CHECK(memcmp(left->servers, right->servers, left->server_count * sizeof left->servers[0]) == 0);
}

static void require_same_server(const struct map_server *left, const struct map_server *right)
{
    CHECK(left->id == right->id && left->store == right->store &&
          left->incarnation == right->incarnation && left->draining == right->draining &&
          left->removed == right->removed);
    CHECK(address_equal(&left->address, &right->address));
    CHECK(strcmp(left->address_text, right->address_text) == 0);
}

void maps_require_same(const struct cluster_map *left, const struct cluster_map *right)
{
    CHECK(left->cluster == right->cluster && left->version == right->version &&
          left->partitions == right->partitions && left->replicas == right->replicas &&
          left->server_count == right->server_count && left->founders == right->founders);
    CHECK((left->configurations == NULL) == (right->configurations == NULL));
    CHECK((left->targets == NULL) == (right->targets == NULL));
    for (size_t i = 0; i < left->server_count; i++)
        require_same_server(&left->servers[i], &right->servers[i]);
    for (uint32_t i = 0; left->configurations != NULL && i < left->partitions; i++)
        configurations_require_same(&left->configurations[i], &right->configurations[i]);
    for (uint32_t i = 0; left->targets != NULL && i < left->partitions; i++)
        targets_require_same(&left->targets[i], &right->targets[i]);
}
