/* See tries.h. */
#include "tests/crash/tries.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

enum {
    PATH_LIMIT = 4096,
    TEXT_LIMIT = 600,
    OPEN_LIMIT = 16,
    TRY_SECONDS = 60,
    TOLD_LIMIT = 12,      /* lines of each outcome and worker */
    TWICE_ONE_IN = 8,     /* so many are started a second time */
    REMOVE_ATTEMPTS = 50, /* a killed child's files may still appear */
};

/* Shared by the workers. */
struct tally {
    _Atomic uint64_t boundaries, outcomes[RECOVERY_OUTCOMES], losses[DISK_LOSSES];
};

/* What a child says. */
struct answer {
    enum recovery_outcome outcome;
    char text[TEXT_LIMIT];
};

struct worker {
    const struct tries *tries;
    struct tally *tally;
    struct disk disk;
    uint32_t number;
    uint64_t chance; /* of 2^32, that a state is tried */
    uint64_t told[RECOVERY_OUTCOMES];
    char image[PATH_LIMIT], data[PATH_LIMIT], errors[PATH_LIMIT];
};

static const char *const outcome_names[RECOVERY_OUTCOMES] = {
    [RECOVERY_KEPT] = "kept",
    [RECOVERY_REFUSED] = "refused",
    [RECOVERY_LOST] = "lost",
    [RECOVERY_BROKE] = "broke",
};
static const char *const loss_names[DISK_LOSSES] = {
    [DISK_DROP] = "drop",
    [DISK_KEEP] = "keep",
    [DISK_PREFIX] = "prefix",
    [DISK_SCATTER] = "scatter",
};

/* --- one try -----------------------------------------------------------------------------------
 */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void empty_image(const struct worker *worker)
{
    for (int i = 0; i < REMOVE_ATTEMPTS; i++)
        if (nftw(worker->image, remove_one, OPEN_LIMIT, FTW_DEPTH | FTW_PHYS) == 0 ||
            errno == ENOENT)
            break;
    if (mkdir(worker->image, 0700) != 0) {
        fprintf(stderr, "ERROR: %s: %s\n", worker->image, strerror(errno));
        abort();
    }
}

/* In the child. */
static _Noreturn void answer(const struct worker *worker, struct recovery_task *task, int to)
{
    struct answer answer = {.outcome = RECOVERY_BROKE};
    struct stat status;
    int errors = open(worker->errors, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(errors, STDERR_FILENO);
    alarm(TRY_SECONDS);
    log_set_level(LOG_ERROR);
    if (stat(task->directory, &status) != 0)
        CHECK(mkdir(task->directory, 0700) == 0); /* the node would make it */
    answer.outcome = recovery_try(task, answer.text, sizeof answer.text);
    _exit(write(to, &answer, sizeof answer) == (ssize_t)sizeof answer ? 0 : 1);
}

/* What the child said last, without its lines' ends. */
static void read_errors(const struct worker *worker, char *text, size_t limit)
{
    int fd = open(worker->errors, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, limit - 1);
    text[length > 0 ? length : 0] = '\0';
    for (char *at = text; (at = strchr(at, '\n')) != NULL;)
        *at = ' ';
    if (fd >= 0)
        close(fd);
}

static struct answer start_on_image(const struct worker *worker, struct recovery_task *task)
{
    struct answer said = {.outcome = RECOVERY_BROKE};
    char errors[TEXT_LIMIT / 2];
    int ends[2], status;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        answer(worker, task, ends[1]);
    close(ends[1]);
    ssize_t got = read(ends[0], &said, sizeof said);
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child);
    if (got == (ssize_t)sizeof said && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return said;
    read_errors(worker, errors, sizeof errors);
    said.outcome = RECOVERY_BROKE;
    snprintf(said.text, sizeof said.text, "ended with status %#x: %s", (unsigned)status, errors);
    return said;
}

static enum disk_loss loss_of(uint32_t variant)
{
    return variant < DISK_SCATTER ? (enum disk_loss)variant : DISK_SCATTER;
}

static void seed_variant(struct random *random, uint64_t seed, uint64_t event, uint32_t variant)
{
    random_seed(random, seed * UINT64_C(1000003) + event * TRIES_VARIANTS + variant);
}

static void tell(struct worker *worker, uint64_t event, uint32_t variant, const struct answer *said)
{
    if (worker->told[said->outcome]++ >= TOLD_LIMIT)
        return;
    fprintf(stderr, "%s: %s, event %" PRIu64 ", variant %u (%s): %s\n",
            outcome_names[said->outcome], worker->tries->node, event, variant,
            loss_names[loss_of(variant)], said->text);
}

/* `number`: of the last event before the node's next one: what was acknowledged by then counts.
 * Returns the image's digest. */
static uint64_t try_variant(struct worker *worker, uint64_t event, uint64_t number,
                            uint32_t variant, const uint64_t *digests)
{
    const struct tries *tries = worker->tries;
    struct random random;
    seed_variant(&random, tries->seed, event, variant);
    empty_image(worker);
    uint64_t digest =
        disk_image(&worker->disk, tries->node, loss_of(variant), &random, worker->image);
    for (uint32_t i = 0; i < variant; i++)
        if (digests[i] == digest)
            return digest;
    struct recovery_task task = tries->task;
    task.directory = worker->data;
    task.number = number;
    task.starts = random_below(&random, TWICE_ONE_IN) == 0 ? 2 : 1;
    struct answer said = start_on_image(worker, &task);
    worker->tally->outcomes[said.outcome]++;
    worker->tally->losses[loss_of(variant)]++;
    if (said.outcome != RECOVERY_KEPT)
        tell(worker, event, variant, &said);
    return digest;
}

/* --- all of them -------------------------------------------------------------------------------
 */

/* The same choice whatever else is tried. */
static bool is_wanted(const struct worker *worker, uint64_t event, uint32_t variant)
{
    const struct tries *tries = worker->tries;
    struct random random;
    if (tries->only_event != 0 && event != tries->only_event)
        return false;
    if (tries->only_variant >= 0 && variant != (uint32_t)tries->only_variant)
        return false;
    seed_variant(&random, ~tries->seed, event, variant);
    return tries->only_event != 0 || random_below(&random, UINT64_C(1) << 32) < worker->chance;
}

/* Where nothing is pending there is one thing that can be left. */
static void try_boundary(struct worker *worker, uint64_t event, uint64_t number)
{
    uint64_t digests[TRIES_VARIANTS] = {0};
    uint32_t variants =
        disk_pending(&worker->disk, worker->tries->node) == 0 ? 1 : worker->tries->variants;
    bool any = false;
    for (uint32_t variant = 0; variant < variants; variant++) {
        if (!is_wanted(worker, event, variant))
            continue;
        digests[variant] = try_variant(worker, event, number, variant, digests);
        any = true;
    }
    worker->tally->boundaries += any ? 1 : 0;
}

static bool is_boundary(const struct tries *tries, const struct event *event)
{
    return event->head.slot == tries->slot && event->head.kind != EVENT_START;
}

/* The last event before the slot's next one. */
static uint64_t reach(const struct tries *tries, size_t from)
{
    const struct recording *recording = tries->recording;
    size_t i = from + 1;
    while (i < recording->count && recording->events[i].head.slot != tries->slot)
        i++;
    return recording->events[i - 1].head.number;
}

static void work(struct worker *worker)
{
    const struct tries *tries = worker->tries;
    uint64_t boundary = 0;
    snprintf(worker->image, sizeof worker->image, "%s/%u", tries->images, worker->number);
    snprintf(worker->errors, sizeof worker->errors, "%s/%u.errors", tries->images, worker->number);
    int length = snprintf(worker->data, sizeof worker->data, "%s/%u/%s", tries->images,
                          worker->number, tries->node);
    CHECK(length > 0 && (size_t)length < sizeof worker->data);
    worker->disk.lie = tries->lie;
    for (size_t i = 0; i < tries->recording->count && i + 1 < tries->until; i++) {
        const struct event *event = &tries->recording->events[i];
        disk_apply(&worker->disk, event);
        if (is_boundary(tries, event) && i + 1 >= tries->from &&
            boundary++ % tries->jobs == worker->number)
            try_boundary(worker, event->head.number, reach(tries, i));
    }
    nftw(worker->image, remove_one, OPEN_LIMIT, FTW_DEPTH | FTW_PHYS);
    unlink(worker->errors);
}

static uint64_t count_states(const struct tries *tries)
{
    uint64_t count = 0;
    struct disk disk = {.lie = tries->lie};
    for (size_t i = 0; i < tries->recording->count; i++) {
        disk_apply(&disk, &tries->recording->events[i]);
        if (is_boundary(tries, &tries->recording->events[i]))
            count += disk_pending(&disk, tries->node) == 0 ? 1 : tries->variants;
    }
    return count;
}

static void report(const struct tries *tries, const struct tally *tally)
{
    printf("{\"node\": \"%s\", \"events\": %zu, \"acknowledged\": %zu, \"boundaries\": %" PRIu64,
           tries->node, tries->recording->count, recovery_acknowledged(tries->task.marks),
           tally->boundaries);
    for (int i = 0; i < RECOVERY_OUTCOMES; i++)
        printf(", \"%s\": %" PRIu64, outcome_names[i], tally->outcomes[i]);
    for (int i = 0; i < DISK_LOSSES; i++)
        printf(", \"%s\": %" PRIu64, loss_names[i], tally->losses[i]);
    printf("}\n");
}

bool tries_run(const struct tries *tries)
{
    struct tally *tally =
        mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(tally != MAP_FAILED && tries->variants <= TRIES_VARIANTS);
    uint64_t states = tries->limit == 0 ? 0 : count_states(tries), chance = UINT64_C(1) << 32;
    if (states > tries->limit)
        chance = (uint64_t)((double)chance * (double)tries->limit / (double)states);
    pid_t children[TRIES_JOBS];
    for (uint32_t i = 0; i < tries->jobs; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] != 0)
            continue;
        struct worker worker = {.tries = tries, .tally = tally, .number = i, .chance = chance};
        work(&worker);
        exit(0);
    }
    bool fine = true;
    for (uint32_t i = 0; i < tries->jobs; i++) {
        int status;
        CHECK(waitpid(children[i], &status, 0) == children[i]);
        fine &= status == 0;
    }
    report(tries, tally);
    return fine && tally->outcomes[RECOVERY_LOST] + tally->outcomes[RECOVERY_BROKE] == 0;
}

void tries_write(const struct tries *tries, const char *out)
{
    struct disk disk = {.lie = tries->lie};
    struct random random;
    uint32_t variant = tries->only_variant < 0 ? 0 : (uint32_t)tries->only_variant;
    for (size_t i = 0; i < tries->recording->count && i < tries->only_event; i++)
        disk_apply(&disk, &tries->recording->events[i]);
    seed_variant(&random, tries->seed, tries->only_event, variant);
    disk_image(&disk, NULL, loss_of(variant), &random, out);
}
