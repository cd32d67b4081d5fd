/* Whether the process may open more files. */
#ifndef CAIRN_BASE_DESCRIPTORS_H
#define CAIRN_BASE_DESCRIPTORS_H

#include <stdbool.h>

/* What an event loop of libuv opens at most. It ends the process, without a word, if its pipe for
 * signals cannot be made, so whoever makes a loop asks first. */
enum { DESCRIPTORS_OF_A_LOOP = 6 };

/* Whether `count` descriptors can be opened now; rounded up to an even number. Another thread may
 * take them right after. Any thread; errno says why not. */
bool descriptors_left(unsigned count);

#endif
