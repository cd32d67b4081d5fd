/* Claims and acknowledges the numbers of records. */
#include "bench/key_space.h"

void key_space_init(struct key_space *space, uint64_t first)
{
    atomic_store(&space->next, first);
    atomic_store(&space->limit, first);
    atomic_flag_clear(&space->moving);
    for (uint32_t i = 0; i < KEY_SPACE_WINDOW; i++)
        atomic_store_explicit(&space->acknowledged[i], false, memory_order_relaxed);
}

uint64_t key_space_claim(struct key_space *space)
{
    return atomic_fetch_add(&space->next, 1);
}

static atomic_bool *slot_of(struct key_space *space, uint64_t number)
{
    return &space->acknowledged[number % KEY_SPACE_WINDOW];
}

/* A slot is free again before the limit passes it, and only then can its next number be noted. */
static void move_limit(struct key_space *space)
{
    uint64_t limit = atomic_load(&space->limit);
    while (atomic_load(slot_of(space, limit))) {
        atomic_store(slot_of(space, limit), false);
        atomic_store(&space->limit, ++limit);
    }
}

bool key_space_acknowledge(struct key_space *space, uint64_t number)
{
    if (number - atomic_load(&space->limit) >= KEY_SPACE_WINDOW)
        return false;
    atomic_store(slot_of(space, number), true);
    /* Who finds another at it leaves: that one looks again after it has let go. */
    while (atomic_load(slot_of(space, atomic_load(&space->limit)))) {
        if (atomic_flag_test_and_set(&space->moving))
            break;
        move_limit(space);
        atomic_flag_clear(&space->moving);
    }
    return true;
}

uint64_t key_space_limit(const struct key_space *space)
{
    return atomic_load_explicit(&space->limit, memory_order_acquire);
}
