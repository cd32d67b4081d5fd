/* The command agent: this host's cache agent in a process of its own, for hosts whose clients live
 * too short to be the agent themselves. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "client/cli.h"
#include "client/handle.h"
#include "client/host.h"

/* A signal is how the agent ends: no failure. */
static int leave(void)
{
    cli_signal_clear();
    return CLI_DONE;
}

static int run_agent(const struct cli *cli, uint64_t cluster)
{
    const struct host_options options = {
        .managers = cli->options.managers,
        .name = cli->options.cache_name,
        .bytes = cli->options.cache_bytes,
    };
    struct host *host = host_get(&options, cluster);

    if (host == NULL) { /* why was logged */
        return cli_error(CLI_INVALID,
                         "agent: this host's cache of cluster %016" PRIx64 " cannot be used",
                         cluster);
    }
    int status = host_run_agent(host, cli_signal_flag());
    if (status != CAIRN_OK) {
        return cli_error(CLI_INVALID, "agent: %s", cairn_strerror(status));
    }
    return leave();
}

int cli_agent(struct cli *cli, const struct cli_words *words)
{
    (void)words;
    if (cli->options.no_cache) {
        return cli_error(CLI_INVALID, "agent: takes neither --no-cache nor --cache-size 0");
    }
    int status = managers_await(cli->db, "agent", client_deadline(cli->db));
    if (cli_signal_caught() != 0) {
        return leave();
    }
    return status == CAIRN_OK ? run_agent(cli, cli->db->route.cluster) : cli_failure(cli, status);
}
