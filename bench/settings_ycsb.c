/* Takes YCSB's words from the command line and reads the files that they name. */
#include "bench/settings_ycsb.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *word, *property;
} WORDS[] = {{"-P", NULL}, {"-p", ""}, {"-threads", "threadcount"}, {"-target", "target"}};

enum { WORD_COUNT = sizeof(WORDS) / sizeof(WORDS[0]) };

static enum ycsb_phase phase_of(const char *word)
{
    return word != NULL && strcmp(word, "load") == 0  ? YCSB_LOAD
           : word != NULL && strcmp(word, "run") == 0 ? YCSB_RUN
                                                      : YCSB_NONE;
}

/* Takes argv[*at] if it is YCSB's, with its value. */
static int take(char **argv, int *at, enum ycsb_phase phase, struct ycsb_words *words, bool *taken,
                struct error *error)
{
    const char *word = argv[*at];
    *taken = strcmp(word, "-s") == 0 || strcmp(word, "-t") == 0;
    if (strcmp(word, "-s") == 0)
        words->progress = true;
    if (strcmp(word, "-t") == 0 && phase == YCSB_LOAD)
        return error_set(error, CAIRN_EINVAL, "-t: does operations, which load does not");
    for (size_t i = 0; i < WORD_COUNT; i++) {
        if (strcmp(word, WORDS[i].word) != 0)
            continue;
        if (argv[*at + 1] == NULL)
            return error_set(error, CAIRN_EINVAL, "%s: needs a value", word);
        if (words->count == YCSB_WORDS_MAX)
            return error_set(error, CAIRN_EINVAL, "%s: given too often", word);
        words->list[words->count].property = WORDS[i].property;
        words->list[words->count++].text = argv[++*at];
        *taken = true;
    }
    return 0;
}

int ycsb_take_words(int *argc, char **argv, enum ycsb_phase *phase, struct ycsb_words *words,
                    struct error *error)
{
    int kept = 1;
    *words = (struct ycsb_words){0};
    *phase = *argc > 1 ? phase_of(argv[1]) : YCSB_NONE;
    if (*phase == YCSB_NONE)
        return 0;
    for (int i = 2; i < *argc; i++) {
        bool taken;
        int status = take(argv, &i, *phase, words, &taken, error);
        if (status != 0)
            return status;
        if (!taken)
            argv[kept++] = argv[i];
    }
    *argc = kept;
    argv[kept] = NULL;
    return 0;
}

/* Where the program was installed, or built. */
static const char *const PLACES[] = {"../share/cairn/workloads", "../bench/workloads"};

/* `a` and `workloada` are the same. */
static int find_workload(const char *name, char path[PATH_MAX], struct error *error)
{
    char program[PATH_MAX / 2];
    const char *letter = strncmp(name, "workload", 8) == 0 ? name + 8 : name;
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash != NULL)
        *slash = '\0';
    for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
        snprintf(path, PATH_MAX, "%s/%s/workload%.64s", program, PLACES[i], letter);
        if (access(path, R_OK) == 0)
            return 0;
    }
    snprintf(path, PATH_MAX, "bench/workloads/workload%.64s", letter);
    if (strchr(name, '/') == NULL && access(path, R_OK) == 0)
        return 0;
    return error_set(error, CAIRN_EINVAL, "--workload %s: not one of a, b, c, d, e, f", name);
}

static int read_word(const struct ycsb_words *words, size_t index, struct properties *properties,
                     struct error *error)
{
    const char *property = words->list[index].property, *text = words->list[index].text;
    if (property == NULL)
        return properties_read(properties, text, error);
    if (property[0] == '\0')
        return properties_parse(properties, text, error);
    return properties_set(properties, property, text, error);
}

int ycsb_read_words(const struct ycsb_words *words, const char *workload,
                    struct properties *properties, struct error *error)
{
    char path[PATH_MAX];
    int status = 0;
    properties->count = 0;
    if (workload != NULL) {
        status = find_workload(workload, path, error);
        if (status == 0)
            status = properties_read(properties, path, error);
    }
    for (size_t i = 0; i < words->count && status == 0; i++)
        status = read_word(words, i, properties, error);
    return status;
}
