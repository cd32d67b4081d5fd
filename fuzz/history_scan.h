/* Scans in histories, which become gets. Private to history_file.c. */
#ifndef CAIRN_FUZZ_HISTORY_SCAN_H
#define CAIRN_FUZZ_HISTORY_SCAN_H

#include <jansson.h>

#include "fuzz/history_file.h"

/* Takes a scan's line; NULL or what is wrong with it. */
const char *history_scan_read(struct history *history, const json_t *object);
/* Adds the gets of all scans taken, now that all keys are known. CAIRN_ENOMEM. */
int history_scans_expand(struct history *history, struct error *error);
void history_scans_free(struct history *history);

#endif
