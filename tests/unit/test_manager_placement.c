/* Placement: pure, balanced within its bound, and little moves when a server comes or goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "manager/placement.h"

enum { SERVERS_MAX = 64 };

static uint32_t *place(uint32_t partitions, uint32_t replicas, const uint32_t *servers,
                       size_t count)
{
    const struct placement placement = {partitions, replicas, count, servers};
    uint32_t *members = calloc((size_t)partitions * replicas, sizeof *members);

    assert_non_null(members);
    assert_int_equal(placement_compute(&placement, members), 0);
    return members;
}

static void first_ids(uint32_t *servers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        servers[i] = (uint32_t)i;
}

static uint32_t *place_first(uint32_t partitions, uint32_t replicas, size_t count)
{
    uint32_t servers[SERVERS_MAX];

    first_ids(servers, count);
    return place(partitions, replicas, servers, count);
}

static void check_bounds(uint32_t partitions, uint32_t replicas, size_t count)
{
    uint32_t *members = place_first(partitions, replicas, count);
    uint32_t primaries[SERVERS_MAX] = {0}, copies[SERVERS_MAX] = {0};

    for (uint32_t p = 0; p < partitions; p++) {
        const uint32_t *row = members + (size_t)p * replicas;

        for (uint32_t rank = 0; rank < replicas; rank++) {
            assert_true(row[rank] < count);
            copies[row[rank]]++;
            for (uint32_t other = 0; other < rank; other++)
                assert_int_not_equal(row[rank], row[other]);
        }
        primaries[row[0]]++;
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(primaries[i] <= placement_limit(partitions, count));
        assert_true(copies[i] <= placement_limit((uint64_t)partitions * replicas, count));
    }
    free(members);
}

/* 11 partitions in three copies on five servers, for one, dead-end without moving a copy. */
static void every_server_stays_within_its_bound(void **state)
{
    static const uint32_t sizes[] = {1, 2, 3, 7, 11, 13, 16, 64, 100, 256, 1024};

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (size_t count = 1; count <= 20; count++)
            for (uint32_t replicas = 1; replicas <= count && replicas <= 5; replicas++)
                check_bounds(sizes[s], replicas, count);
    check_bounds(16384, 3, 50);
}

static void the_limit_is_average_and_slack_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(placement_limit(64, 1), 68);
    assert_int_equal(placement_limit(64, 3), 23); /* 21.3 * 1.05 = 22.4 */
    assert_int_equal(placement_limit(100, 10), 11);
    assert_int_equal(placement_limit(1, 20), 1);
}

static void same_input_gives_same_output(void **state)
{
    const uint32_t forward[] = {0, 1, 2, 3, 4}, backward[] = {4, 3, 2, 1, 0};
    uint32_t *first = place(64, 2, forward, 5);
    uint32_t *second = place(64, 2, backward, 5);

    (void)state;
    assert_memory_equal(first, second, 64 * 2 * sizeof *first);
    free(first);
    free(second);
}

/* How many partitions have another primary than before, and how many copies lie on a server that
 * did not hold them before. */
static void count_moves(const uint32_t *before, const uint32_t *after, uint32_t partitions,
                        uint32_t replicas, uint32_t *primaries, uint32_t *copies)
{
    *primaries = *copies = 0;
    for (uint32_t p = 0; p < partitions; p++) {
        const uint32_t *old = before + (size_t)p * replicas, *new = after + (size_t)p *replicas;

        *primaries += old[0] != new[0];
        for (uint32_t rank = 0; rank < replicas; rank++) {
            bool had = false;

            for (uint32_t other = 0; other < replicas; other++)
                had = had || old[other] == new[rank];
            *copies += !had;
        }
    }
}

/* A change must move about one server's share: at least half of it, at most twice. */
static void check_moves(size_t count, uint32_t partitions, uint32_t replicas)
{
    uint32_t *smaller = place_first(partitions, replicas, count);
    uint32_t *larger = place_first(partitions, replicas, count + 1);
    const uint32_t share = partitions / (uint32_t)(count + 1);
    uint32_t primaries, copies;

    count_moves(smaller, larger, partitions, replicas, &primaries, &copies);
    assert_in_range(primaries, share / 2, share * 2);
    assert_in_range(copies, share * replicas / 2, share * replicas * 2);
    count_moves(larger, smaller, partitions, replicas, &primaries, &copies);
    assert_in_range(primaries, share / 2, share * 2);
    assert_in_range(copies, share * replicas / 2, share * replicas * 2);
    free(smaller);
    free(larger);
}

static void adding_or_removing_a_server_moves_its_share(void **state)
{
    (void)state;
    for (size_t count = 3; count <= 20; count++)
        for (uint32_t replicas = 1; replicas <= 3; replicas++)
            check_moves(count, 1024, replicas);
}

static void impossible_requests_are_refused(void **state)
{
    const uint32_t servers[] = {0, 1};
    uint32_t members[16];

    (void)state;
    assert_int_equal(placement_compute(&(struct placement){4, 3, 2, servers}, members),
                     CAIRN_EINVAL);
    assert_int_equal(placement_compute(&(struct placement){4, 1, 0, servers}, members),
                     CAIRN_EINVAL);
    assert_int_equal(placement_compute(&(struct placement){0, 1, 2, servers}, members),
                     CAIRN_EINVAL);
    assert_int_equal(placement_compute(&(struct placement){4, 0, 2, servers}, members),
                     CAIRN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_server_stays_within_its_bound),
        cmocka_unit_test(the_limit_is_average_and_slack_rounded_up),
        cmocka_unit_test(same_input_gives_same_output),
        cmocka_unit_test(adding_or_removing_a_server_moves_its_share),
        cmocka_unit_test(impossible_requests_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
