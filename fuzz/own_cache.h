/* The shared caches that a run has for itself: NAME-0, NAME-1, ... */
#ifndef CAIRN_FUZZ_OWN_CACHE_H
#define CAIRN_FUZZ_OWN_CACHE_H

#include <stddef.h>

enum { OWN_CACHE_NAME_SIZE = 33, OWN_CACHES_MAX = 8 };

/* A name that no other process of this boot has, telling whose it is. */
void own_cache_name(char out[OWN_CACHE_NAME_SIZE]);
/* Cache `number` of that name. */
void own_cache_numbered(const char *name, unsigned number, char out[OWN_CACHE_NAME_SIZE]);
/* Removes the segments of all numbers, of whatever cluster. */
void own_cache_remove(const char *name);
/* Removes the segments of this user that runs left which were killed; returns how many. */
unsigned own_cache_remove_dead(void);

#endif
