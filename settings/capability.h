/*
 * settings/capability.h: QEMU's migration capabilities, by QEMU's names: the versions that have
 * them, the end that sets them, and whether they have an effect here. rules.h says which of them go
 * together.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum capability {
    CAP_XBZRLE,
    CAP_RDMA_PIN_ALL,
    CAP_AUTO_CONVERGE,
    CAP_ZERO_BLOCKS,
    CAP_COMPRESS,
    CAP_EVENTS,
    CAP_POSTCOPY_RAM,
    CAP_X_COLO,
    CAP_RELEASE_RAM,
    CAP_BLOCK,
    CAP_RETURN_PATH,
    CAP_PAUSE_BEFORE_SWITCHOVER,
    CAP_DIRTY_BITMAPS,
    CAP_POSTCOPY_BLOCKTIME,
    CAP_LATE_BLOCK_ACTIVATE,
    CAP_MULTIFD,
    CAP_X_IGNORE_SHARED,
    CAP_VALIDATE_UUID,
    CAP_BACKGROUND_SNAPSHOT,
    CAP_ZERO_COPY_SEND,
    CAP_POSTCOPY_PREEMPT,
    CAP_SWITCHOVER_ACK,
    CAP_DIRTY_LIMIT,
    CAP_MAPPED_RAM,
    CAP_N,
};

/* Which end a capability or a parameter belongs to. */
enum side {
    SIDE_BOTH,        /* both ends, with the same value */
    SIDE_EACH,        /* each end for itself */
    SIDE_SOURCE,      /* the destination does not look at it */
    SIDE_DESTINATION, /* the source does not look at it */
    SIDE_N,
};

struct capability_info {
    const char *name;
    const char *since, *removed; /* QEMU versions; removed NULL: it is still there */
    enum side side;
    const char *effect;
    const char
        *unsupported; /* why it cannot be switched on here, as the user is told; NULL: it can */
};

/* A row for each capability, CAP_N in all. */
extern const struct capability_info capabilities[];

const char *side_name(enum side side);
/* -1: no capability has this name. */
int capability_find(const char *name);
