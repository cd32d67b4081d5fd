/* The public operations on single keys. */
#include <string.h>

#include "base/hash.h"
#include "client/handle.h"
#include "client/operation.h"

static int check_handle(cairn_t *db)
{
    if (db == NULL) {
        return CAIRN_EINVAL;
    }
    return db->usable ? CAIRN_OK : error_set(&db->error, CAIRN_EINVAL, "the handle was not opened");
}

static int check_key(cairn_t *db, const char *name, const void *key, size_t length)
{
    if (check_handle(db) != CAIRN_OK) {
        return CAIRN_EINVAL;
    }
    if (key == NULL || length == 0) {
        return error_set(&db->error, CAIRN_EINVAL, "%s: the key is empty; keys have 1 to %d bytes",
                         name, CAIRN_KEY_MAX);
    }
    if (length > CAIRN_KEY_MAX) {
        return error_set(&db->error, CAIRN_EINVAL, "%s: the key has %zu bytes, the limit is %d",
                         name, length, CAIRN_KEY_MAX);
    }
    return CAIRN_OK;
}

static int check_value(cairn_t *db, const char *name, const void *value, size_t length)
{
    if (value == NULL && length > 0) {
        return error_set(&db->error, CAIRN_EINVAL, "%s: no value given", name);
    }
    if (length > CAIRN_VALUE_MAX) {
        return error_set(&db->error, CAIRN_EINVAL, "%s: the value has %zu bytes, the limit is %d",
                         name, length, CAIRN_VALUE_MAX);
    }
    return CAIRN_OK;
}

static struct view view_of(const void *data, size_t length)
{
    return (struct view){data, (uint32_t)length};
}

static void set_flag(int *flag, bool value)
{
    if (flag != NULL) {
        *flag = value;
    }
}

static void set_number(uint64_t *number, uint64_t value)
{
    if (number != NULL) {
        *number = value;
    }
}

int cairn_get(cairn_t *db, const void *key, size_t key_length, const void **value,
              size_t *value_length, uint64_t *version)
{
    struct operation operation;

    *value = NULL;
    *value_length = 0;
    set_number(version, 0);
    int status = check_key(db, "get", key, key_length);
    if (status != CAIRN_OK) {
        return status;
    }
    uint64_t hash = hash_bytes(key, key_length);
    const struct cache_copy *hit = handle_cache_get(db, key, key_length, hash);
    if (hit != NULL) {
        db->error.code = CAIRN_OK;
        *value = hit->value;
        *value_length = hit->length;
        set_number(version, hit->version);
        return CAIRN_OK;
    }
    handle_cache_missed(db);
    operation.db = db;
    operation.hash = hash;
    operation.name = "get";
    operation.procedure = SERVER_GET;
    operation.key = view_of(key, key_length);
    operation.args.get = (get_args){.key = operation.key};
    status = operation_run(&operation);
    if (status == CAIRN_OK) {
        *value = db->value.data;
        *value_length = db->value.length - 1;
        set_number(version, operation.version);
    }
    return status;
}

static int put(cairn_t *db, const put_args *args, int *existed, uint64_t *version)
{
    struct operation operation;

    operation.db = db;
    operation.name = "put";
    operation.procedure = SERVER_PUT;
    operation.key = args->key;
    operation.args.put = *args;
    int status = operation_run(&operation);
    if (status == CAIRN_OK || status == CAIRN_EMISMATCH) {
        set_flag(existed, operation.existed);
        set_number(version, operation.version);
    }
    return status;
}

/* Checks and sets every out-parameter before anything is sent. */
static int begin_put(cairn_t *db, const void *key, size_t key_length, const void *value,
                     size_t value_length, int *existed, uint64_t *version)
{
    set_flag(existed, false);
    set_number(version, 0);
    int status = check_key(db, "put", key, key_length);
    return status != CAIRN_OK ? status : check_value(db, "put", value, value_length);
}

int cairn_put(cairn_t *db, const void *key, size_t key_length, const void *value,
              size_t value_length, int *existed, uint64_t *version)
{
    return cairn_put_ttl(db, key, key_length, value, value_length, 0, existed, version);
}

int cairn_put_ttl(cairn_t *db, const void *key, size_t key_length, const void *value,
                  size_t value_length, uint64_t ttl_ms, int *existed, uint64_t *version)
{
    int status = begin_put(db, key, key_length, value, value_length, existed, version);

    if (status != CAIRN_OK) {
        return status;
    }
    const put_args args = {
        .ttl_ms = ttl_ms,
        .key = view_of(key, key_length),
        .value = view_of(value, value_length),
    };
    return put(db, &args, existed, version);
}

int cairn_put_if_version(cairn_t *db, const void *key, size_t key_length, const void *value,
                         size_t value_length, uint64_t if_version, uint64_t ttl_ms, int *existed,
                         uint64_t *version)
{
    int status = begin_put(db, key, key_length, value, value_length, existed, version);

    if (status != CAIRN_OK) {
        return status;
    }
    const put_args args = {
        .conditional = true,
        .if_version = if_version,
        .ttl_ms = ttl_ms,
        .key = view_of(key, key_length),
        .value = view_of(value, value_length),
    };
    return put(db, &args, existed, version);
}

int cairn_swap(cairn_t *db, const void *key, size_t key_length, const void *value,
               size_t value_length, const void **old_value, size_t *old_length)
{
    struct operation operation;

    *old_value = NULL;
    *old_length = 0;
    int status = check_key(db, "swap", key, key_length);
    if (status == CAIRN_OK) {
        status = check_value(db, "swap", value, value_length);
    }
    if (status != CAIRN_OK) {
        return status;
    }
    operation.db = db;
    operation.name = "swap";
    operation.procedure = SERVER_SWAP;
    operation.key = view_of(key, key_length);
    operation.args.swap = (swap_args){.key = operation.key, .value = view_of(value, value_length)};
    status = operation_run(&operation);
    if (status == CAIRN_OK && operation.existed) {
        *old_value = db->value.data;
        *old_length = db->value.length - 1;
    }
    return status;
}

int cairn_delete(cairn_t *db, const void *key, size_t key_length, int *existed)
{
    struct operation operation;

    set_flag(existed, false);
    int status = check_key(db, "delete", key, key_length);
    if (status != CAIRN_OK) {
        return status;
    }
    operation.db = db;
    operation.name = "delete";
    operation.procedure = SERVER_DELETE;
    operation.key = view_of(key, key_length);
    operation.args.remove = (delete_args){.key = operation.key};
    status = operation_run(&operation);
    if (status == CAIRN_OK) {
        set_flag(existed, operation.existed);
    }
    return status;
}
