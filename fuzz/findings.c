/* Prints findings as histories with texts for keys and values. */
#include "fuzz/findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/history_file.h"

enum { SHOWN_MAX = 200 };

struct texts {
    struct history history;
    const struct plan *plan;
    const char *foreign;
};

/* The number of the value's text among the history's; 0 for none, and without memory. */
static uint64_t name_value(struct texts *texts, uint64_t value)
{
    char name[PLAN_VALUE_SHORT], long_name[PLAN_VALUE_SHORT * 4];
    if (value == 0 || value == OPERATION_NO_RESULT)
        return value;
    plan_value_name(value, name);
    if (value != PLAN_VALUE_FOREIGN)
        return names_number(&texts->history.values, name);
    (void)snprintf(long_name, sizeof(long_name), "\"%s\"%s", texts->foreign, name);
    return names_number(&texts->history.values, long_name);
}

/* The value of an answer, or what is none. */
static uint64_t name_result(struct texts *texts, const struct operation *operation)
{
    bool shows = operation->kind == OPERATION_GET || operation->kind == OPERATION_SWAP;
    return shows ? name_value(texts, operation->result) : operation->result;
}

static int name_operation(struct texts *texts, const struct operation *operation,
                          struct operation *named)
{
    char key[PLAN_KEY_SIZE];
    plan_key_text(texts->plan, operation->key, key);
    *named = *operation;
    named->key = names_number(&texts->history.keys, key);
    named->value = name_value(texts, operation->value);
    named->result = name_result(texts, operation);
    return named->key == 0 ? CAIRN_ENOMEM : 0;
}

/* What was written before a cut is forgotten. */
static const char *reason_of(const struct finding *finding)
{
    if (finding->later && strcmp(finding->reason, "a value was seen that nobody wrote") == 0)
        return "a value was seen that had been overwritten before, or that nobody wrote";
    return finding->reason;
}

static void say_state(struct output *output, const struct finding *finding)
{
    char name[PLAN_VALUE_SHORT];
    plan_value_name(finding->initial.value, name);
    if (finding->initial.value == 0)
        output_say(output, "  at first the key is absent");
    else if (finding->initial.version == 0)
        output_say(output, "  at first the key holds %s", name);
    else
        output_say(output, "  at first the key holds %s (version %llu)", name,
                   (unsigned long long)finding->initial.version);
}

static int say_operation(struct output *output, struct texts *texts,
                         const struct operation *operation, uint64_t origin_ns, bool marked)
{
    struct operation named;
    char *line = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&line, &length);
    if (memory == NULL)
        return CAIRN_ENOMEM;
    int status = name_operation(texts, operation, &named);
    if (status == 0)
        history_print(&texts->history, &named, origin_ns, memory);
    if (fclose(memory) != 0 && status == 0)
        status = CAIRN_ENOMEM;
    if (status == 0)
        output_say(output, "%c %.*s", marked ? '>' : ' ', (int)strcspn(line, "\n"), line);
    free(line);
    return status;
}

int findings_say(struct output *output, const struct plan *plan, const struct finding *finding,
                 const char *foreign, struct error *error)
{
    struct texts texts = {.plan = plan, .foreign = foreign};
    char key[PLAN_KEY_SIZE];
    size_t first = finding->count > SHOWN_MAX ? finding->count - SHOWN_MAX : 0;
    uint64_t origin_ns = finding->count > 0 ? finding->operations[0].start_ns : 0;
    int status = 0;
    plan_key_text(plan, finding->key, key);
    output_say(output, "%s: key %s: %s", verdict_text(finding->verdict), key, reason_of(finding));
    if (finding->until_ns != OPERATION_OPEN)
        output_say(output, "nothing explains the answer marked with >, together with the others; "
                           "times in ns from the first");
    say_state(output, finding);
    if (first > 0)
        output_say(output, "  (%zu earlier operations)", first);
    for (size_t i = first; status == 0 && i < finding->count; i++)
        status = say_operation(output, &texts, &finding->operations[i], origin_ns,
                               finding->operations[i].end_ns == finding->until_ns &&
                                   finding->until_ns != OPERATION_OPEN);
    history_free(&texts.history);
    return status == 0 ? 0 : error_set(error, status, "findings: out of memory");
}
