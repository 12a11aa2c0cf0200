#include "control/qmp_event.h"

#include "base/macros.h"

static const struct {
    const char *name;
    bool guest; /* it is the guest's doing */
} reasons[] = {
    [SHUTDOWN_QUIT] = {"host-qmp-quit", false},     [SHUTDOWN_SIGNAL] = {"host-signal", false},
    [SHUTDOWN_ERROR] = {"host-error", false},       [SHUTDOWN_GUEST] = {"guest-shutdown", true},
    [SHUTDOWN_GUEST_PANIC] = {"guest-panic", true},
};
_Static_assert(ARRAY_LEN(reasons) == SHUTDOWN_REASON_N, "a row for each reason");

static json_t *shutdown_json(const struct vm_event *e)
{
    return json_pack("{s:b, s:s}", "guest", reasons[e->reason].guest, "reason",
                     reasons[e->reason].name);
}

static json_t *migration_json(const struct vm_event *e)
{
    return json_pack("{s:s}", "status", migration_status_name(e->status));
}

static json_t *pass_json(const struct vm_event *e)
{
    return json_pack("{s:I}", "pass", (json_int_t)e->pass);
}

static const struct {
    const char *name;
    json_t *(*data)(const struct vm_event *e); /* NULL: it has no data */
} rows[] = {
    [VM_EVENT_STOP] = {"STOP", NULL},
    [VM_EVENT_RESUME] = {"RESUME", NULL},
    [VM_EVENT_SHUTDOWN] = {"SHUTDOWN", shutdown_json},
    [VM_EVENT_MIGRATION] = {"MIGRATION", migration_json},
    [VM_EVENT_MIGRATION_PASS] = {"MIGRATION_PASS", pass_json},
};
_Static_assert(ARRAY_LEN(rows) == VM_EVENT_KIND_N, "a row for each kind of event");

void qmp_event_send(void *server, const struct vm_event *event)
{
    json_t *(*data)(const struct vm_event *) = rows[event->kind].data;

    qmp_server_event(server, rows[event->kind].name, data ? data(event) : NULL);
}
