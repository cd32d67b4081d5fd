/* The clients: threads in processes of their own, each with its lane.
 *
 * What a process of clients did is known even if it is killed, and what it had begun stays open. */
#ifndef CAIRN_FUZZ_CLIENTS_H
#define CAIRN_FUZZ_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "fuzz/lane.h"
#include "fuzz/plan.h"
#include "fuzz/subject.h"

enum { CLIENTS_PROCESSES_MAX = PLAN_CLIENTS_MAX };

/* What is pointed to outlives the clients. */
struct clients_options {
    const struct plan *plan;
    const struct subject_place *place;
    uint32_t processes;  /* at most as many as clients; with a command each client has its own */
    uint64_t operations; /* of each client; 0: until they are stopped */
    /* Called in each process before its clients start; may be NULL. */
    int (*enter)(void *context, uint32_t process, struct error *error);
    void *context;
};

struct clients;

/* Forks; the caller has no threads that matter to a forked child. CAIRN_ENOMEM, CAIRN_EIO; then
 * nothing is left. */
int clients_start(const struct clients_options *options, struct clients **clients,
                  struct error *error);
struct lane *clients_lane(struct clients *clients, uint32_t client);
/* Looks after ended processes, and closes the lanes of those that were killed. False once all have
 * ended. */
bool clients_run(struct clients *clients);
/* Asks all to end after the call that they are in. Thread-safe. */
void clients_stop(struct clients *clients);
/* Ends them at once. */
void clients_kill(struct clients *clients);
/* Kills what still runs. NULL is fine. */
void clients_free(struct clients *clients);

#endif
