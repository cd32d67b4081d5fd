/* One run: clients, what they do recorded and checked meanwhile, and the verdict. */
#ifndef CAIRN_FUZZ_RUN_H
#define CAIRN_FUZZ_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "fuzz/clients.h"
#include "fuzz/output.h"
#include "fuzz/recorder.h"
#include "fuzz/settings.h"
#include "fuzz/watch.h"

struct run {
    const struct settings *settings;
    struct output *output;
    struct clients *clients;
    struct watch *watch;
    struct recorder recorder;
    struct pending *pending;   /* room for all that can be under way */
    uint64_t round;            /* rounds before are finished */
    uint64_t operations, lost; /* calls; of them those whose outcome is not known */
    uint64_t begun_ms, told_ms, told_operations;
    uint64_t deadline_ms; /* once stopped: when the clients are killed */
    uint64_t patience_ms; /* from a stop to that */
    bool killed;
    uint64_t unfinished; /* calls that were under way then */
    _Atomic bool stop;   /* set by anybody: the clients end after the call that they are in */
    _Atomic bool over;   /* nothing more is recorded */
    struct error error;  /* what ended the run too early, or code 0 */
    char foreign[LANE_TEXT_SIZE];
};

/* Starts the clients. `options.plan` and `.place` are set from the settings. */
int run_begin(struct run *run, const struct settings *settings, struct output *output,
              const struct clients_options *options, struct error *error);
/* Records and checks until all clients have ended. `interrupted`: asked for again and again. */
void run_loop(struct run *run, bool (*interrupted)(void));
/* Whether all calls came to an end, or why they did not is known: the run was interrupted, or ended
 * too early. */
bool run_is_complete(const struct run *run, bool interrupted);
/* Says the verdict: whether there is one and it is good. `run->error` says what else was wrong.
 * Frees what run_begin made. */
bool run_end(struct run *run);

#endif
