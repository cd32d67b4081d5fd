/* One manager or server process of a cluster, started again and again on the same data. */
#ifndef CAIRN_FUZZ_NODE_H
#define CAIRN_FUZZ_NODE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "fuzz/node_control.h"
#include "fuzz/node_words.h"

enum { NODE_PATH_MAX = 512 };

struct node {
    char name[8];            /* "m", "s0", "s1", ... */
    char log[NODE_PATH_MAX]; /* what all its processes said */
    struct words command;
    struct words environment;
    int network; /* the namespace that it runs in, or -1; not owned */
    struct control_page *control;
    pid_t process; /* 0: none */
    bool is_paused;
};

/* Names a node with its log, its control file and the environment of its processes; `preload` is
 * the library for them. The caller adds the words of its command. Nothing is started. */
int node_init(struct node *node, const char *name, const char *folder, const char *preload,
              struct error *error);
/* Kills its process, if there is one, and frees what it has. */
void node_free(struct node *node);

/* What is so already is left: a node that runs is not started, one that does not is not killed,
 * paused or resumed. node_kill waits for the end; it fails if the process had ended before. */
int node_start(struct node *node, struct error *error);
int node_kill(struct node *node, struct error *error);
void node_pause(struct node *node);
void node_resume(struct node *node);

/* CAIRN_EIO with the end of its log if its process has ended though nobody killed it. */
int node_check(struct node *node, struct error *error);
/* CAIRN_EIO with the line if any process of it complained: a sanitizer, a failed check, damage. */
int node_check_log(const struct node *node, struct error *error);

#endif
