/* A client that rpcgen made from server.x, with libtirpc's own transport, uses our server: puts and
 * gets in a table in memory, binary lengths, many clients at once; rpcinfo sees the NULL procedure.
 */
#include <sys/wait.h>

#include "tests/unit/rpc_fixture.h"

enum { PAIRS = 64, OUTPUT_MAX = 70000 };

struct pair {
    uint8_t key[CAIRN_KEY_LIMIT];
    uint32_t key_length;
    uint8_t *value;
    uint32_t value_length;
};

struct table {
    struct pair pairs[PAIRS];
    size_t count;
};

static struct pair *find(struct table *table, const cairn_key *key)
{
    for (size_t i = 0; i < table->count; i++) {
        struct pair *pair = &table->pairs[i];
        if (pair->key_length == key->length && memcmp(pair->key, key->data, key->length) == 0) {
            return pair;
        }
    }
    return NULL;
}

static void table_put(void *context, struct rpc_call *call, const void *untyped)
{
    struct table *table = context;
    const put_args *args = untyped;
    put_result result = {.status = SERVER_OK};
    struct pair *pair = find(table, &args->key);
    result.put_result_u.done.existed = pair != NULL;
    if (pair == NULL) {
        assert_true(table->count < PAIRS);
        pair = &table->pairs[table->count++];
        memcpy(pair->key, args->key.data, args->key.length);
        pair->key_length = args->key.length;
    }
    free(pair->value);
    pair->value = malloc(args->value.length + 1);
    assert_non_null(pair->value);
    if (args->value.length > 0) {
        memcpy(pair->value, args->value.data, args->value.length);
    }
    pair->value_length = args->value.length;
    rpc_reply(call, &result);
}

static void table_get(void *context, struct rpc_call *call, const void *untyped)
{
    const get_args *args = untyped;
    const struct pair *pair = find(context, &args->key);
    get_result result = {.status = SERVER_NOT_FOUND};
    if (pair != NULL) {
        result.status = SERVER_OK;
        result.get_result_u.found = (get_found){.value = {pair->value, pair->value_length}};
    } else {
        result.get_result_u.message = view_of_text("no such key");
    }
    rpc_reply(call, &result);
}

static const rpc_handler handlers[] = {
    [SERVER_GET] = table_get, [SERVER_PUT] = table_put, [SERVER_RETIRE] = NULL};

/* The directory of this program, where the client lies too. */
static void client_path(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 32);
    assert_true(length > 0);
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    assert_non_null(slash);
    (void)snprintf(slash + 1, 31, "rpcgen-client");
}

struct child {
    pid_t pid;
    int output;
    char text[OUTPUT_MAX];
    size_t length;
};

static void start(struct child *child, const char *const *arguments)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    child->length = 0;
    child->output = ends[0];
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        (void)dup2(ends[1], 1);
        execv(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(ends[1]);
    assert_int_equal(fcntl(child->output, F_SETFL, O_NONBLOCK), 0);
}

static void start_client(struct fixture *fixture, struct child *child, const char *verb,
                         const char *key, const char *value)
{
    char path[4096];
    char port[8];
    client_path(path, sizeof path);
    (void)snprintf(port, sizeof port, "%u", (unsigned)fixture->port);
    const char *const arguments[] = {path, "127.0.0.1", port, verb, key, value, NULL};
    start(child, arguments);
}

/* Serves until the child has ended; its exit status. */
static int finish(struct fixture *fixture, struct child *child)
{
    int status = 0;
    uint64_t end_ms = clock_now_ms() + WAIT_MS;
    ssize_t got;
    do {
        fixture_run(fixture);
        got = read(child->output, child->text + child->length, OUTPUT_MAX - 1 - child->length);
        child->length += got > 0 ? (size_t)got : 0;
        assert_true(clock_now_ms() < end_ms);
    } while (got != 0);
    child->text[child->length] = '\0';
    close(child->output);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int run_client(struct fixture *fixture, struct child *child, const char *verb,
                      const char *key, const char *value)
{
    start_client(fixture, child, verb, key, value);
    return finish(fixture, child);
}

static struct fixture *open_table(struct table *table)
{
    struct fixture *fixture = fixture_open(NULL);
    fixture->service.handlers = handlers;
    fixture->service.context = table;
    return fixture;
}

static void close_table(struct fixture *fixture, struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->pairs[i].value);
    }
    fixture_close(fixture);
}

static void a_plain_client_puts_and_gets(void **state)
{
    static struct table table;
    static struct child child;
    static char large[60001];
    struct fixture *fixture = open_table(&table);
    (void)state;
    assert_int_equal(run_client(fixture, &child, "null", NULL, NULL), 0);
    assert_string_equal(child.text, "NULL\n");
    assert_int_equal(run_client(fixture, &child, "get", "k", NULL), 1);
    assert_string_equal(child.text, "");
    assert_int_equal(run_client(fixture, &child, "put", "k", "one"), 0);
    assert_string_equal(child.text, "PUT k not_found\n");
    assert_int_equal(run_client(fixture, &child, "put", "k", "second"), 0);
    assert_string_equal(child.text, "PUT k found\n");
    assert_int_equal(run_client(fixture, &child, "get", "k", NULL), 0);
    assert_string_equal(child.text, "second\n");
    assert_int_equal(run_client(fixture, &child, "put", "empty", ""), 0);
    assert_int_equal(run_client(fixture, &child, "get", "empty", NULL), 0);
    assert_string_equal(child.text, "\n");
    /* libtirpc sends what exceeds its buffer in fragments */
    memset(large, 'L', sizeof large - 1);
    assert_int_equal(run_client(fixture, &child, "put", "large", large), 0);
    assert_int_equal(run_client(fixture, &child, "get", "large", NULL), 0);
    assert_int_equal(child.length, sizeof large);
    assert_memory_equal(child.text, large, sizeof large - 1);
    close_table(fixture, &table);
}

static void many_plain_clients_at_once(void **state)
{
    enum { CLIENTS = 10 };
    static struct table table;
    static struct child children[CLIENTS];
    char key[16];
    struct fixture *fixture = open_table(&table);
    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        start_client(fixture, &children[i], "put", key, key);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(finish(fixture, &children[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        char expected[20];
        (void)snprintf(key, sizeof key, "key%d", i);
        (void)snprintf(expected, sizeof expected, "key%d\n", i);
        assert_int_equal(run_client(fixture, &children[i], "get", key, NULL), 0);
        assert_string_equal(children[i].text, expected);
    }
    assert_int_equal(table.count, CLIENTS);
    close_table(fixture, &table);
}

/* rpcinfo belongs to the package rpcbind, which nothing else needs; the NULL call above is the same
 * question asked by libtirpc. */
static void rpcinfo_sees_the_null_procedure(void **state)
{
    static struct table table;
    static struct child child;
    static const char rpcinfo[] = "/usr/sbin/rpcinfo";
    char address[32];
    struct fixture *fixture = open_table(&table);
    (void)state;
    (void)snprintf(address, sizeof address, "127.0.0.1.%u.%u", fixture->port >> 8U,
                   fixture->port & 0xffU);
    if (access(rpcinfo, X_OK) == 0) {
        const char *const arguments[] = {rpcinfo, "-a", address, "-T", "tcp", "748748802", NULL};
        assert_int_equal(CAIRN_SERVER, 748748802);
        start(&child, arguments);
        assert_int_equal(finish(fixture, &child), 0);
        assert_string_equal(child.text, "program 748748802 version 1 ready and waiting\n");
    } else {
        assert_int_equal(run_client(fixture, &child, "null", NULL, NULL), 0);
    }
    close_table(fixture, &table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_client_puts_and_gets),
        cmocka_unit_test(many_plain_clients_at_once),
        cmocka_unit_test(rpcinfo_sees_the_null_procedure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
