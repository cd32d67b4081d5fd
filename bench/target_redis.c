/* Redis as a target, through hiredis: SET, GET and DEL of string keys. It has no scan in key
 * order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/address.h"
#include "bench/target.h"

struct session {
    redisContext *connection;
    uint32_t wait; /* replicas that have to acknowledge each change */
    char wait_text[16];
};

static int fail(const struct session *session, struct error *error)
{
    int code = session->connection->err == REDIS_ERR_PROTOCOL ? CAIRN_EPROTO : CAIRN_EUNAVAILABLE;
    return error_set(error, code, "redis: %s", session->connection->errstr);
}

static void close_session(struct session *session)
{
    if (session != NULL && session->connection != NULL)
        redisFree(session->connection);
    free(session);
}

/* Takes the next reply, which the caller frees. An error reply is an error. */
static int take_reply(struct session *session, redisReply **reply, struct error *error)
{
    void *taken = NULL;
    *reply = NULL;
    if (redisGetReply(session->connection, &taken) != REDIS_OK)
        return fail(session, error);
    *reply = taken;
    if ((*reply)->type != REDIS_REPLY_ERROR)
        return 0;
    error_set(error, CAIRN_EPROTO, "redis: %s", (*reply)->str);
    freeReplyObject(*reply);
    *reply = NULL;
    return CAIRN_EPROTO;
}

/* Queues one command; it leaves with the next take_reply. */
static int queue(struct session *session, int count, const struct bytes *words, struct error *error)
{
    const char *texts[3];
    size_t lengths[3];
    for (int i = 0; i < count; i++) {
        texts[i] = words[i].data;
        lengths[i] = words[i].length;
    }
    if (redisAppendCommandArgv(session->connection, count, texts, lengths) != REDIS_OK)
        return fail(session, error);
    return 0;
}

/* Sends one command and waits for its reply, which the caller frees. */
static int call(struct session *session, int count, const struct bytes *words, redisReply **reply,
                struct error *error)
{
    *reply = NULL;
    int status = queue(session, count, words, error);
    return status == 0 ? take_reply(session, reply, error) : status;
}

/* Takes the reply to WAIT: enough replicas must have acknowledged. */
static int take_wait(struct session *session, struct error *error)
{
    redisReply *reply;
    int status = take_reply(session, &reply, error);
    if (status != 0)
        return status;
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < (long long)session->wait)
        status =
            error_set(error, CAIRN_EUNAVAILABLE, "redis: %lld replicas acknowledged, not %u",
                      reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1LL, session->wait);
    freeReplyObject(reply);
    return status;
}

/* A command that changes something: alone, or with WAIT in the same packet, so that the wait costs
 * no round trip of its own. */
static int change(struct session *session, int count, const struct bytes *words,
                  struct error *error)
{
    redisReply *reply;
    const struct bytes wait[] = {
        {"WAIT", 4}, {session->wait_text, strlen(session->wait_text)}, {"0", 1}};
    int status = queue(session, count, words, error);
    if (status == 0 && session->wait > 0)
        status = queue(session, 3, wait, error);
    if (status == 0)
        status = take_reply(session, &reply, error);
    if (status != 0)
        return status;
    freeReplyObject(reply);
    return session->wait > 0 ? take_wait(session, error) : 0;
}

static int connect_session(struct session *session, const struct target_place *place,
                           struct error *error)
{
    struct address address;
    struct timeval limit = {.tv_sec = (time_t)(place->timeout_ms / 1000),
                            .tv_usec = (suseconds_t)(place->timeout_ms % 1000 * 1000)};
    if (address_parse(place->address, &address, error) != 0)
        return CAIRN_EINVAL;
    session->connection = redisConnectWithTimeout(address.host, address.port, limit);
    if (session->connection == NULL)
        return error_set(error, CAIRN_ENOMEM, "redis: out of memory");
    if (session->connection->err != 0)
        return error_set(error, CAIRN_EUNAVAILABLE, "redis %s: %s", place->address,
                         session->connection->errstr);
    redisSetTimeout(session->connection, limit);
    redisReply *reply;
    int status = call(session, 1, &(struct bytes){"PING", 4}, &reply, error);
    if (status == 0)
        freeReplyObject(reply);
    return status;
}

static int open_session(const struct target_place *place, struct session **session,
                        struct error *error)
{
    *session = calloc(1, sizeof(**session));
    if (*session == NULL)
        return error_set(error, CAIRN_ENOMEM, "redis: out of memory");
    (*session)->wait = place->redis_wait;
    snprintf((*session)->wait_text, sizeof((*session)->wait_text), "%u", place->redis_wait);
    int status = connect_session(*session, place, error);
    if (status != 0) {
        close_session(*session);
        *session = NULL;
    }
    return status;
}

static int put(struct session *session, struct bytes key, struct bytes value, struct error *error)
{
    const struct bytes words[] = {{"SET", 3}, key, value};
    return change(session, 3, words, error);
}

static int get(struct session *session, struct bytes key, bool *found, struct error *error)
{
    const struct bytes words[] = {{"GET", 3}, key};
    redisReply *reply;
    int status = call(session, 2, words, &reply, error);
    if (status != 0)
        return status;
    *found = reply->type == REDIS_REPLY_STRING;
    freeReplyObject(reply);
    return 0;
}

static int remove_key(struct session *session, struct bytes key, struct error *error)
{
    const struct bytes words[] = {{"DEL", 3}, key};
    return change(session, 2, words, error);
}

const struct target target_redis = {
    .name = "redis",
    .open = open_session,
    .close = close_session,
    .put = put,
    .get = get,
    .remove = remove_key,
};
