/* What came back from an attempt: taken out of the record before it is gone. */
#include "client/operation_result.h"

#include "base/check.h"
#include "client/handle.h"

static void take_value(struct operation *operation, const cairn_value *value)
{
    struct buffer *buffer = &operation->db->value;
    static const char nul = '\0';

    /* The handle reserved room for the largest value when it was opened. */
    buffer_clear(buffer);
    if (value->length > 0) {
        CHECK(buffer_append(buffer, value->data, value->length) == CAIRN_OK);
    }
    CHECK(buffer_append(buffer, &nul, 1) == CAIRN_OK);
}

static void take_redirect(struct operation *operation, const server_redirect *redirect)
{
    operation->redirect = *redirect;
    operation->redirect.address = (cairn_address){NULL, 0};
    error_set(&operation->error, CAIRN_EUNAVAILABLE, "it is not the key's primary");
}

static void take_message(struct operation *operation, const cairn_message *message)
{
    if (message->length > 0) {
        error_set(&operation->error, CAIRN_EPROTO, "%.*s", (int)message->length,
                  (const char *)message->data);
    } else {
        error_set(&operation->error, CAIRN_EPROTO, "status %d", (int)operation->status);
    }
}

static void take_get(struct operation *operation, const get_result *result)
{
    operation->status = result->status;
    if (result->status == SERVER_OK) {
        operation->version = result->get_result_u.found.key_version;
        operation->existed = true;
        operation->granted = result->get_result_u.found.granted;
        operation->expires_in_ms = result->get_result_u.found.expires_in_ms;
        take_value(operation, &result->get_result_u.found.value);
    } else if (result->status == SERVER_NOT_PRIMARY) {
        take_redirect(operation, &result->get_result_u.redirect);
    } else {
        take_message(operation, &result->get_result_u.message);
    }
}

static void take_put(struct operation *operation, const put_result *result)
{
    operation->status = result->status;
    if (result->status == SERVER_OK) {
        operation->existed = result->put_result_u.done.existed;
        operation->version = result->put_result_u.done.key_version;
    } else if (result->status == SERVER_VERSION_MISMATCH) {
        operation->version = result->put_result_u.current_version;
        operation->existed = operation->version != 0;
    } else if (result->status == SERVER_NOT_PRIMARY) {
        take_redirect(operation, &result->put_result_u.redirect);
    } else {
        take_message(operation, &result->put_result_u.message);
    }
}

static void take_swap(struct operation *operation, const swap_result *result)
{
    operation->status = result->status;
    if (result->status == SERVER_OK) {
        operation->existed = result->swap_result_u.done.existed;
        operation->version = result->swap_result_u.done.key_version;
        take_value(operation, &result->swap_result_u.done.old_value);
    } else if (result->status == SERVER_NOT_PRIMARY) {
        take_redirect(operation, &result->swap_result_u.redirect);
    } else {
        take_message(operation, &result->swap_result_u.message);
    }
}

static void take_delete(struct operation *operation, const delete_result *result)
{
    operation->status = result->status;
    if (result->status == SERVER_OK) {
        operation->existed = result->delete_result_u.existed;
    } else if (result->status == SERVER_NOT_PRIMARY) {
        take_redirect(operation, &result->delete_result_u.redirect);
    } else {
        take_message(operation, &result->delete_result_u.message);
    }
}

void operation_on_done(void *context, int status, const void *result, const struct error *error)
{
    struct operation *operation = context;

    operation->answered = true;
    operation->rpc_status = status;
    if (operation->db->turning) {
        uv_stop(&operation->db->loop);
    }
    if (status != CAIRN_OK) {
        operation->error = *error;
    } else if (operation->procedure == SERVER_GET) {
        take_get(operation, result);
    } else if (operation->procedure == SERVER_PUT) {
        take_put(operation, result);
    } else if (operation->procedure == SERVER_SWAP) {
        take_swap(operation, result);
    } else {
        take_delete(operation, result);
    }
}
