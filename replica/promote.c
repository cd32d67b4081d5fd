/* Becoming primary and stopping to be it (R3, R6), and the log's time (S1). */
#include "base/check.h"
#include "replica/internal.h"

void replica_promote(struct replica *replica, uint64_t now_ms, struct replica_update *update)
{
    replica->role = REPLICA_STARTING;
    replica->promoted_ms = now_ms;
    replica->promoted_log_ms = replica->last_log_ms;
    replica->barrier_index = replica->last.index + 1;
    update->append_noop = true;
}

void replica_step_down(struct replica *replica, enum replica_role role)
{
    replica->role = role;
    replica->barrier_index = 0;
}

uint64_t replica_log_time_ms(const struct replica *replica, uint64_t now_ms)
{
    uint64_t elapsed = now_ms > replica->promoted_ms ? now_ms - replica->promoted_ms : 0;
    uint64_t now_log_ms = replica->promoted_log_ms + elapsed;

    return now_log_ms > replica->last_log_ms ? now_log_ms : replica->last_log_ms;
}

void replica_next(const struct replica *replica, uint64_t now_ms, struct replica_position *position,
                  uint64_t *log_time_ms)
{
    CHECK(replica->barrier_index != 0); /* promoted under the configuration in force */
    CHECK(replica->configuration.epoch == replica->seen_epoch);
    CHECK(replica->role == REPLICA_PRIMARY || replica->last.index + 1 == replica->barrier_index);
    position->epoch = replica->configuration.epoch;
    position->index = replica->last.index + 1;
    *log_time_ms = replica_log_time_ms(replica, now_ms);
}

void replica_append(struct replica *replica, uint64_t now_ms, struct replica_position *position,
                    uint64_t *log_time_ms)
{
    replica_next(replica, now_ms, position, log_time_ms);
    replica->last = *position;
    replica->last_log_ms = *log_time_ms;
}
