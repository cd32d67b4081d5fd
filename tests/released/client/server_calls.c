/* A client as anyone would have written it for a release: stubs that rpcgen makes of that release's
 * server.x (proto/released), libtirpc, nothing of Cairn's own.
 *
 *     released-client HOST PORT SESSION
 *
 * Reads calls from stdin, a line each, and prints each answer on a line:
 *
 *     put KEY VALUE             put 0|1 VERSION           whether it existed, the version now
 *     putif VERSION KEY VALUE   the same, or              mismatch CURRENT
 *     get KEY                   found VERSION VALUE       or absent
 *     swap KEY VALUE            swap 0|1 VERSION OLD
 *     delete KEY                delete 0|1
 *     again                     the last mutation once more, with its number (S3)
 *     scan FROM TO P...         scan N KEY=VALUE ...      of partitions P
 *     retire P...               retire
 *     status                    status SERVER PARTITIONS COMMITTED
 *
 * Elsewhere: redirect ADDRESS where another server leads, else refused STATUS. Ends with 2 if a
 * call fails or an answer cannot be decoded. */
#include <netdb.h>
#include <netinet/in.h>
#include <rpc/rpc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server_rpc.h"

enum { LINE_MAX_BYTES = 1 << 16, WORDS = 64, PARTITIONS = 60, PAIRS = 4096, PAGE_BYTES = 1 << 20 };

static CLIENT *server;
static uint64_t session, number;

static void check(enum clnt_stat status, const char *what)
{
    if (status == RPC_SUCCESS)
        return;
    (void)fprintf(stderr, "ERROR: %s: %s\n", what, clnt_sperrno(status));
    exit(2);
}

static void say_refused(server_status status, const server_redirect *redirect)
{
    if (status == SERVER_NOT_PRIMARY)
        (void)printf("redirect %.*s\n", (int)redirect->address.cairn_address_len,
                     redirect->address.cairn_address_val);
    else
        (void)printf("refused %d\n", (int)status);
}

static cairn_key key_of(char *word)
{
    return (cairn_key){.cairn_key_len = (u_int)strlen(word), .cairn_key_val = word};
}

static cairn_value value_of(char *word)
{
    return (cairn_value){.cairn_value_len = (u_int)strlen(word), .cairn_value_val = word};
}

static void say_value(const cairn_value *value)
{
    (void)printf(" %.*s\n", (int)value->cairn_value_len,
                 value->cairn_value_len > 0 ? value->cairn_value_val : "");
}

static void get(char **words)
{
    get_args args = {.key = key_of(words[1])};
    get_result result;

    memset(&result, 0, sizeof result);
    check(server_get_1(&args, &result, server), "get");
    if (result.status == SERVER_OK) {
        (void)printf("found %llu", (unsigned long long)result.get_result_u.found.key_version);
        say_value(&result.get_result_u.found.value);
    } else if (result.status == SERVER_NOT_FOUND) {
        (void)puts("absent");
    } else {
        say_refused(result.status, &result.get_result_u.redirect);
    }
    xdr_free((xdrproc_t)xdr_get_result, &result);
}

static void put(char **words, bool_t conditional)
{
    char **rest = words + 1 + (conditional ? 1 : 0);
    put_args args = {.client = session,
                     .number = number,
                     .conditional = conditional,
                     .if_version = conditional ? strtoull(words[1], NULL, 10) : 0,
                     .key = key_of(rest[0]),
                     .value = value_of(rest[1])};
    put_result result;

    memset(&result, 0, sizeof result);
    check(server_put_1(&args, &result, server), "put");
    if (result.status == SERVER_OK)
        (void)printf("put %d %llu\n", (int)result.put_result_u.done.existed,
                     (unsigned long long)result.put_result_u.done.key_version);
    else if (result.status == SERVER_VERSION_MISMATCH)
        (void)printf("mismatch %llu\n", (unsigned long long)result.put_result_u.current_version);
    else
        say_refused(result.status, &result.put_result_u.redirect);
    xdr_free((xdrproc_t)xdr_put_result, &result);
}

static void swap(char **words)
{
    swap_args args = {
        .client = session, .number = number, .key = key_of(words[1]), .value = value_of(words[2])};
    swap_result result;

    memset(&result, 0, sizeof result);
    check(server_swap_1(&args, &result, server), "swap");
    if (result.status == SERVER_OK) {
        (void)printf("swap %d %llu", (int)result.swap_result_u.done.existed,
                     (unsigned long long)result.swap_result_u.done.key_version);
        say_value(&result.swap_result_u.done.old_value);
    } else {
        say_refused(result.status, &result.swap_result_u.redirect);
    }
    xdr_free((xdrproc_t)xdr_swap_result, &result);
}

static void delete (char **words)
{
    delete_args args = {.client = session, .number = number, .key = key_of(words[1])};
    delete_result result;

    memset(&result, 0, sizeof result);
    check(server_delete_1(&args, &result, server), "delete");
    if (result.status == SERVER_OK)
        (void)printf("delete %d\n", (int)result.delete_result_u.existed);
    else
        say_refused(result.status, &result.delete_result_u.redirect);
    xdr_free((xdrproc_t)xdr_delete_result, &result);
}

static u_int take_partitions(char **words, u_int *partitions)
{
    u_int count = 0;

    for (; words[count] != NULL && count < PARTITIONS; count++)
        partitions[count] = (u_int)strtoul(words[count], NULL, 10);
    return count;
}

static void scan(char **words)
{
    u_int partitions[PARTITIONS];
    scan_args args = {.from = key_of(words[1]),
                      .to = key_of(words[2]),
                      .limit_pairs = PAIRS,
                      .limit_bytes = PAGE_BYTES};
    scan_result result;
    const scan_page *page = &result.scan_result_u.page;

    args.partitions.partitions_len = take_partitions(words + 3, partitions);
    args.partitions.partitions_val = partitions;
    memset(&result, 0, sizeof result);
    check(server_scan_1(&args, &result, server), "scan");
    if (result.status != SERVER_OK) {
        say_refused(result.status, &result.scan_result_u.refused.redirect);
    } else {
        (void)printf("scan %u", page->pairs.pairs_len);
        for (u_int i = 0; i < page->pairs.pairs_len; i++) {
            const scan_pair *pair = &page->pairs.pairs_val[i];

            (void)printf(" %.*s=%.*s", (int)pair->key.cairn_key_len, pair->key.cairn_key_val,
                         (int)pair->value.cairn_value_len, pair->value.cairn_value_val);
        }
        (void)puts(page->more ? " more" : "");
    }
    xdr_free((xdrproc_t)xdr_scan_result, &result);
}

static void retire(char **words)
{
    u_int partitions[PARTITIONS];
    retire_args args = {.client = session};
    retire_result result;

    args.partitions.partitions_len = take_partitions(words + 1, partitions);
    args.partitions.partitions_val = partitions;
    memset(&result, 0, sizeof result);
    check(server_retire_1(&args, &result, server), "retire");
    (void)(result.status == SERVER_OK ? printf("retire\n")
                                      : printf("refused %d\n", (int)result.status));
}

static void say_status(void)
{
    status_args args = {.cluster = 0};
    status_result result;
    const server_report *report = &result.status_result_u.report;
    unsigned long long committed = 0;

    memset(&result, 0, sizeof result);
    check(server_status_1(&args, &result, server), "status");
    if (result.status != SERVER_OK) {
        (void)printf("refused %d\n", (int)result.status);
    } else {
        for (u_int i = 0; i < report->partitions.partitions_len; i++)
            committed += report->partitions.partitions_val[i].commit_index;
        (void)printf("status %u %u %llu\n", report->server, report->partitions.partitions_len,
                     committed);
    }
    xdr_free((xdrproc_t)xdr_status_result, &result);
}

static int count_words(char *line, char **words)
{
    char *rest = NULL;
    int count = 0;

    for (char *word = strtok_r(line, " \n", &rest); word != NULL && count < WORDS;
         word = strtok_r(NULL, " \n", &rest))
        words[count++] = word;
    words[count] = NULL;
    return count;
}

static void mutate(char **words)
{
    if (strcmp(words[0], "put") == 0)
        put(words, FALSE);
    else if (strcmp(words[0], "putif") == 0)
        put(words, TRUE);
    else if (strcmp(words[0], "swap") == 0)
        swap(words);
    else
        delete (words);
}

/* How many words a mutation has; 0: it is none. */
static int mutation_words(const char *verb)
{
    static const struct {
        const char *verb;
        int words;
    } all[] = {{"put", 3}, {"putif", 4}, {"swap", 3}, {"delete", 2}};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(verb, all[i].verb) == 0)
            return all[i].words;
    return 0;
}

static void call(char *line, char *last, size_t size)
{
    char copy[LINE_MAX_BYTES], *words[WORDS + 1];
    const int again = strncmp(line, "again", strlen("again")) == 0;
    int count;

    (void)snprintf(copy, sizeof copy, "%s", again ? last : line);
    count = count_words(copy, words);
    if (count > 0 && count == mutation_words(words[0])) {
        (void)snprintf(last, size, "%s", again ? copy : line);
        number += again ? 0 : 1;
        mutate(words);
    } else if (count == 2 && strcmp(words[0], "get") == 0) {
        get(words);
    } else if (count > 3 && strcmp(words[0], "scan") == 0) {
        scan(words);
    } else if (count > 1 && strcmp(words[0], "retire") == 0) {
        retire(words);
    } else if (count == 1 && strcmp(words[0], "status") == 0) {
        say_status();
    } else {
        (void)fprintf(stderr, "ERROR: not a call: %s", line);
        exit(2);
    }
    (void)fflush(stdout);
}

static CLIENT *connect_to(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct sockaddr_in address;
    int fd = RPC_ANYSOCK;

    if (getaddrinfo(host, port, &hints, &found) != 0)
        return NULL;
    memcpy(&address, found->ai_addr, sizeof address);
    freeaddrinfo(found);
    return clnttcp_create(&address, CAIRN_SERVER, CAIRN_SERVER_V1, &fd, 0, 0);
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_BYTES], last[LINE_MAX_BYTES];

    server = argc == 4 ? connect_to(argv[1], argv[2]) : NULL;
    if (server == NULL) {
        (void)fprintf(stderr, "ERROR: usage: %s HOST PORT SESSION; or cannot connect\n", argv[0]);
        return 2;
    }
    session = strtoull(argv[3], NULL, 10);
    while (fgets(line, sizeof line, stdin) != NULL)
        call(line, last, sizeof last);
    clnt_destroy(server);
    return 0;
}
