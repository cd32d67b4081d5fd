/* Configurations compared field by field: their padding may hold anything. */
#ifndef CAIRN_TESTS_CONFIGURATION_COMPARE_H
#define CAIRN_TESTS_CONFIGURATION_COMPARE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/map.h"

static inline void assert_same_replica(const struct replica_id *left,
                                       const struct replica_id *right)
{
    assert_int_equal(left->server, right->server);
    assert_true(left->store == right->store);
    assert_true(left->incarnation == right->incarnation);
}

static inline void assert_same_configuration(const struct configuration *left,
                                             const struct configuration *right)
{
    assert_int_equal(left->partition, right->partition);
    assert_true(left->history == right->history && left->epoch == right->epoch);
    assert_int_equal(left->switched, right->switched);
    assert_same_replica(&left->primary, &right->primary);
    assert_int_equal(left->member_count, right->member_count);
    for (uint32_t i = 0; i < left->member_count; i++)
        assert_same_replica(&left->members[i], &right->members[i]);
    assert_int_equal(left->learner_count, right->learner_count);
    for (uint32_t i = 0; i < left->learner_count; i++)
        assert_same_replica(&left->learners[i], &right->learners[i]);
}

static inline void assert_same_target(const struct target *left, const struct target *right)
{
    assert_int_equal(left->server_count, right->server_count);
    for (uint32_t i = 0; i < left->server_count; i++)
        assert_int_equal(left->servers[i], right->servers[i]);
    assert_true(left->primary == right->primary);
}

#endif
