/* The shared cache that a run has for itself. */
#ifndef CAIRN_FUZZ_OWN_CACHE_H
#define CAIRN_FUZZ_OWN_CACHE_H

/* Removes the segments of this name, of whatever cluster. */
void own_cache_remove(const char *name);

#endif
