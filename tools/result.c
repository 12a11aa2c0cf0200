#include "tools/result.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/printable.h"
#include "tools/json_print.h"
#include "tools/line.h"
#include "tools/notice.h"
#include "tools/remedy.h"

/* One per process: it runs one verb. */
static struct {
    bool json, printed;
} result;

void result_begin(bool json)
{
    result.json = json;
    result.printed = false;
}

static const char *kind_name(enum err_kind kind)
{
    static const char *const names[] = {
        [ERR_USAGE] = "usage",         [ERR_SYSTEM] = "system", [ERR_PEER] = "peer",
        [ERR_CANCELLED] = "cancelled", [ERR_REPORT] = "report",
    };

    return (size_t)kind < ARRAY_LEN(names) ? names[kind] : NULL;
}

static json_t *error_json(const struct error *failure)
{
    char line[ERR_LINE_LEN];

    error_line(failure, line);
    return json_pack("{s:s, s:s?}", "desc", line, "kind", kind_name(failure->kind));
}

static const char *status_of(const json_t *members, const struct error *failure)
{
    const char *own = json_string_value(json_object_get(members, "status"));

    if (failure)
        return failure->kind == ERR_CANCELLED ? "cancelled" : "failed";
    return own ? own : "completed";
}

int result_print(json_t *members, const struct error *failure, struct error *err)
{
    json_auto_t *root =
        json_pack("{s:s, s:s}", "status", status_of(members, failure), "verb", notice_verb());

    if (failure)
        json_object_set_new(root, "error", error_json(failure));
    json_object_update_missing(root, members);
    int rc = json_print(members ? root : NULL, JSON_COMPACT, err);
    json_decref(members);
    result.printed = true;
    return rc;
}

void result_print_failure(const struct error *failure)
{
    struct error ignored; /* the failure itself is the exit code */

    if (result.json && !result.printed && failure->kind != ERR_REPORT &&
        result_print(json_object(), failure, &ignored) < 0)
        return;
}

json_t *result_text(const char *text)
{
    json_t *string = json_string(text);
    char copy[PATH_MAX + 256];

    if (string)
        return string;
    snprintf(copy, sizeof(copy), "%s", text);
    printable(copy);
    return json_string(copy);
}

void result_event(const struct options *o, const char *event, json_t *members, const char *fmt, ...)
{
    char text[PATH_MAX + 256];
    struct error ignored;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (o->json && o->events == EVENTS_JSON) {
        json_auto_t *root = json_pack("{s:s}", "event", event);

        json_object_update_missing(root, members);
        (void)!json_print(root, JSON_COMPACT, &ignored);
    } else {
        line_print(stdout, "%s", text);
    }
    json_decref(members);
}
