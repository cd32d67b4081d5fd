/* A membership's reply as the result of the call that it answers. */
#ifndef CAIRN_MANAGER_REPLIES_H
#define CAIRN_MANAGER_REPLIES_H

#include <stdint.h>

#include "manager/membership.h"
#include "rpc/server.h"

/* Answers `call`, of this procedure of the manager's program. */
void manager_reply(const struct membership *membership, struct rpc_call *call, uint32_t procedure,
                   const struct membership_reply *reply);

#endif
