#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/json_memory.h"
#include "control/qmp_client.h"
#include "control/qmp_virsh.h"
#include "tools/json_print.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/qmp_arguments.h"
#include "tools/verbs.h"

static int print(const json_t *value, bool pretty, struct error *err)
{
    if (json_print(value, pretty ? JSON_INDENT(4) : JSON_COMPACT, err) < 0)
        return output_lost(err, "the command was executed");
    return 0;
}

static const struct cancel never = {.fd = -1}; /* nothing to clean up: a signal ends the program */

static int connect_to(const char *where, uint64_t deadline, struct qmp_client **ret,
                      struct error *err)
{
    const char *domain = qmp_virsh_domain(where);
    struct address at;

    if (domain)
        return qmp_client_open_domain(domain, deadline, &never, ret, err);
    if (address_parse_of(where, ADDRESSES_TO_DIAL, &at, err) < 0)
        return -1;
    return qmp_client_open(&at, deadline, &never, ret, err);
}

static int exchange(const char *where, const char *command, json_t *arguments,
                    const struct options *options, struct error *err)
{
    struct qmp_client *client;
    json_auto_t *answer = NULL;

    if (connect_to(where, deadline_in_ms(options->timeout_ms), &client, err) < 0)
        return -1;
    int rc = qmp_client_execute(client, command, arguments, &answer, err);
    qmp_client_close(client);
    return rc < 0 ? -1 : print(answer, options->pretty, err);
}

/* words: SOCKET COMMAND [KEY=VALUE…] */
static int run(const char *const *words, size_t n, const struct options *options, struct error *err)
{
    json_auto_t *arguments = NULL;

    if (n < 2 || !words[1][0])
        return err_set(err, ERR_USAGE, "expected SOCKET and COMMAND; see ramjet help qmp");
    if (qmp_arguments(words + 2, n - 2, &arguments, err) < 0 || json_memory_check(err) < 0)
        return -1;
    return exchange(words[0], words[1], arguments, options, err);
}

int verb_qmp(int argc, char **argv, struct error *err)
{
    struct options options;
    const char **words = calloc((size_t)argc + 1, sizeof(*words));
    size_t n;

    if (!words)
        return err_sys(err, "arguments");
    int rc = options_parse(VERB_QMP, argc, argv, &options, words, (size_t)argc, &n, err);
    if (rc == 0)
        rc = run(words, n, &options, err);
    free(words);
    return rc;
}
