#include "control/qmp_virsh.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/json_memory.h"
#include "base/macros.h"

#define SCHEME           "libvirt:"
#define VIRSH_ANSWER_MAX ((size_t)4 << 20) /* bytes, as of a message over a socket */

const char *qmp_virsh_domain(const char *address)
{
    return strncmp(address, SCHEME, strlen(SCHEME)) == 0 ? address + strlen(SCHEME) : NULL;
}

static int run(char *const argv[], uint64_t deadline, const struct cancel *cancel,
               struct child_output *ret, struct error *err)
{
    if (child_run(argv, VIRSH_ANSWER_MAX, deadline, cancel, ret, err) == 0)
        return 0;
    if (err->sys == ENOENT)
        err_add(err, "; libvirt's domains are reached by its client, which has to be installed");
    return -1;
}

/* Its lines as one, each without "error: " in front. */
static const char *complaint(struct child_output *out, char ret[static CHILD_COMPLAINT])
{
    char *rest = out->complaint, *line;
    size_t len = 0;

    ret[0] = 0;
    while ((line = strsep(&rest, "\n")) && len < CHILD_COMPLAINT) {
        if (strncmp(line, "error: ", 7) == 0)
            line += 7;
        if (line[0])
            len +=
                (size_t)snprintf(ret + len, CHILD_COMPLAINT - len, "%s%s", len ? ": " : "", line);
    }
    return ret[0] ? ret : "it says nothing";
}

static int complain(struct child_output *out, struct error *err)
{
    char text[CHILD_COMPLAINT];

    return err_set(err, ERR_PEER, "virsh: %s", complaint(out, text));
}

/* "qemu:///system" is here; "qemu+ssh://host/system" is at a host. */
static bool is_here(const char *uri)
{
    const char *host = strstr(uri, "://");

    return host && host[3] == '/';
}

int qmp_virsh_open(uint64_t deadline, const struct cancel *cancel, bool *ret_here,
                   struct error *err)
{
    char program[] = "virsh", quiet[] = "-q", command[] = "uri";
    char *const argv[] = {program, quiet, command, NULL};
    struct child_output out;

    if (run(argv, deadline, cancel, &out, err) < 0)
        return -1;
    int rc = strstr(out.text, ":/") ? 0 : complain(&out, err);
    *ret_here = is_here(out.text);
    free(out.text);
    return rc;
}

/* virsh gives the command an id of its own. */
static char *request(const char *command, json_t *arguments)
{
    json_auto_t *message = json_pack("{s:s, s:O*}", "execute", command, "arguments", arguments);

    return message ? json_dumps(message, JSON_COMPACT) : NULL;
}

static int read_answer(struct child_output *out, json_t **ret, struct error *err)
{
    json_error_t why;
    json_t *answer = json_memory_load(out->text, out->len, 0, &why);

    if (json_is_object(answer) &&
        (json_object_get(answer, "return") || json_object_get(answer, "error"))) {
        *ret = answer;
        return 0;
    }
    json_decref(answer);
    if (out->complaint[0] || !out->len)
        return complain(out, err);
    return err_set(err, ERR_PEER, "what virsh prints is no monitor's answer: %s",
                   answer ? "neither a return nor an error" : why.text);
}

int qmp_virsh_execute(const char *domain, const char *command, json_t *arguments, uint64_t deadline,
                      const struct cancel *cancel, json_t **ret, struct error *err)
{
    char program[] = "virsh", quiet[] = "-q", verb[] = "qemu-monitor-command", over[] = "--";
    char *name = strdup(domain), *message = request(command, arguments);
    char *const argv[] = {program, quiet, verb, over, name, message, NULL};
    struct child_output out;
    int rc;

    if (!name)
        rc = err_sys(err, "memory for the name of a domain");
    else if (!message)
        rc = err_set(err, ERR_USAGE, "the command or its arguments are not UTF-8");
    else if ((rc = run(argv, deadline, cancel, &out, err)) == 0) {
        rc = read_answer(&out, ret, err);
        free(out.text);
    }
    free(name);
    free(message);
    return rc;
}
