/* A node's control page (preload/control.h), as its writer sees it. */
#ifndef CAIRN_FUZZ_NODE_CONTROL_H
#define CAIRN_FUZZ_NODE_CONTROL_H

#include "base/error.h"
#include "fuzz/preload/control.h"

/* Makes the file and maps it; the page is the caller's, to be given to control_close. */
int control_open(const char *path, struct control_page **page, struct error *error);
void control_close(struct control_page *page);

/* From a moment on the node's clocks run by so much faster; none of them jumps. */
void control_set_rate(struct control_page *page, int64_t rate_ppm);
/* The node's wall clock jumps to be off by this. */
void control_set_wall(struct control_page *page, int64_t wall_ns);
void control_set_disk(struct control_page *page, uint32_t write_delay_us, uint32_t sync_delay_us);
void control_set_full(struct control_page *page, uint32_t is_full);

#endif
