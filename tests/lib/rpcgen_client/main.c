/* A plain rpcgen client: generated stubs and libtirpc's clnt_call, nothing of Cairn's own.
 *
 *     rpcgen-client HOST PORT put KEY VALUE | get KEY | null
 *
 * It proves that any ONC RPC client can use a server. Exit: 0 done, 1 not found, 2 anything else.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <rpc/rpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "plain/server_rpc.h"

enum { DONE = 0, NOT_FOUND = 1, FAILED = 2 };

static CLIENT *connect_to(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct sockaddr_in address;
    int fd = RPC_ANYSOCK;
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0) {
        (void)fprintf(stderr, "ERROR: %s:%s: %s\n", host, port, gai_strerror(rc));
        return NULL;
    }
    memcpy(&address, found->ai_addr, sizeof address);
    freeaddrinfo(found);
    CLIENT *client = clnttcp_create(&address, CAIRN_SERVER, CAIRN_SERVER_V1, &fd, 0, 0);
    if (client == NULL) {
        clnt_pcreateerror("ERROR: cannot connect");
    }
    return client;
}

static int refused(server_status status)
{
    (void)fprintf(stderr, "ERROR: the server answered with status %d\n", (int)status);
    return FAILED;
}

static int put(CLIENT *client, char *key, char *value)
{
    put_args args;
    put_result result;
    memset(&args, 0, sizeof args);
    memset(&result, 0, sizeof result);
    if (getrandom(&args.client, sizeof args.client, 0) != (ssize_t)sizeof args.client) {
        return FAILED;
    }
    args.client |= 1;
    args.number = 1;
    args.key.cairn_key_val = key;
    args.key.cairn_key_len = (u_int)strlen(key);
    args.value.cairn_value_val = value;
    args.value.cairn_value_len = (u_int)strlen(value);
    enum clnt_stat status = server_put_1(&args, &result, client);
    if (status != RPC_SUCCESS) {
        (void)fprintf(stderr, "ERROR: put: %s\n", clnt_sperrno(status));
        return FAILED;
    }
    int code = DONE;
    if (result.status == SERVER_OK) {
        (void)printf("PUT %s %s\n", key, result.put_result_u.done.existed ? "found" : "not_found");
    } else {
        code = refused(result.status);
    }
    xdr_free((xdrproc_t)(void (*)(void))xdr_put_result, &result);
    return code;
}

static int get(CLIENT *client, char *key)
{
    get_args args;
    get_result result;
    memset(&args, 0, sizeof args);
    memset(&result, 0, sizeof result);
    args.key.cairn_key_val = key;
    args.key.cairn_key_len = (u_int)strlen(key);
    enum clnt_stat status = server_get_1(&args, &result, client);
    if (status != RPC_SUCCESS) {
        (void)fprintf(stderr, "ERROR: get: %s\n", clnt_sperrno(status));
        return FAILED;
    }
    int code = DONE;
    if (result.status == SERVER_OK) {
        const cairn_value *value = &result.get_result_u.found.value;
        if (value->cairn_value_len > 0) { /* else XDR leaves the pointer NULL */
            (void)fwrite(value->cairn_value_val, 1, value->cairn_value_len, stdout);
        }
        (void)putchar('\n');
    } else {
        code = result.status == SERVER_NOT_FOUND ? NOT_FOUND : refused(result.status);
    }
    xdr_free((xdrproc_t)(void (*)(void))xdr_get_result, &result);
    return code;
}

static int null(CLIENT *client)
{
    struct timeval limit = {.tv_sec = 10};
    enum clnt_stat status = clnt_call(client, NULLPROC, (xdrproc_t)(void (*)(void))xdr_void, NULL,
                                      (xdrproc_t)(void (*)(void))xdr_void, NULL, limit);
    if (status != RPC_SUCCESS) {
        (void)fprintf(stderr, "ERROR: null: %s\n", clnt_sperrno(status));
        return FAILED;
    }
    (void)puts("NULL");
    return DONE;
}

int main(int argc, char **argv)
{
    int code = FAILED;
    if (argc < 4) {
        (void)fprintf(stderr, "usage: %s HOST PORT put KEY VALUE | get KEY | null\n", argv[0]);
        return code;
    }
    CLIENT *client = connect_to(argv[1], argv[2]);
    if (client == NULL) {
        return code;
    }
    if (strcmp(argv[3], "put") == 0 && argc == 6) {
        code = put(client, argv[4], argv[5]);
    } else if (strcmp(argv[3], "get") == 0 && argc == 5) {
        code = get(client, argv[4]);
    } else if (strcmp(argv[3], "null") == 0 && argc == 4) {
        code = null(client);
    } else {
        (void)fprintf(stderr, "ERROR: unknown command\n");
    }
    clnt_destroy(client);
    return code;
}
