#include "migration/configure.h"

/* QEMU's MB of a dirty rate. */
#define MB (UINT64_C(1) << 20)

static unsigned percent(const struct settings *s, enum parameter id)
{
    return (unsigned)settings_number(s, id);
}

void outgoing_live_of(const struct settings *s, struct outgoing_live *ret)
{
    uint64_t dirty_mb = settings_number(s, PARAM_VCPU_DIRTY_LIMIT);

    *ret = (struct outgoing_live){
        .max_bytes_per_s = settings_number(s, PARAM_MAX_BANDWIDTH),
        .downtime_limit_ms = settings_number(s, PARAM_DOWNTIME_LIMIT),
        .switchover_bytes_per_s = settings_number(s, PARAM_AVAIL_SWITCHOVER_BANDWIDTH),
        .throttle_trigger_percent = percent(s, PARAM_THROTTLE_TRIGGER_THRESHOLD),
        .throttle_initial_percent = percent(s, PARAM_CPU_THROTTLE_INITIAL),
        .throttle_increment_percent = percent(s, PARAM_CPU_THROTTLE_INCREMENT),
        .throttle_max_percent = percent(s, PARAM_MAX_CPU_THROTTLE),
        .throttle_tailslow = settings_number(s, PARAM_CPU_THROTTLE_TAILSLOW),
        .vcpu_dirty_bytes_per_s = dirty_mb < UINT64_MAX / MB ? dirty_mb * MB : UINT64_MAX,
    };
}

void ram_set_rules_of(const struct settings *s, struct ram_set_rules *ret)
{
    *ret = (struct ram_set_rules){
        .mode = (enum migration_mode)settings_number(s, PARAM_MODE),
        .ignore_shared = settings_on(s, CAP_X_IGNORE_SHARED),
    };
}

uint32_t stream_capabilities_of(const struct settings *s)
{
    return (settings_on(s, CAP_X_IGNORE_SHARED) ? STREAM_CAP_X_IGNORE_SHARED : 0) |
           (settings_on(s, CAP_MAPPED_RAM) ? STREAM_CAP_MAPPED_RAM : 0);
}

void outgoing_configure(const struct settings *s, struct outgoing_config *ret)
{
    ret->connect.zero_copy = settings_on(s, CAP_ZERO_COPY_SEND);
    ret->n_channels = settings_channels(s);
    ret->method = (enum codec_method)settings_number(s, PARAM_MULTIFD_COMPRESSION);
    ret->level = settings_level(s);
    ret->mapped_ram = settings_on(s, CAP_MAPPED_RAM);
    ret->direct_io = settings_number(s, PARAM_DIRECT_IO);
    ram_set_rules_of(s, &ret->ram);
    ret->stop_first = ret->ram.mode == MODE_CPR_REBOOT;
    /* Whose memory it is has to be known: with cpr-transfer the destination is always asked. */
    ret->return_path = settings_on(s, CAP_RETURN_PATH) || ret->ram.mode == MODE_CPR_TRANSFER;
    ret->switchover_ack = settings_on(s, CAP_SWITCHOVER_ACK);
    ret->pause_before_switchover = settings_on(s, CAP_PAUSE_BEFORE_SWITCHOVER);
    ret->auto_converge = settings_on(s, CAP_AUTO_CONVERGE);
    ret->dirty_limit = settings_on(s, CAP_DIRTY_LIMIT);
    outgoing_live_of(s, &ret->live);
}
