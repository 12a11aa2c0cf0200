#include "tools/own_settings.h"

#include <assert.h>

#include "base/cpus.h"
#include "settings/gate.h"

/* A channel is a thread at both ends. More channels than CPUs that this process may use do not
 * help, and a certain number of them fills the link. */
#define CHANNELS_AUTO_MIN 2U
#define CHANNELS_AUTO_MAX 16U

uint64_t own_channels(void)
{
    return MAX(MIN(cpus_usable(), CHANNELS_AUTO_MAX), CHANNELS_AUTO_MIN);
}

const struct own_default own_defaults[] = {
    {"return-path", "on", "unless it clashes with what is set"},
    {"multifd", "on", "unless the address is one connection, or it clashes with what is set"},
    {"max-bandwidth", "0", "no limit"},
    {"multifd-zstd-level", "-2", "what --compress zstd means"},
};
const size_t n_own_defaults = ARRAY_LEN(own_defaults);

/* The defaults of this program. Where both ends are set, the number of channels can be chosen; else
 * it is QEMU's default, since the other end must be told the same number. */
static void settings_own(bool two_vms, struct settings *ret)
{
    struct refusal refusal;
    struct error err;

    settings_init(ret);
    for (size_t i = 0; i < ARRAY_LEN(own_defaults); i++) {
        int rc = settings_say(ret, own_defaults[i].name, own_defaults[i].value, &refusal, &err);

        assert(rc == 0);
        (void)rc;
    }
    if (two_vms)
        ret->parameters[PARAM_MULTIFD_CHANNELS].number = own_channels();
    ret->explicit_capabilities = ret->explicit_parameters = 0;
}

/* Two VMs check their own settings: only what is wrong everywhere is refused here. */
static bool is_wrong_everywhere(const struct refusal *refusal)
{
    return refusal->class == GATE_CONFLICT || refusal->class == GATE_REQUIRES;
}

/* If the user's settings clash with capabilities that are only our defaults, all of those defaults
 * are switched off. */
int own_settings_check(struct settings *s, uint64_t world, bool two_vms, struct error *err)
{
    struct refusal refusal;
    struct settings whole;

    settings_own(two_vms, &whole);
    int rc = gate_set(&whole, s, world, &refusal, err);
    if (rc < 0 && refusal.class == GATE_CONFLICT) {
        whole.capabilities = 0;
        rc = gate_set(&whole, s, world, &refusal, err);
    }
    if (rc < 0 && (!two_vms || is_wrong_everywhere(&refusal)))
        return -1;
    settings_overlay(&whole, s);
    *s = whole;
    return 0;
}

/* No setting of the user's needs multifd or counts its channels. */
static bool multifd_is_default(const struct settings *s)
{
    return !settings_explicit_capability(s, CAP_MULTIFD) &&
           !settings_explicit(s, PARAM_MULTIFD_CHANNELS) && !settings_on(s, CAP_ZERO_COPY_SEND);
}

/* An address that has no room for channels: one connection, or a file without places for pages. */
static bool is_one_stream(const struct settings *s, uint64_t address_facts)
{
    return address_facts & IN_SET(FACT_ONE_CONNECTION) ||
           (address_facts & IN_SET(FACT_FILE_ADDRESS) && !settings_on(s, CAP_MAPPED_RAM));
}

int own_settings_start(struct settings *s, enum moment moment, uint64_t world, struct error *err)
{
    struct refusal refusal;

    if (is_one_stream(s, world) && multifd_is_default(s))
        s->capabilities &= ~IN_SET(CAP_MULTIFD);
    return gate_start(s, moment, world, &refusal, err);
}
