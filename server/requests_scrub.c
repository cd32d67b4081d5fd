/* SCRUB: an operator has damage looked for, or asks what was found. */
#include "base/clock.h"
#include "server/requests.h"
#include "server/scrub.h"

static void refuse(struct rpc_call *call, server_status status, const char *message)
{
    scrub_result result = {.status = status};

    result.scrub_result_u.message = view_of_text(message);
    rpc_reply(call, &result);
}

void request_scrub(void *context, struct rpc_call *call, const void *args)
{
    struct node *node = context;
    const scrub_args *asked = args;
    scrub_result result = {.status = SERVER_OK};
    struct refusal refusal;

    if (!requests_cluster(node, asked->cluster, &refusal)) {
        refuse(call, refusal.status, refusal.message);
    } else if (node->scrub == NULL) {
        refuse(call, SERVER_STARTING, "the server is starting");
    } else if (asked->kind != SCRUB_LOOK &&
               scrub_begin(node->scrub, asked, clock_now_ms()) != CAIRN_OK) {
        refuse(call, SERVER_INVALID, "there is no such partition");
    } else {
        scrub_report_now(node->scrub, &result.scrub_result_u.report);
        rpc_reply(call, &result);
    }
}
