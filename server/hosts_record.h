/* The longest lease that this store ever granted to a host (C7), across restarts: the file HOSTS.
 *
 * Written before the first such lease is granted, so that a start knows how long values may still
 * be read from hosts' caches that an earlier life granted. It never shrinks. */
#ifndef CAIRN_SERVER_HOSTS_RECORD_H
#define CAIRN_SERVER_HOSTS_RECORD_H

#include <stdint.h>

#include "base/error.h"

enum { HOSTS_RECORD_FORMAT = 1, HOSTS_RECORD_LONGEST_MS = 60 * 60 * 1000 };

struct hosts_record {
    const char *directory; /* the data directory; the caller's */
    uint64_t longest_ms;   /* as hosts count it; 0: none was ever granted */
};

/* Reads the file; without one nothing was granted. CAIRN_ECORRUPT if it is damaged: a guess would
 * be a stale read or an hour's silence, so it is left to people. CAIRN_EVERSION for a newer format
 * (W9), CAIRN_EIO; the message names the file. */
int hosts_record_open(struct hosts_record *record, const char *directory, struct error *error);
/* Makes `longest_ms` durable (W4) if it is more than what is recorded; until that has succeeded no
 * such lease may be granted. This blocks, once in a store's life unless its options are changed. */
int hosts_record_raise(struct hosts_record *record, uint64_t longest_ms, struct error *error);

#endif
