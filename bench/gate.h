/* Where the threads of a run wait until all of them have come. */
#ifndef CAIRN_BENCH_GATE_H
#define CAIRN_BENCH_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t arrived;
    bool open;
};

void gate_init(struct gate *gate);
void gate_close(struct gate *gate);
/* Arrives, and waits for gate_open. */
void gate_pass(struct gate *gate);
/* Waits until `count` have arrived. */
void gate_await(struct gate *gate, uint32_t count);
void gate_open(struct gate *gate);

#endif
