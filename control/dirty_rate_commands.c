#include <string.h>

#include "base/macros.h"
#include "control/vm_commands.h"
#include "control/vm_dirty_rate.h"

/* Ranges and defaults: QEMU, migration/dirtyrate.h. */
#define CALC_MS_MIN     50
#define CALC_MS_MAX     60000
#define SAMPLES_MIN     128
#define SAMPLES_MAX     16384
#define SAMPLES_DEFAULT 512

#define MS_PER_S 1000

/* --- words ----------------------------------------------------------------------------------- */

static const char *const mode_names[] = {
    [DIRTY_RATE_SAMPLING] = "page-sampling",
    [DIRTY_RATE_LOG] = "dirty-bitmap",
};

static const struct {
    const char *name;
    uint64_t ms;
} units[] = {{"second", MS_PER_S}, {"millisecond", 1}};

static const char *const status_names[] = {
    [DIRTY_RATE_MEASURING] = "measuring",
    [DIRTY_RATE_MEASURED] = "measured",
    [DIRTY_RATE_FAILED] = "unstarted",
};

/* NULL, where the user named no mode, is the first one. */
static int read_mode(const char *name, enum dirty_rate_mode *ret, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(mode_names); i++) {
        if (!name || strcmp(mode_names[i], name) == 0) {
            *ret = (enum dirty_rate_mode)i;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE,
                   "Parameter 'mode': '%.40s': expected page-sampling or dirty-bitmap", name);
}

static int read_unit(const char *name, size_t *ret, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!name || strcmp(units[i].name, name) == 0) {
            *ret = i;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE,
                   "Parameter 'calc-time-unit': '%.40s': expected second or millisecond", name);
}

static const char *text_of(const json_t *arguments, const char *name)
{
    return json_string_value(json_object_get(arguments, name));
}

/* --- commands -------------------------------------------------------------------------------- */

static const struct qmp_argument calc_arguments[] = {
    {"calc-time", QMP_INTEGER, false},
    {"calc-time-unit", QMP_STRING, true},
    {"sample-pages", QMP_INTEGER, true},
    {"mode", QMP_STRING, true},
};

static int calc(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    json_int_t time = json_integer_value(json_object_get(arguments, "calc-time"));
    const json_t *pages = json_object_get(arguments, "sample-pages");
    json_int_t samples = pages ? json_integer_value(pages) : SAMPLES_DEFAULT;
    enum dirty_rate_mode mode = DIRTY_RATE_SAMPLING;
    size_t unit = 0;

    (void)ret;
    if (read_mode(text_of(arguments, "mode"), &mode, err) < 0 ||
        read_unit(text_of(arguments, "calc-time-unit"), &unit, err) < 0)
        return -1;
    if (time < 0 || time > CALC_MS_MAX || (uint64_t)time * units[unit].ms < CALC_MS_MIN ||
        (uint64_t)time * units[unit].ms > CALC_MS_MAX)
        return err_set(err, ERR_USAGE, "Parameter 'calc-time' expects %d to %d ms", CALC_MS_MIN,
                       CALC_MS_MAX);
    if (pages && mode != DIRTY_RATE_SAMPLING)
        return err_set(err, ERR_USAGE, "Parameter 'sample-pages' is for mode page-sampling");
    if (samples < SAMPLES_MIN || samples > SAMPLES_MAX)
        return err_set(err, ERR_USAGE, "Parameter 'sample-pages' expects %d to %d", SAMPLES_MIN,
                       SAMPLES_MAX);
    return vm_measure(arg, mode, (uint64_t)time * units[unit].ms,
                      mode == DIRTY_RATE_SAMPLING ? (unsigned)samples : 0, err);
}

static const struct qmp_argument query_arguments[] = {{"calc-time-unit", QMP_STRING, true}};

static int query(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct vm_dirty_rate r;
    size_t unit = 0;

    if (read_unit(text_of(arguments, "calc-time-unit"), &unit, err) < 0)
        return -1;
    vm_dirty_rate(arg, &r);
    *ret = json_pack("{s:s, s:I, s:I, s:s, s:i, s:s}", "status",
                     r.started ? status_names[r.status] : "unstarted", "start-time",
                     (json_int_t)r.start_s, "calc-time", (json_int_t)(r.calc_ms / units[unit].ms),
                     "calc-time-unit", units[unit].name, "sample-pages", (int)r.sample_pages,
                     "mode", mode_names[r.mode]);
    if (r.started && r.status == DIRTY_RATE_MEASURED)
        json_object_set_new(*ret, "dirty-rate", json_integer((json_int_t)(r.bytes_per_s >> 20)));
    return 0;
}

static const struct qmp_command commands[] = {
    {.name = "calc-dirty-rate",
     .run = calc,
     .arguments = calc_arguments,
     .n_arguments = ARRAY_LEN(calc_arguments)},
    {.name = "query-dirty-rate",
     .run = query,
     .arguments = query_arguments,
     .n_arguments = ARRAY_LEN(query_arguments)},
};

struct qmp_table dirty_rate_commands(struct vm *vm)
{
    return (struct qmp_table){commands, ARRAY_LEN(commands), vm};
}
