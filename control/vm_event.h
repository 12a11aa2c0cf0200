/*
 * control/vm_event.h: what a VM tells about itself, in the order in which it happens. qmp_event.c
 * puts it into QMP's words.
 */
#pragma once

#include <stdint.h>

#include "migration/stats.h"

/* Why a VM ends. */
enum shutdown_reason {
    SHUTDOWN_QUIT, /* a monitor's client said so */
    SHUTDOWN_SIGNAL,
    SHUTDOWN_ERROR,
    SHUTDOWN_GUEST, /* the guest has ended itself */
    SHUTDOWN_GUEST_PANIC,
    SHUTDOWN_REASON_N,
};

enum vm_event_kind {
    VM_EVENT_STOP, /* the guest is paused */
    VM_EVENT_RESUME,
    VM_EVENT_SHUTDOWN,
    /* These two only with the capability `events`. */
    VM_EVENT_MIGRATION,
    VM_EVENT_MIGRATION_PASS,
    VM_EVENT_KIND_N,
};

struct vm_event {
    enum vm_event_kind kind;
    enum shutdown_reason reason;  /* of VM_EVENT_SHUTDOWN */
    enum migration_status status; /* of VM_EVENT_MIGRATION */
    uint64_t pass;                /* of VM_EVENT_MIGRATION_PASS */
};
