/*
 * control/vm_core.h: what a VM knows, and what its life (vm.c) and its migrations do with it
 * alike. No other code includes it: vm.h, vm_migrate.h, vm_incoming.h and vm_dirty_rate.h are for
 * that.
 */
#pragma once

#include "control/job.h"
#include "control/run_status.h"
#include "control/vm_config.h"
#include "control/vm_event.h"
#include "migration/dirty_rate.h"
#include "settings/gate.h"

/* How far the VM is with its own end. */
struct vm_end {
    bool quitting, told_shutdown, told_over;
    struct error fatal; /* the failure that ends the VM; ERR_NONE: the VM goes on */
};

/* The last measurement of the dirty rate, and what was asked for. */
struct vm_measured {
    struct dirty_rate *rate; /* NULL: there was none */
    struct dirty_rate_config config;
    uint64_t start_s;
};

struct vm_events {
    void (*send)(void *arg, const struct vm_event *event); /* NULL: nowhere */
    void *arg;
};

struct vm {
    /* Set before any thread starts, read-only after. */
    struct vm_config config;
    char *name;
    struct uuid uuid;

    struct job_lock lock;

    /* Under the lock. */
    struct settings settings; /* owns its texts */
    struct run_reasons run;
    struct vm_end end;
    struct job *out, *in; /* NULL: there was none */
    struct vm_measured measured;
    struct vm_events events;
};

void vm_lock(struct vm *vm);
void vm_unlock(struct vm *vm);

/* Under the lock, which keeps events in the order of what happened. */
void vm_tell(struct vm *vm, const struct vm_event *event);
void vm_tell_status(struct vm *vm, enum migration_status status);
/* To be called after any change of the reasons that keep the guest paused. */
void vm_tell_whether_it_runs(struct vm *vm);

/* Under the lock: what holds now, for the gate. */
uint64_t vm_facts(const struct vm *vm);
/* Under the lock. True once, when after quit no migration runs any more: then the caller calls
 * vm_over() with *ret_why, without the lock. */
bool vm_is_over(struct vm *vm, struct error *ret_why);
void vm_over(const struct vm *vm, const struct error *why);
