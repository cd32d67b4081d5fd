/* What the parts of the preloaded library share. */
#ifndef CAIRN_FUZZ_PRELOAD_NODE_H
#define CAIRN_FUZZ_PRELOAD_NODE_H

#include "fuzz/preload/control.h"

/* For the functions that stand before those of the C library. */
#define PRELOAD_PUBLIC __attribute__((visibility("default")))

/* This node's page, or NULL if it has none. */
const struct control_page *preload_control(void);
/* The function of the C library that ours stands before; aborts if there is none. */
void *preload_original(const char *name);

#endif
