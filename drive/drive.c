#include "drive/drive.h"

#include <stdlib.h>

#include "base/macros.h"
#include "drive/drive_alike.h"
#include "drive/drive_check.h"
#include "drive/drive_devices.h"
#include "drive/drive_end.h"
#include "drive/drive_follow.h"
#include "drive/drive_start.h"
#include "drive/drive_state.h"
#include "drive/drive_tls.h"

static int open_both(struct drive *d, const char *from, const char *to, struct error *err)
{
    uint64_t connect_ms = d->config.connect_timeout_ms, answer_ms = d->config.stall_timeout_ms;

    if (cancel_init(&d->cancel, err) < 0 || drive_check_two(from, to, err) < 0 ||
        monitor_open(&d->from, "FROM", from, connect_ms, answer_ms, err) < 0)
        return -1;
    return monitor_open(&d->to, "TO", to, connect_ms, answer_ms, err);
}

/* All that can be known before TO listens, as a QEMU can do that once only. */
static int (*const preparations[])(struct drive *d, struct error *err) = {
    drive_check, drive_check_alike, drive_check_tls, drive_set, drive_check_folders, drive_note,
};

static int prepare(struct drive *d, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(preparations); i++) {
        if (preparations[i](d, err) < 0)
            return -1;
    }
    return 0;
}

int drive_open(const char *from, const char *to, const struct drive_config *config,
               struct drive **ret, struct error *err)
{
    struct drive *d = calloc(1, sizeof(*d));

    if (!d)
        return err_sys(err, "memory for a migration");
    d->config = *config;
    d->cancel.fd = -1;
    if (open_both(d, from, to, err) < 0 || prepare(d, err) < 0) {
        drive_free(d);
        return -1;
    }
    *ret = d;
    return 0;
}

int drive_run(struct drive *d, struct error *err)
{
    if (drive_start(d, err) < 0)
        return -1;
    if (drive_follow(d, err) < 0)
        return drive_with_states(d, err);
    return drive_conclude(d, err);
}

void drive_cancel(struct drive *d)
{
    cancel_request(&d->cancel);
}

/* NULL: it does not answer. */
static const char *state_of(struct monitor *m, char ret[static MONITOR_WORD_MAX])
{
    struct error ignored;

    return monitor_run_state(m, ret, &ignored) == 0 ? ret : NULL;
}

bool drive_result(struct drive *d, struct drive_result *ret)
{
    if (!d->migration)
        return false;
    *ret = (struct drive_result){
        .migration = d->migration,
        .guest = d->guest,
        .advice = d->advice.given ? &d->advice : NULL,
        .uri = d->uri,
        .from = d->from.address,
        .to = d->to.address,
        .from_state = state_of(&d->from, d->from_state),
        .to_state = state_of(&d->to, d->to_state),
    };
    return true;
}

void drive_done(struct drive *d)
{
    json_decref(d->migration);
    json_decref(d->guest);
    cancel_done(&d->cancel);
    monitor_close(&d->from);
    monitor_close(&d->to);
}

void drive_free(struct drive *d)
{
    if (!d)
        return;
    drive_done(d);
    free(d);
}
