/*
 * vmm/dirty_kind.h: the dirty sources of a guest under KVM, by name.
 */
#pragma once

#include "base/error.h"

enum dirty_kind {
    DIRTY_LOG,  /* KVM's log: vmm/dirty_log.h */
    DIRTY_RING, /* KVM's rings: vmm/dirty_ring.h */
    DIRTY_UFFD, /* userfaultfd: vmm/dirty_uffd.h */
    DIRTY_KINDS,
};

#define DIRTY_KIND_SYNTAX "log|ring|uffd"

const char *dirty_kind_name(enum dirty_kind kind);
/* ERR_USAGE. */
MUST_USE int dirty_kind_find(const char *name, enum dirty_kind *ret, struct error *err);
/* 0 where this host and process can have it; otherwise ERR_SYSTEM says why not. */
MUST_USE int dirty_kind_usable(enum dirty_kind kind, struct error *err);
