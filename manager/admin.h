/* What the files of the operator's calls share; see membership_admin in membership.h. */
#ifndef CAIRN_MANAGER_ADMIN_H
#define CAIRN_MANAGER_ADMIN_H

#include "manager/membership.h"

struct admin {
    struct membership *membership;
    uint64_t now_ms;
    const struct admin_args *args;
    struct membership_reply *reply;
    uint32_t target_count; /* targets changed, or to be changed (dry_run) */
};

/* Gives a partition another target, unless it is the same or only asked for (dry_run), and lists
 * what that moves. 0, or CAIRN_ENOMEM. */
int admin_set_target(struct admin *admin, uint32_t partition, const struct target *target);
/* MANAGER_OK and what was done. */
void admin_say(struct admin *admin, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ADMIN_UNSAFE_RECOVER: 0 with a reply, or CAIRN_ENOMEM. */
int admin_recover(struct admin *admin);

#endif
