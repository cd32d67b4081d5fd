/* Draws faults. */
#include <string.h>

#include "base/check.h"
#include "fuzz/fault.h"

#define SECOND_NS INT64_C(1000000000)

enum { MANAGER_BIT = 1, DAYS_MAX = 3650 };

static uint32_t server_bits(const struct fault_plan *plan)
{
    return ((1U << plan->servers) - 1) << 1;
}

static uint32_t draw_server(struct random *random, const struct fault_plan *plan)
{
    return 2U << random_below(random, plan->servers);
}

/* One server; more rarely two, more rarely all. */
static uint32_t draw_servers(struct random *random, const struct fault_plan *plan)
{
    uint64_t which = random_below(random, 10);
    uint32_t drawn = draw_server(random, plan);

    if (which < 6)
        return drawn;
    return which < 8 ? drawn | draw_server(random, plan) : server_bits(plan);
}

/* Between the two, each order of magnitude as likely as the others. */
static uint64_t draw_spread(struct random *random, uint64_t low, uint64_t high)
{
    uint64_t top = low;

    CHECK(low > 0 && low <= high);
    while (top < high && random_below(random, 3) != 0)
        top = top * 3 < high ? top * 3 : high;
    return low + random_below(random, top - low + 1);
}

static void cut_both(struct fault *fault, unsigned left, unsigned right)
{
    fault->cut[left] |= 1U << right;
    fault->cut[right] |= 1U << left;
}

static void cut_groups(struct fault *fault, uint32_t group, unsigned hosts)
{
    for (unsigned i = 0; i < hosts; i++)
        for (unsigned j = 0; j < i; j++)
            if (((group >> i) & 1) != ((group >> j) & 1))
                cut_both(fault, i, j);
}

/* A host of clients from all others, or alone with one server: what it reads from its cache it goes
 * on reading, and who would tell it of changes cannot. */
static void cut_client(struct random *random, const struct fault_plan *plan, struct fault *fault,
                       unsigned hosts)
{
    uint32_t group = 1U << (1 + plan->servers + (unsigned)random_below(random, plan->client_hosts));

    if (random_below(random, 2) == 0)
        group |= draw_server(random, plan);
    cut_groups(fault, group, hosts);
}

/* A link one way, a link, a host from all others, or the hosts in two groups. The operator is no
 * part of it: it has to see the cluster heal. */
static void draw_partition(struct random *random, const struct fault_plan *plan,
                           struct fault *fault)
{
    unsigned hosts = 1 + plan->servers + plan->client_hosts;
    unsigned left = (unsigned)random_below(random, hosts);
    unsigned right = (left + 1 + (unsigned)random_below(random, hosts - 1)) % hosts;

    switch (random_below(random, 8)) {
    case 0:
    case 1:
        fault->cut[left] |= 1U << right;
        break;
    case 2:
        cut_both(fault, left, right);
        break;
    case 3:
        cut_groups(fault, 1U << left, hosts);
        break;
    case 4:
    case 5:
    case 6:
        cut_client(random, plan, fault, hosts);
        break;
    default:
        /* Never all of them in one. */
        cut_groups(fault,
                   (1U << left | (uint32_t)random_below(random, 1U << hosts)) & ~(1U << right),
                   hosts);
        break;
    }
    for (unsigned i = 0; i < hosts; i++)
        fault->hosts |= fault->cut[i] | (fault->cut[i] != 0 ? 1U << i : 0);
}

static int64_t draw_signed(struct random *random, uint64_t limit)
{
    return (int64_t)random_below(random, 2 * limit + 1) - (int64_t)limit;
}

/* All nodes get rates of their own, at times the two ends of what is allowed; walls jump by
 * anything from milliseconds to years. */
static void draw_clock(struct random *random, const struct fault_plan *plan, struct fault *fault)
{
    fault->hosts = server_bits(plan) | MANAGER_BIT;
    for (unsigned i = 0; i <= plan->servers; i++) {
        bool is_extreme = random_below(random, 2) == 0;
        int64_t sign = random_below(random, 2) == 0 ? -1 : 1;
        fault->rate_ppm[i] =
            is_extreme ? sign * FAULT_RATE_MAX_PPM : draw_signed(random, FAULT_RATE_MAX_PPM);
        switch (random_below(random, 3)) {
        case 0:
            break;
        case 1:
            fault->wall_ns[i] = draw_signed(random, 10000) * (SECOND_NS / 1000);
            break;
        default:
            fault->wall_ns[i] = draw_signed(random, DAYS_MAX) * 86400 * SECOND_NS;
            break;
        }
    }
}

static void draw_moves(struct random *random, const struct fault_plan *plan, struct fault *fault)
{
    fault->move_count = 1 + (uint32_t)random_below(random, FAULT_MOVES_MAX);
    for (uint32_t i = 0; i < fault->move_count; i++) {
        struct fault_move *move = &fault->moves[i];
        uint64_t how = random_below(random, 5);
        move->how = how < 3 ? MOVE_PARTITION : how == 3 ? MOVE_DRAIN : MOVE_REBALANCE;
        move->partition = (uint32_t)random_below(random, plan->partitions);
        move->server = (uint32_t)random_below(random, plan->servers);
    }
}

static void draw_kind(struct random *random, const struct fault_plan *plan, struct fault *fault)
{
    switch (fault->kind) {
    case NEMESIS_KILL:
        fault->hosts = draw_servers(random, plan);
        fault->at_once = random_below(random, 2) == 0;
        break;
    case NEMESIS_PAUSE:
        fault->hosts = random_below(random, 4) == 0 ? MANAGER_BIT : draw_servers(random, plan);
        break;
    case NEMESIS_PARTITION:
        draw_partition(random, plan, fault);
        break;
    case NEMESIS_SLOW_DISK:
        fault->hosts = draw_servers(random, plan);
        fault->write_delay_us = (uint32_t)draw_spread(random, 100, 20000);
        fault->sync_delay_us = (uint32_t)draw_spread(random, 1000, 400000);
        break;
    case NEMESIS_DISK_FULL:
        fault->hosts = draw_servers(random, plan);
        fault->left_bytes = random_below(random, 2) == 0 ? 0 : random_below(random, 32 << 20);
        break;
    case NEMESIS_CLOCK:
        draw_clock(random, plan, fault);
        break;
    case NEMESIS_RESTART_MANAGER:
        fault->hosts = MANAGER_BIT;
        fault->at_once = random_below(random, 2) == 0;
        break;
    case NEMESIS_MOVE:
        draw_moves(random, plan, fault);
        break;
    case NEMESIS_KINDS:
        CHECK(false);
    }
}

/* One of the kinds. */
static enum nemesis_kind draw_one_of(struct random *random, uint32_t kinds)
{
    uint64_t left = random_below(random, (uint64_t)__builtin_popcount(kinds));
    uint32_t kind = 0;

    while ((kinds >> kind & 1) == 0 || left-- > 0)
        kind++;
    return (enum nemesis_kind)kind;
}

unsigned fault_draw(struct random *random, const struct fault_plan *plan,
                    struct fault out[FAULTS_AT_ONCE])
{
    uint32_t kinds = plan->kinds;
    unsigned count = random_below(random, 5) < 2 && (kinds & (kinds - 1)) != 0 ? 2 : 1;
    /* Who is back before leases end is as much of a case as who is replaced. */
    uint64_t hold_ms = draw_spread(random, plan->hold_min_ms, plan->hold_max_ms);

    CHECK(kinds != 0 && kinds < 1U << NEMESIS_KINDS);
    CHECK(plan->servers > 0 && plan->servers <= CLUSTER_SERVERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        memset(&out[i], 0, sizeof out[i]);
        out[i].kind = draw_one_of(random, kinds);
        out[i].hold_ms = hold_ms;
        draw_kind(random, plan, &out[i]);
        kinds &= ~(1U << out[i].kind);
    }
    if (count == 2 && out[1].kind == NEMESIS_PARTITION) {
        struct fault first = out[1];
        out[1] = out[0];
        out[0] = first;
    }
    return count;
}
