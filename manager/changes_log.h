/* What changed, as lines of the log for people. */
#ifndef CAIRN_MANAGER_CHANGES_LOG_H
#define CAIRN_MANAGER_CHANGES_LOG_H

#include "manager/membership.h"

/* One line for each of the membership's changes that were not handed to its journal yet, but
 * registrations and the first placement: their callers know more. */
void changes_log(const struct membership *membership);

#endif
