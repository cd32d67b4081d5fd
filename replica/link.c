/* See link.h. */
#include "replica/link.h"

#include <string.h>

void link_init(struct link *link)
{
    memset(link, 0, sizeof *link);
    link->next_number = 1;
}

static struct link_beacon *slot(struct link_beacon *beacons, uint64_t number)
{
    return &beacons[number % LINK_BEACONS_KEPT];
}

void link_send(struct link *link, uint64_t now_ms, uint64_t *number, uint64_t *echo)
{
    *number = link->next_number++;
    *echo = link->answered_number;
    *slot(link->sent, *number) = (struct link_beacon){.number = *number, .at_ms = now_ms};
}

bool link_answered(struct link *link, uint64_t number, uint64_t *sent_ms)
{
    struct link_beacon *sent = slot(link->sent, number);

    if (number == 0 || sent->number != number)
        return false;
    *sent_ms = sent->at_ms;
    sent->number = 0;
    if (number > link->answered_number)
        link->answered_number = number;
    return true;
}

bool link_heard(struct link *link, const struct replica_member *from, uint64_t number,
                uint64_t echo, uint64_t now_ms, uint64_t recent_ms)
{
    const struct link_beacon *answered;
    bool echoed;

    if (!replica_same_process(&link->peer, from)) {
        link->peer = *from;
        memset(link->answered, 0, sizeof link->answered);
    }
    answered = slot(link->answered, echo);
    echoed = echo != 0 && answered->number == echo && now_ms <= answered->at_ms + recent_ms;
    *slot(link->answered, number) = (struct link_beacon){.number = number, .at_ms = now_ms};
    return echoed;
}
