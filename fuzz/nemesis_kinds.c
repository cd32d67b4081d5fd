/* The names of the nemesis' kinds, and sets of them as text. */
#include <string.h>

#include "base/check.h"
#include "fuzz/nemesis.h"

static const char *const names[NEMESIS_KINDS] = {
    [NEMESIS_KILL] = "kill",
    [NEMESIS_PAUSE] = "pause",
    [NEMESIS_PARTITION] = "partition",
    [NEMESIS_SLOW_DISK] = "slow-disk",
    [NEMESIS_DISK_FULL] = "disk-full",
    [NEMESIS_CLOCK] = "clock",
    [NEMESIS_RESTART_MANAGER] = "restart-manager",
    [NEMESIS_MOVE] = "move",
};

const char *nemesis_kind_name(enum nemesis_kind kind)
{
    CHECK((int)kind >= 0 && kind < NEMESIS_KINDS);
    return names[kind];
}

const char *nemesis_kind_names(void)
{
    return "kill,pause,partition,slow-disk,disk-full,clock,restart-manager,move";
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool take_word(const char *text, size_t length, struct nemesis_kinds *kinds)
{
    for (uint32_t kind = 0; kind < NEMESIS_KINDS; kind++)
        if (is_word(text, length, names[kind])) {
            kinds->bits |= 1U << kind;
            return true;
        }
    return false;
}

int nemesis_parse(const char *text, struct nemesis_kinds *kinds, struct error *error)
{
    *kinds = (struct nemesis_kinds){.bits = 0};
    if (strcmp(text, "none") == 0 || text[0] == 0)
        return 0;
    if (strcmp(text, "all") == 0) {
        *kinds = (struct nemesis_kinds){.bits = (1U << NEMESIS_KINDS) - 1, .where_usable = true};
        return 0;
    }
    for (;;) {
        size_t length = strcspn(text, ",");
        if (!take_word(text, length, kinds)) {
            *kinds = (struct nemesis_kinds){.bits = 0};
            return error_set(
                error, CAIRN_EINVAL,
                "nemesis %.*s: no such kind; there are %s, all of them as \"all\", and "
                "\"none\"",
                (int)(length < 64 ? length : 64), text, nemesis_kind_names());
        }
        if (text[length] == 0)
            return 0;
        text += length + 1;
    }
}
