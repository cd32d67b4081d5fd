/* Between a GET and the host's cache (ARCHITECTURE.md C1). */
#ifndef CAIRN_CLIENT_OPERATION_CACHE_H
#define CAIRN_CLIENT_OPERATION_CACHE_H

#include "client/operation.h"

/* Just before the attempt leaves for operation->server: notes what is current, and names the
 * session in the arguments, if there is one to cache the value under. */
void operation_cache_note(struct operation *operation);
/* After the answer, whatever it was: caches the value if it was granted. */
void operation_cache_fill(struct operation *operation);

#endif
