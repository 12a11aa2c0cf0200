#include "settings/gate.h"

#include "compress/codec.h"
#include "transport/transport.h"

/* --- what holds ------------------------------------------------------------------------------ */

uint64_t gate_facts(const struct settings *s, uint64_t world)
{
    uint64_t mode = settings_number(s, PARAM_MODE), have = world | s->capabilities;
    bool creds = settings_text(s, PARAM_TLS_CREDS)[0];
    const struct {
        enum fact fact;
        bool holds;
    } facts[] = {
        {FACT_TLS_CREDS, creds},
        {FACT_TLS_HOSTNAME, settings_text(s, PARAM_TLS_HOSTNAME)[0]},
        {FACT_TLS_AUTHZ, settings_text(s, PARAM_TLS_AUTHZ)[0]},
        {FACT_TLS, creds || world & IN_SET(FACT_TLS_PSK)},
        {FACT_COMPRESSED, settings_number(s, PARAM_MULTIFD_COMPRESSION) != CODEC_NONE},
        {FACT_DIRECT_IO, settings_number(s, PARAM_DIRECT_IO)},
        {FACT_CPR, mode != MODE_NORMAL},
        {FACT_CPR_TRANSFER, mode == MODE_CPR_TRANSFER},
        {FACT_CPR_EXEC, mode == MODE_CPR_EXEC},
        {FACT_CPR_EXEC_COMMAND, settings_text(s, PARAM_CPR_EXEC_COMMAND)[0]},
        {FACT_THROTTLE_CROSSED, settings_number(s, PARAM_MAX_CPU_THROTTLE) <
                                    settings_number(s, PARAM_CPU_THROTTLE_INITIAL)},
    };

    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        have |= facts[i].holds ? IN_SET(facts[i].fact) : 0;
    return have;
}

uint64_t gate_address_facts(const struct address *a)
{
    return (transport_many(a) ? 0 : IN_SET(FACT_ONE_CONNECTION)) |
           (a->scheme == ADDRESS_UNIX ? IN_SET(FACT_UNIX_ADDRESS) : 0) |
           (a->scheme == ADDRESS_FILE ? IN_SET(FACT_FILE_ADDRESS) : 0);
}

/* --- what is being set ----------------------------------------------------------------------- */

#define SETTING_N (CAP_N + PARAM_N)

/* A capability or a parameter that a change sets. */
struct setting {
    const char *name, *unsupported;
    enum side side;
    bool asks; /* its value is not the default: off, or QEMU's default */
    bool live;
};

static struct setting capability_at(const struct settings *change, enum capability id)
{
    const struct capability_info *c = &capabilities[id];

    return (struct setting){
        .name = c->name,
        .unsupported = c->unsupported,
        .side = c->side,
        .asks = settings_on(change, id),
        .live = true, /* rule C1 decides for all capabilities whether they may change now */
    };
}

static struct setting parameter_at(const struct settings *change, enum parameter id)
{
    const struct parameter_info *p = &parameters[id];

    return (struct setting){
        .name = p->name,
        .unsupported = p->unsupported,
        .side = p->side,
        .asks = !parameter_equal(id, change->parameters[id], p->standard),
        .live = p->live,
    };
}

/* i < SETTING_N. False where the change does not set it. */
static bool setting_at(const struct settings *change, unsigned i, struct setting *ret)
{
    bool is_capability = i < CAP_N;
    uint64_t said = is_capability ? change->explicit_capabilities : change->explicit_parameters;

    if (!(said & IN_SET(is_capability ? i : i - CAP_N)))
        return false;
    *ret = is_capability ? capability_at(change, (enum capability)i)
                         : parameter_at(change, (enum parameter)(i - CAP_N));
    return true;
}

static bool is_unsupported(const struct setting *s, uint64_t world)
{
    (void)world;
    return s->unsupported && s->asks;
}

static bool is_other_end(const struct setting *s, uint64_t world)
{
    return (s->side == SIDE_SOURCE && world & IN_SET(FACT_DESTINATION)) ||
           (s->side == SIDE_DESTINATION && world & IN_SET(FACT_SOURCE));
}

static bool is_not_live(const struct setting *s, uint64_t world)
{
    (void)world;
    return !s->live;
}

static const struct {
    enum fact fact;
    bool (*holds)(const struct setting *s, uint64_t world);
} found_facts[] = {
    {FACT_UNSUPPORTED, is_unsupported},
    {FACT_OTHER_END, is_other_end},
    {FACT_NOT_LIVE, is_not_live},
};

/* Returns those of `wanted` that hold for a setting of the change; *ret_last is the last such
 * setting. */
static uint64_t find_facts(const struct settings *change, uint64_t wanted, uint64_t world,
                           struct setting *ret_last)
{
    uint64_t have = 0;

    for (unsigned i = 0; i < SETTING_N; i++) {
        struct setting s;

        if (!setting_at(change, i, &s))
            continue;
        for (size_t f = 0; f < ARRAY_LEN(found_facts); f++) {
            uint64_t fact = IN_SET(found_facts[f].fact);

            if (!(wanted & fact) || !found_facts[f].holds(&s, world))
                continue;
            have |= fact;
            *ret_last = s;
        }
    }
    return have;
}

/* A rule about a setting names it. Where the setting is not in this build, it gives its own
 * reason. */
static int refuse(const struct rule *rule, const struct settings *change, uint64_t world,
                  struct refusal *ret, struct error *err)
{
    struct setting s;
    uint64_t about = find_facts(change, rule->when, world, &s);

    if (!about)
        return rule_say(rule, NULL, NULL, ret, err);
    return rule_say(rule, s.name, about & IN_SET(FACT_UNSUPPORTED) ? s.unsupported : NULL, ret,
                    err);
}

/* --- the gate -------------------------------------------------------------------------------- */

int gate_set(struct settings *now, const struct settings *change, uint64_t world,
             struct refusal *ret, struct error *err)
{
    unsigned moments = (change->explicit_capabilities ? AT_CAPABILITIES : 0) |
                       (change->explicit_parameters ? AT_PARAMETERS : 0);
    struct settings want = *now;

    settings_overlay(&want, change);
    uint64_t have =
        gate_facts(&want, world) | find_facts(change, UINT64_MAX, world, &(struct setting){0});
    uint64_t newly = have & ~gate_facts(now, world);
    const struct rule *rule = rules_ask(moments, have, newly);
    if (rule)
        return refuse(rule, change, world, ret, err);
    *now = want;
    return 0;
}

int gate_start(const struct settings *s, enum moment moment, uint64_t world, struct refusal *ret,
               struct error *err)
{
    const struct rule *rule = rules_ask(moment, gate_facts(s, world), 0);

    return rule ? rule_say(rule, NULL, NULL, ret, err) : 0;
}
