/* Calls into the system that fail, for a program that this is preloaded into: which one, the file
 * that FAIL_NTH names says (fail_nth.h). A crash of the program is noted there too, with its stack.
 * A sync that fails loses what was written before it (fail_unsynced.h). */
#define _GNU_SOURCE
#include "fail_nth.h"

#include "fail_unsynced.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <liburing.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct fail_control *control;
/* volatile: the header says of dlsym that it calls nothing of this file, but it may allocate. */
static _Thread_local volatile bool inside __attribute__((tls_model("initial-exec")));

/* --- stacks ---------------------------------------------------------------- */

/* This library, as the linker marks it. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

static bool is_ours(const void *frame)
{
    return (const char *)frame >= __ehdr_start && (const char *)frame < _end;
}

/* The callers of this library. */
static void take_stack(struct fail_stack *stack)
{
    void *frames[FAIL_FRAMES + 6] = {0};
    int count = backtrace(frames, FAIL_FRAMES + 6), skipped = 0;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    while (skipped < count && is_ours(frames[skipped]))
        skipped++;
    for (int i = 0; i < FAIL_FRAMES; i++) {
        stack->frames[i] = i + skipped < count ? (uint64_t)(uintptr_t)frames[i + skipped] : 0;
        hash = (hash ^ stack->frames[i]) * UINT64_C(0x100000001b3);
    }
    stack->hash = hash | 1;
}

static void note_place(const struct fail_stack *stack)
{
    static atomic_flag busy = ATOMIC_FLAG_INIT;

    while (atomic_flag_test_and_set(&busy)) {
    }
    for (uint64_t i = 0; i < FAIL_PLACES; i++) {
        struct fail_stack *place = &control->places[(stack->hash + i) % FAIL_PLACES];
        if (place->hash == 0)
            *place = *stack;
        if (place->hash == stack->hash && place->kind == stack->kind) {
            place->count++;
            break;
        }
    }
    atomic_flag_clear(&busy);
}

/* Whether this call is the one. Keeps errno. */
static bool is_chosen(enum fail_kind kind)
{
    if (control == NULL || inside)
        return false;
    __atomic_add_fetch(&control->counts[kind], 1, __ATOMIC_RELAXED);
    bool armed = __atomic_load_n(&control->armed, __ATOMIC_ACQUIRE) != 0 && control->kind == kind;
    if (!armed && !control->noting)
        return false;
    int saved = errno;
    bool chosen = false;
    struct fail_stack stack = {.kind = kind};
    inside = true;
    if (control->noting || control->stack != 0)
        take_stack(&stack);
    if (control->noting)
        note_place(&stack);
    if (armed && (control->stack == 0 || control->stack == stack.hash)) {
        uint64_t seen = __atomic_add_fetch(&control->seen, 1, __ATOMIC_RELAXED);
        chosen = seen == control->nth || (control->forever && seen > control->nth);
    }
    if (chosen && __atomic_fetch_add(&control->fired, 1, __ATOMIC_RELAXED) == 0) {
        take_stack(&stack);
        control->failed = stack;
    }
    inside = false;
    errno = saved;
    return chosen;
}

/* The function of a library that ours stands before. */
static void *original(const char *name)
{
    bool before = inside;

    inside = true;
    void *found = dlsym(RTLD_NEXT, name);
    inside = before;
    if (found == NULL)
        abort();
    return found;
}

#define FAIL_IF(kind, number, result)                                                              \
    do {                                                                                           \
        if (is_chosen(kind)) {                                                                     \
            errno = (number);                                                                      \
            return (result);                                                                       \
        }                                                                                          \
    } while (0)

/* --- start and crash --------------------------------------------------------- */

static int note_base(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    (void)data;
    control->base = info->dlpi_addr;
    return 1; /* the first is the program */
}

static void on_crash(int number)
{
    inside = true;
    if (control->signal == 0) {
        control->signal = (uint64_t)number;
        take_stack(&control->crashed);
    }
    (signal)(number, SIG_DFL);
    raise(number);
}

/* With SIGQUIT a test asks a program that hangs where. */
static bool is_crash(int number)
{
    return number == SIGQUIT || number == SIGSEGV || number == SIGBUS || number == SIGFPE ||
           number == SIGILL;
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("FAIL_NTH");
    void *frames[2];
    struct sigaction action = {.sa_handler = on_crash};

    if (path == NULL)
        return;
    (void)backtrace(frames, 2); /* loads what it needs */
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED)
        abort();
    control = mapped;
    dl_iterate_phdr(note_base, NULL);
    for (int number = 1; number < NSIG; number++)
        if (is_crash(number))
            ((int (*)(int, const struct sigaction *, struct sigaction *))original("sigaction"))(
                number, &action, NULL);
    inside = true; /* a function that is not found has its message allocated */
    void (*choose)(const char *) =
        (void (*)(const char *))dlsym(RTLD_DEFAULT, "cmocka_set_test_filter");
    inside = false;
    if (choose != NULL && getenv("FAIL_TEST") != NULL)
        choose(getenv("FAIL_TEST"));
}

/* Test programs catch crashes to go on with the next test: here a crash ends the program. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    if (control != NULL && is_crash(number))
        action = NULL;
    return ((int (*)(int, const struct sigaction *, struct sigaction *))original("sigaction"))(
        number, action, old);
}

__sighandler_t signal(int number, __sighandler_t handler)
{
    if (control != NULL && is_crash(number) && handler != SIG_DFL)
        return SIG_DFL;
    return ((__sighandler_t(*)(int, __sighandler_t))original("signal"))(number, handler);
}

/* --- memory ------------------------------------------------------------------ */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    FAIL_IF(FAIL_ALLOC, ENOMEM, NULL);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    FAIL_IF(FAIL_ALLOC, ENOMEM, NULL);
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    FAIL_IF(FAIL_ALLOC, ENOMEM, NULL);
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    FAIL_IF(FAIL_ALLOC, ENOMEM, NULL);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **made, size_t alignment, size_t size)
{
    if (is_chosen(FAIL_ALLOC))
        return ENOMEM;
    *made = __libc_memalign(alignment, size);
    return *made != NULL ? 0 : ENOMEM;
}

/* --- calls ------------------------------------------------------------------- */

/* A function of the C library that returns -1 and sets errno. */
#define FAILING(type, name, kind, number, parameters, arguments)                                   \
    type name parameters                                                                           \
    {                                                                                              \
        FAIL_IF(kind, number, (type)-1);                                                           \
        return ((type(*) parameters)original(#name))arguments;                                     \
    }

FAILING(int, msync, FAIL_SYNC, EIO, (void *at, size_t length, int flags), (at, length, flags))
FAILING(int, rename, FAIL_RENAME, EIO, (const char *from, const char *to), (from, to))
FAILING(int, unlink, FAIL_RENAME, EIO, (const char *path), (path))
FAILING(int, mkdir, FAIL_RENAME, ENOSPC, (const char *path, mode_t mode), (path, mode))
FAILING(int, ftruncate, FAIL_SIZE, EIO, (int fd, off_t length), (fd, length))
FAILING(int, ftruncate64, FAIL_SIZE, EIO, (int fd, off64_t length), (fd, length))
FAILING(int, fallocate, FAIL_SIZE, ENOSPC, (int fd, int mode, off_t offset, off_t length),
        (fd, mode, offset, length))
FAILING(int, socket, FAIL_SOCKET, EMFILE, (int family, int type, int protocol),
        (family, type, protocol))
FAILING(int, pipe2, FAIL_SOCKET, EMFILE, (int fds[2], int flags), (fds, flags))
FAILING(int, eventfd, FAIL_SOCKET, EMFILE, (unsigned initial, int flags), (initial, flags))
FAILING(int, epoll_create1, FAIL_SOCKET, EMFILE, (int flags), (flags))
FAILING(int, accept4, FAIL_ACCEPT, EMFILE,
        (int fd, struct sockaddr *address, socklen_t *length, int flags),
        (fd, address, length, flags))
FAILING(int, connect, FAIL_CONNECT, ENETUNREACH,
        (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
FAILING(ssize_t, send, FAIL_SEND, ECONNRESET, (int fd, const void *data, size_t length, int flags),
        (fd, data, length, flags))
FAILING(ssize_t, sendmsg, FAIL_SEND, ECONNRESET, (int fd, const struct msghdr *message, int flags),
        (fd, message, flags))
FAILING(ssize_t, recv, FAIL_RECEIVE, ECONNRESET, (int fd, void *data, size_t length, int flags),
        (fd, data, length, flags))
FAILING(ssize_t, pread, FAIL_READ, EIO, (int fd, void *data, size_t length, off_t offset),
        (fd, data, length, offset))
FAILING(ssize_t, pread64, FAIL_READ, EIO, (int fd, void *data, size_t length, off64_t offset),
        (fd, data, length, offset))

/* --- files: what is written and synced -------------------------------------- */

static int sync_file(int fd, int number)
{
    const bool fails = is_chosen(FAIL_SYNC);
    int status = 0;

    if (fails) {
        unsynced_lose(fd);
        errno = EIO;
        return control->lies ? 0 : -1;
    }
    struct unsynced *before = unsynced_take(fd);
    status = (int)syscall(number, fd);
    unsynced_free(before);
    return status;
}

int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

static size_t total_of(const struct iovec *parts, int count)
{
    size_t total = 0;

    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    return total;
}

/* `at` < 0: where the file stands. */
static ssize_t write_file(int fd, const struct iovec *parts, int count, off_t at)
{
    if (is_chosen(FAIL_WRITE)) {
        errno = EIO;
        return control->lies ? (ssize_t)total_of(parts, count) : -1;
    }
    const bool kept = control != NULL && control->armed && control->kind == FAIL_SYNC;
    if (kept)
        unsynced_begin(fd, at >= 0 ? at : lseek(fd, 0, SEEK_CUR), total_of(parts, count));
    const ssize_t done = at < 0 ? syscall(SYS_writev, fd, parts, count)
                                : syscall(SYS_pwritev, fd, parts, count, at, 0);
    if (kept)
        unsynced_end();
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return write_file(fd, &(struct iovec){(void *)(uintptr_t)data, length}, 1, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    return write_file(fd, &(struct iovec){(void *)(uintptr_t)data, length}, 1, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return write_file(fd, parts, count, offset);
}

/* --- what may be a file or a connection -------------------------------------- */

static bool is_of_type(int fd, mode_t type)
{
    struct stat status;

    return control != NULL && fd > STDERR_FILENO && fstat(fd, &status) == 0 &&
           (status.st_mode & S_IFMT) == type;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (is_of_type(fd, S_IFREG))
        return write_file(fd, parts, count, -1);
    if (is_of_type(fd, S_IFSOCK))
        FAIL_IF(FAIL_SEND, ECONNRESET, -1);
    return syscall(SYS_writev, fd, parts, count);
}

ssize_t write(int fd, const void *data, size_t length)
{
    if (is_of_type(fd, S_IFREG))
        return write_file(fd, &(struct iovec){(void *)(uintptr_t)data, length}, 1, -1);
    if (is_of_type(fd, S_IFSOCK))
        FAIL_IF(FAIL_SEND, ECONNRESET, -1);
    return syscall(SYS_write, fd, data, length);
}

ssize_t read(int fd, void *data, size_t length)
{
    if (is_of_type(fd, S_IFREG))
        FAIL_IF(FAIL_READ, EIO, -1);
    if (is_of_type(fd, S_IFSOCK))
        FAIL_IF(FAIL_RECEIVE, ECONNRESET, -1);
    return syscall(SYS_read, fd, data, length);
}

static int open_with(const char *path, int flags, mode_t mode)
{
    FAIL_IF(FAIL_OPEN, EMFILE, -1);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;             \
        va_end(rest);                                                                              \
        return open_with(path, flags, mode);                                                       \
    }
OPEN(open)
OPEN(open64)

DIR *opendir(const char *path)
{
    FAIL_IF(FAIL_OPEN, EMFILE, NULL);
    return ((DIR * (*)(const char *)) original("opendir"))(path);
}

int shm_open(const char *name, int flags, mode_t mode)
{
    FAIL_IF(FAIL_OPEN, EMFILE, -1);
    return ((int (*)(const char *, int, mode_t))original("shm_open"))(name, flags, mode);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    FAIL_IF(FAIL_MMAP, ENOMEM, MAP_FAILED);
    return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset); // NOLINT
}

/* Those that return the error. */
int posix_fallocate(int fd, off_t offset, off_t length)
{
    if (is_chosen(FAIL_SIZE))
        return ENOSPC;
    return ((int (*)(int, off_t, off_t))original("posix_fallocate"))(fd, offset, length);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    if (is_chosen(FAIL_THREAD))
        return EAGAIN;
    return ((int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))original(
        "pthread_create"))(thread, attributes, run, argument);
}

/* --- io_uring ------------------------------------------------------------------ */

int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    if (is_chosen(FAIL_URING))
        return -ENOMEM;
    return ((int (*)(unsigned, struct io_uring *, unsigned))original("io_uring_queue_init"))(
        entries, ring, flags);
}

int io_uring_register_eventfd(struct io_uring *ring, int fd)
{
    if (is_chosen(FAIL_URING))
        return -ENOMEM;
    return ((int (*)(struct io_uring *, int))original("io_uring_register_eventfd"))(ring, fd);
}

/* What is submitted ends with an error: it has no descriptor. */
static void spoil(struct io_uring *ring)
{
    for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++)
        ring->sq.sqes[i & *ring->sq.kring_mask].fd = -1;
}

int io_uring_submit(struct io_uring *ring)
{
    if (is_chosen(FAIL_URING))
        return -EIO;
    if (is_chosen(FAIL_COMPLETION))
        spoil(ring);
    return ((int (*)(struct io_uring *))original("io_uring_submit"))(ring);
}
