/* Asks a cluster for its status. */
#include "fuzz/probe.h"

#include <jansson.h>

#include "client/cairn.h"

enum { TIMEOUT_MS = 10000 };

static int check_status(const char *managers, const char *text, uint64_t servers,
                        struct error *error)
{
    json_t *status = json_loads(text, 0, NULL);
    size_t found = json_array_size(json_object_get(status, "servers"));
    json_decref(status);
    if (servers != 0 && found != servers)
        return error_set(error, CAIRN_ECONFLICT, "%s: the cluster has %zu servers, not %llu",
                         managers, found, (unsigned long long)servers);
    return 0;
}

int probe(const char *managers, uint64_t timeout_ms, uint64_t servers, struct error *error)
{
    const struct cairn_options options = {
        .timeout_ms = timeout_ms != 0 ? timeout_ms : TIMEOUT_MS, .no_cache = 1, .no_agent = 1};
    cairn_t *db = NULL;
    const char *text = NULL;
    int status = cairn_open(managers, &options, &db);
    if (status == CAIRN_OK)
        status = cairn_status(db, &text);
    if (status != CAIRN_OK)
        error_set(error, status, "%s", db != NULL ? cairn_errmsg(db) : cairn_strerror(status));
    else
        status = check_status(managers, text, servers, error);
    cairn_close(db);
    return status;
}
