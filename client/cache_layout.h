/* The bytes of the shared segment: see FORMATS.md, "Shared cache segment". */
#ifndef CAIRN_CLIENT_CACHE_LAYOUT_H
#define CAIRN_CLIENT_CACHE_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct cache_header;

/* Where everything lies, computed from the size of the segment alone. */
struct cache_geometry {
    size_t bytes;
};

#endif
