#include "tools/settings_report.h"

#include <inttypes.h>
#include <string.h>

#include "settings/settings.h"
#include "tools/options.h"
#include "tools/remedy.h"

/* --- sets and moments as words --------------------------------------------------------------- */

static json_t *names_of_set(uint64_t set)
{
    json_t *names = json_array();

    for (unsigned bit = 0; bit < FACT_END; bit++) {
        if (set & IN_SET(bit))
            json_array_append_new(names, json_string(fact_name(bit)));
    }
    return names;
}

static json_t *names_of_moments(unsigned moments)
{
    json_t *names = json_array();

    for (unsigned i = 0; i < MOMENT_N; i++) {
        if (moments & 1u << i)
            json_array_append_new(names, json_string(moment_name((enum moment)(1u << i))));
    }
    return names;
}

/* --- for people ------------------------------------------------------------------------------ */

#define NAME_WIDTH 28

static void print_versions(const char *since, const char *removed, FILE *to)
{
    fprintf(to, removed ? "QEMU %s, removed in %s" : "QEMU %s", since, removed);
}

static void print_unsupported(const char *unsupported, FILE *to)
{
    if (unsupported)
        fprintf(to, "\n  %*s not here: %s", NAME_WIDTH, "", unsupported);
    fputc('\n', to);
}

static void print_capability(const struct capability_info *c, FILE *to)
{
    fprintf(to, "  %-*s %s\n  %*s on, off; %s; ", NAME_WIDTH, c->name, c->effect, NAME_WIDTH, "",
            side_name(c->side));
    print_versions(c->since, c->removed, to);
    print_unsupported(c->unsupported, to);
}

static void print_parameter(enum parameter id, FILE *to)
{
    const struct parameter_info *p = &parameters[id];
    char range[PARAMETER_TEXT_MAX], standard[PARAMETER_TEXT_MAX];

    parameter_range(id, range);
    parameter_print(id, p->standard, standard);
    fprintf(to, "  %-*s %s\n  %*s %s%s%s; %s%s; %s; ", NAME_WIDTH, p->name, p->effect, NAME_WIDTH,
            "", range, p->unit ? " " : "", p->unit ? p->unit : "",
            standard[0] ? "default " : "default: empty", standard, side_name(p->side));
    print_versions(p->since, p->removed, to);
    if (p->ours)
        fprintf(to, "\n  %*s ours: %s", NAME_WIDTH, "", p->ours);
    print_unsupported(p->unsupported, to);
}

static void print_built(FILE *to)
{
    fprintf(to, "Capabilities, off by default:\n");
    for (size_t i = 0; i < CAP_N; i++) {
        if (!capabilities[i].unsupported)
            print_capability(&capabilities[i], to);
    }
    fprintf(to, "\nParameters:\n");
    for (size_t i = 0; i < PARAM_N; i++) {
        if (!parameters[i].unsupported)
            print_parameter((enum parameter)i, to);
    }
}

static void print_unsupported_line(const char *name, const char *why, FILE *to)
{
    if (why)
        fprintf(to, "  %-*s %s\n", NAME_WIDTH, name, why);
}

static void print_refused(FILE *to)
{
    for (size_t i = 0; i < CAP_N; i++)
        print_unsupported_line(capabilities[i].name, capabilities[i].unsupported, to);
    for (size_t i = 0; i < PARAM_N; i++)
        print_unsupported_line(parameters[i].name, parameters[i].unsupported, to);
}

void settings_print(FILE *to)
{
    fprintf(to, "Settings by QEMU's names: --set NAME=VALUE, of each verb that migrates.\n"
                "They are checked as a whole: their order does not matter.\n\n");
    print_built(to);
    fprintf(to, "\nDefaults of ramjet that differ from QEMU's:\n");
    for (size_t i = 0; i < n_own_defaults; i++)
        fprintf(to, "  %-*s %s; %s\n", NAME_WIDTH, own_defaults[i].name, own_defaults[i].value,
                own_defaults[i].why);
    fprintf(to, "\nKnown, but only QEMU's default is accepted:\n");
    print_refused(to);
    fprintf(to,
            "\nramjet help settings NAME shows one of them and the rules about it, or all whose\n"
            "names have that part;\n"
            "ramjet probe --rules all rules.\n");
}

static void print_rule(const struct rule *r, FILE *to)
{
    fprintf(to, "  %-4s %-9s %s%s%s\n", r->id, gate_class_name(r->class), r->why,
            remedy_words(r->remedy), r->lapsed ? " (not kept here)" : "");
    if (r->ours)
        fprintf(to, "  %14s ours: %s\n", "", r->ours);
}

void rules_print(FILE *to)
{
    for (size_t i = 0; i < n_rules; i++)
        print_rule(&rules[i], to);
}

/* Parameters that the rules know by facts of other names. */
static const struct {
    enum parameter id;
    uint64_t facts;
} known_by[] = {
    {PARAM_TLS_CREDS, IN_SET(FACT_TLS) | IN_SET(FACT_TLS_CREDS)},
    {PARAM_MULTIFD_COMPRESSION, IN_SET(FACT_COMPRESSED)},
    {PARAM_DIRECT_IO, IN_SET(FACT_DIRECT_IO)},
    {PARAM_MODE, IN_SET(FACT_CPR) | IN_SET(FACT_CPR_TRANSFER) | IN_SET(FACT_CPR_EXEC)},
    {PARAM_CPR_EXEC_COMMAND, IN_SET(FACT_CPR_EXEC_COMMAND)},
    {PARAM_MAX_CPU_THROTTLE, IN_SET(FACT_THROTTLE_CROSSED)},
    {PARAM_CPU_THROTTLE_INITIAL, IN_SET(FACT_THROTTLE_CROSSED)},
};

static uint64_t facts_of_parameter(enum parameter id)
{
    for (size_t i = 0; i < ARRAY_LEN(known_by); i++) {
        if (known_by[i].id == id)
            return known_by[i].facts;
    }
    return 0;
}

static void print_rules_about(uint64_t set, FILE *to)
{
    for (size_t i = 0; i < n_rules; i++) {
        const struct rule *r = &rules[i];

        if ((r->when | r->newly | r->needs | r->clashes) & set)
            print_rule(r, to);
    }
}

int settings_print_one(const char *name, FILE *to)
{
    int capability = capability_find(name), parameter = parameter_find(name);

    if (capability < 0 && parameter < 0)
        return -1;
    if (capability >= 0)
        print_capability(&capabilities[capability], to);
    else
        print_parameter((enum parameter)parameter, to);
    print_rules_about(
        capability >= 0 ? IN_SET(capability) : facts_of_parameter((enum parameter)parameter), to);
    return 0;
}

size_t settings_print_like(const char *part, FILE *to)
{
    size_t n = 0;

    for (size_t i = 0; i < CAP_N; i++) {
        if (strstr(capabilities[i].name, part)) {
            print_capability(&capabilities[i], to);
            n++;
        }
    }
    for (size_t i = 0; i < PARAM_N; i++) {
        if (strstr(parameters[i].name, part)) {
            print_parameter((enum parameter)i, to);
            n++;
        }
    }
    return n;
}

/* --- for programs ---------------------------------------------------------------------------- */

static json_t *capability_json(const struct capability_info *c)
{
    return json_pack("{s:s, s:s, s:s?, s:s, s:s, s:b, s:s?}", "name", c->name, "since", c->since,
                     "removed", c->removed, "side", side_name(c->side), "effect", c->effect,
                     "built", !c->unsupported, "unbuilt", c->unsupported);
}

/* The values of an enum, and whether this build has each. */
static json_t *names_json(enum parameter id)
{
    const char *const *names = parameters[id].names;
    json_t *list = json_array();

    for (uint64_t i = 0; names && names[i]; i++)
        json_array_append_new(list, json_pack("{s:s, s:b}", "name", names[i], "built",
                                              (int)parameter_is_built(id, i)));
    return list;
}

static json_t *parameter_json(enum parameter id)
{
    const struct parameter_info *p = &parameters[id];
    char range[PARAMETER_TEXT_MAX], standard[PARAMETER_TEXT_MAX], min[24], max[24];

    parameter_range(id, range);
    parameter_print(id, p->standard, standard);
    snprintf(min, sizeof(min), "%" PRId64, p->min);
    snprintf(max, sizeof(max), "%" PRIu64, p->max);
    json_t *json = json_pack(
        "{s:s, s:s, s:s?, s:s, s:s, s:s, s:s, s:s?, s:b, s:s, s:b, s:s?, s:s?, s:o}", "name",
        p->name, "since", p->since, "removed", p->removed, "type", parameter_kind_name(p->kind),
        "side", side_name(p->side), "default", standard, "range", range, "unit", p->unit, "live",
        (int)p->live, "effect", p->effect, "built", !p->unsupported, "unbuilt", p->unsupported,
        "ours", p->ours, "values", names_json(id));
    if (p->kind == KIND_NUMBER || p->kind == KIND_SIZE || p->kind == KIND_LEVEL) {
        json_object_set_new(json, "min", json_string(min));
        json_object_set_new(json, "max", json_string(max));
    }
    return json;
}

static json_t *default_json(const struct own_default *d)
{
    return json_pack("{s:s, s:s, s:s}", "name", d->name, "value", d->value, "why", d->why);
}

static json_t *rule_json(const struct rule *r)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s+, s:s?, s:s?, s:b, s:s?}", "id",
                     r->id, "class", gate_class_name(r->class), "moments",
                     names_of_moments(r->moments), "when", names_of_set(r->when), "newly",
                     names_of_set(r->newly), "needs", names_of_set(r->needs), "clashes",
                     names_of_set(r->clashes), "why", r->why, remedy_words(r->remedy), "since",
                     r->since, "until", r->until, "kept", !r->lapsed, "ours", r->ours);
}

json_t *rules_json(void)
{
    json_t *caps = json_array(), *params = json_array(), *own = json_array(), *all = json_array();

    for (size_t i = 0; i < CAP_N; i++)
        json_array_append_new(caps, capability_json(&capabilities[i]));
    for (size_t i = 0; i < PARAM_N; i++)
        json_array_append_new(params, parameter_json((enum parameter)i));
    for (size_t i = 0; i < n_own_defaults; i++)
        json_array_append_new(own, default_json(&own_defaults[i]));
    for (size_t i = 0; i < n_rules; i++)
        json_array_append_new(all, rule_json(&rules[i]));
    return json_pack("{s:o, s:o, s:o, s:o}", "capabilities", caps, "parameters", params, "defaults",
                     own, "rules", all);
}
