/* Opens subjects of either kind, and reads the texts that they show. */
#include "fuzz/subject.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/subject_internal.h"

int subject_open(const struct subject_place *place, const struct plan *plan, struct lane *lane,
                 struct subject **subject, struct error *error)
{
    size_t size = PLAN_VALUE_SHORT + plan->value_bytes;
    struct subject *made = calloc(1, sizeof(*made));
    *subject = NULL;
    if (made == NULL)
        return error_set(error, CAIRN_ENOMEM, "client: out of memory");
    *made = (struct subject){.kind = place->command != NULL ? &subject_program : &subject_library,
                             .plan = plan,
                             .lane = lane,
                             .value = malloc(size),
                             .room = malloc(size)};
    int status = made->value == NULL || made->room == NULL
                     ? error_set(error, CAIRN_ENOMEM, "client: out of memory")
                     : made->kind->open(made, place, error);
    if (status != 0) {
        free(made->value);
        free(made->room);
        free(made);
        return status;
    }
    *subject = made;
    return 0;
}

int subject_call(struct subject *subject, const struct call *call, struct answer *answer,
                 struct error *error)
{
    *answer = (struct answer){.outcome = OUTCOME_OPEN, .version = OPERATION_NO_VERSION};
    return subject->kind->call(subject, call, answer, error);
}

void subject_close(struct subject *subject)
{
    if (subject == NULL)
        return;
    subject->kind->close(subject);
    free(subject->value);
    free(subject->room);
    free(subject);
}

uint64_t subject_value(struct subject *subject, const void *text, size_t length)
{
    uint64_t value = plan_value_number(subject->plan, text, length, subject->room);
    if (value == PLAN_VALUE_FOREIGN) {
        char *out = subject->lane->foreign;
        size_t shown = length < LANE_TEXT_SIZE - 1 ? length : LANE_TEXT_SIZE - 1;
        for (size_t i = 0; i < shown; i++) {
            char byte = ((const char *)text)[i];
            out[i] = byte > ' ' && byte <= '~' ? byte : '?';
        }
        out[shown] = '\0';
    }
    return value;
}

int subject_pair(struct subject *subject, const struct call *call, struct answer *answer,
                 const void *key, size_t key_length, const void *value, size_t value_length,
                 uint64_t *last, struct error *error)
{
    uint64_t number = plan_key_number(subject->plan, key, key_length);
    if (number < call->key || number >= call->key + call->keys || number <= *last)
        return error_set(error, CAIRN_EPROTO, "a scan shows a key out of order or range: %.*s",
                         (int)(key_length < 200 ? key_length : 200), (const char *)key);
    answer->values[number - call->key] = subject_value(subject, value, value_length);
    *last = number;
    return 0;
}
