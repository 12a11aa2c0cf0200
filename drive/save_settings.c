#include "drive/save_settings.h"

#include <string.h>

#include "base/json_read.h"

/* Each would take memory elsewhere, let it out, or wait for a destination that runs the guest. A
 * dry run leaves switchover-ack on: nobody sends that ack here, and a file cannot. */
#define NOT_IN_A_SAVE                                                                              \
    (IN_SET(CAP_XBZRLE) | IN_SET(CAP_RDMA_PIN_ALL) | IN_SET(CAP_COMPRESS) |                        \
     IN_SET(CAP_POSTCOPY_RAM) | IN_SET(CAP_POSTCOPY_PREEMPT) | IN_SET(CAP_POSTCOPY_BLOCKTIME) |    \
     IN_SET(CAP_X_COLO) | IN_SET(CAP_RELEASE_RAM) | IN_SET(CAP_BLOCK) |                            \
     IN_SET(CAP_DIRTY_BITMAPS) | IN_SET(CAP_X_IGNORE_SHARED) | IN_SET(CAP_BACKGROUND_SNAPSHOT) |   \
     IN_SET(CAP_MAPPED_RAM) | IN_SET(CAP_SWITCHOVER_ACK))

/* Says so for a capability that the user has not set. */
static void say(struct settings *s, enum capability id, bool on)
{
    if (settings_explicit_capability(s, id))
        return;
    s->explicit_capabilities |= IN_SET(id);
    s->capabilities = on ? s->capabilities | IN_SET(id) : s->capabilities & ~IN_SET(id);
}

static int check(const struct settings *s, bool by_vm, struct error *err)
{
    if (settings_explicit(s, PARAM_TLS_CREDS))
        return err_set(err, ERR_USAGE, "tls-creds: a snapshot is taken without TLS");
    if (by_vm && settings_explicit(s, PARAM_MULTIFD_COMPRESSION) &&
        settings_number(s, PARAM_MULTIFD_COMPRESSION) != 0)
        return err_set(err, ERR_USAGE,
                       "a file that the VM writes has a place for every page: it cannot be "
                       "compressed");
    return 0;
}

static void say_mode(struct settings *s, const struct monitor *m)
{
    char mode[MONITOR_WORD_MAX];

    json_word(m->parameters, "mode", "normal", mode, sizeof(mode));
    if (strcmp(mode, "normal") == 0 || settings_explicit(s, PARAM_MODE))
        return;
    s->parameters[PARAM_MODE].number = MODE_NORMAL;
    s->explicit_parameters |= IN_SET(PARAM_MODE);
}

int save_settings(struct settings *s, const struct monitor *m, bool by_vm, struct error *err)
{
    if (check(s, by_vm, err) < 0)
        return -1;
    if (by_vm) {
        say(s, CAP_MAPPED_RAM, true);
        say(s, CAP_RETURN_PATH, false);
    }
    for (unsigned i = 0; i < CAP_N; i++) {
        if (NOT_IN_A_SAVE & IN_SET(i))
            say(s, (enum capability)i, false);
    }
    say_mode(s, m);
    return 0;
}

const char *save_tls_creds(const struct monitor *m)
{
    return json_string_length(json_object_get(m->parameters, "tls-creds")) ? "" : NULL;
}
