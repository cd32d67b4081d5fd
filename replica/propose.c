/* Asking the manager for a configuration (R11), and asking again while the answer is unknown. */
#include "base/check.h"
#include "replica/internal.h"

enum { PROPOSE_AGAIN_MS = 500 };

void replica_propose_self(struct replica *replica, uint64_t now_ms, struct replica_update *update)
{
    CHECK(replica->proposed_epoch == replica->configuration.epoch);
    update->propose = true;
    update->proposal = replica->configuration;
    update->proposal.epoch = replica->configuration.epoch + 1;
    update->proposal.primary = replica->self;
    /* Whatever the answer, only a configuration of a higher epoch ends the asking. */
    replica->propose_after_ms = now_ms + PROPOSE_AGAIN_MS;
}
