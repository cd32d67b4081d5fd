/* Between an operation and the answers to its attempts. */
#ifndef CAIRN_CLIENT_OPERATION_RESULT_H
#define CAIRN_CLIENT_OPERATION_RESULT_H

#include "client/operation.h"

/* The rpc_done of an operation's attempts: fills in its fields and stops the loop. */
void operation_on_done(void *context, int status, const void *result, const struct error *error);

#endif
