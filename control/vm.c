#include "control/vm.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "migration/credentials.h"
#include "migration/destination.h"
#include "migration/plan.h"
#include "migration/source.h"

/* A migration, outgoing or incoming, and its thread. */
struct job {
    /* Set before the thread starts. */
    struct vm *vm;
    struct source *outgoing; /* one of these two; the other is NULL */
    struct destination *incoming;
    struct target *target;
    struct tls_creds *tls;
    bool exit_on_error;
    struct thread thread;

    /* Under the VM's lock. */
    bool alive;                   /* until the engine is freed */
    bool open;                    /* other threads may call the engine */
    unsigned users;               /* threads that have borrowed the engine */
    bool asked;                   /* incoming: vm_incoming() waits until it listens */
    bool refused;                 /* incoming: it failed meanwhile; only vm_incoming() tells it */
    bool listens;                 /* incoming: it listens, or has its file open */
    bool arrived;                 /* incoming: the source is there */
    bool landed;                  /* incoming: the guest is here, some of its memory is not */
    bool held;                    /* incoming: it is here, and nobody knows whether it may run */
    enum migration_status status; /* the last one that the engine told */
    struct error failure;         /* ERR_NONE: it has not failed */
    struct migration_snapshot last;
};

struct vm {
    /* Set before any thread starts, read-only after. */
    struct vm_config config;
    char *name;
    struct uuid uuid;

    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* Under the lock. */
    struct settings settings; /* owns its texts */
    struct run_reasons run;
    bool quitting, told_shutdown, told_over;
    struct error fatal;   /* the failure that ends the VM; ERR_NONE: the VM goes on */
    struct job *out, *in; /* NULL: there was none */
    struct dirty_rate *rate;
    struct vm_dirty_rate rate_asked;
    void (*event)(void *arg, const struct vm_event *event); /* NULL: nowhere */
    void *event_arg;
};

/* --- events ---------------------------------------------------------------------------------- */

/* Under the lock, which keeps events in the order of what happened. */
static void tell(struct vm *vm, const struct vm_event *event)
{
    bool of_migration = event->kind == VM_EVENT_MIGRATION || event->kind == VM_EVENT_MIGRATION_PASS;

    if (vm->event && (!of_migration || settings_on(&vm->settings, CAP_EVENTS)))
        vm->event(vm->event_arg, event);
}

static void tell_status(struct vm *vm, enum migration_status status)
{
    tell(vm, &(struct vm_event){.kind = VM_EVENT_MIGRATION, .status = status});
}

/* To be called after any change of the reasons that keep the guest paused. */
static void tell_whether_it_runs(struct vm *vm)
{
    if (run_reasons_update(&vm->run))
        tell(vm, &(struct vm_event){.kind = vm->run.runs ? VM_EVENT_RESUME : VM_EVENT_STOP});
}

void vm_set_events(struct vm *vm, void (*event)(void *arg, const struct vm_event *event), void *arg)
{
    pthread_mutex_lock(&vm->lock);
    vm->event = event;
    vm->event_arg = arg;
    pthread_mutex_unlock(&vm->lock);
}

/* --- the guest ------------------------------------------------------------------------------- */

enum run_status vm_run_status(struct vm *vm, bool *ret_running)
{
    pthread_mutex_lock(&vm->lock);
    enum run_status status = run_status_of(&vm->run);
    *ret_running = vm->run.runs;
    pthread_mutex_unlock(&vm->lock);
    return status;
}

const char *vm_name(const struct vm *vm)
{
    return vm->name;
}

const struct uuid *vm_uuid(const struct vm *vm)
{
    return &vm->uuid;
}

struct machine *vm_machine(const struct vm *vm)
{
    return vm->config.machine;
}

int vm_stop(struct vm *vm, struct error *err)
{
    pthread_mutex_lock(&vm->lock);
    int rc = machine_stop(vm->config.machine, MACHINE_PAUSED, err);
    if (rc == 0) {
        vm->run.paused = true;
        tell_whether_it_runs(vm);
    }
    pthread_mutex_unlock(&vm->lock);
    return rc < 0 ? err_in(err, "stop the guest") : 0;
}

/* Under the lock. */
static void let_run(struct vm *vm)
{
    if (vm->run.moved) { /* it may run elsewhere: a user who says cont here is expected to know */
        vm->run.moved = vm->run.moving = false;
        machine_resume(vm->config.machine, MACHINE_MOVING);
    }
    vm->run.paused = false;
    machine_resume(vm->config.machine, MACHINE_PAUSED);
    tell_whether_it_runs(vm);
}

/* Under the lock. If the user wants it, two copies of the guest may run on two hosts, but never in
 * the same memory. */
static int take_back(struct vm *vm, struct error *err)
{
    return machine_activate(vm->config.machine, err);
}

int vm_cont(struct vm *vm, struct error *err)
{
    pthread_mutex_lock(&vm->lock);
    int rc = vm->run.moved ? take_back(vm, err) : 0;
    if (rc == 0)
        let_run(vm);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

/* --- a migration's engine -------------------------------------------------------------------- */

/*
 * Keeps the engine from being freed until give_back(). The engine must not be called under our
 * lock, since it has its own and calls us. NULL if no engine is open.
 */
static struct job *borrow(struct vm *vm, struct job *const *which)
{
    pthread_mutex_lock(&vm->lock);
    struct job *job = *which;
    if (job && job->open)
        job->users++;
    else
        job = NULL;
    pthread_mutex_unlock(&vm->lock);
    return job;
}

static void give_back(struct job *job)
{
    pthread_mutex_lock(&job->vm->lock);
    job->users--;
    pthread_cond_broadcast(&job->vm->changed);
    pthread_mutex_unlock(&job->vm->lock);
}

static void job_cancel(struct vm *vm, struct job *const *which)
{
    struct job *job = borrow(vm, which);

    if (!job)
        return;
    if (job->outgoing)
        source_cancel(job->outgoing);
    else
        destination_cancel(job->incoming);
    give_back(job);
}

static void job_stats(const struct job *job, struct migration_snapshot *ret)
{
    if (job->outgoing)
        source_stats(job->outgoing, ret);
    else
        destination_stats(job->incoming, ret);
}

static void free_engine(struct job *job)
{
    source_free(job->outgoing);
    destination_free(job->incoming);
    target_free(job->target);
    job->outgoing = NULL;
    job->incoming = NULL;
    job->target = NULL;
}

/* Only before its thread starts or after the join, while nobody has borrowed it. NULL is fine. */
static void job_free(struct job *job)
{
    if (!job)
        return;
    free_engine(job);
    tls_creds_free(job->tls);
    free(job);
}

static bool is_final(enum migration_status status)
{
    return status == MIGRATION_COMPLETED || status == MIGRATION_FAILED ||
           status == MIGRATION_CANCELLED;
}

/* True in the last moments of a job: it is about to end; or it could not listen, and vm_incoming()
 * is about to free it. */
static bool is_leaving(const struct job *job)
{
    return job->alive ? is_final(job->status) : job->asked;
}

/* Under the lock. A client that was told that a migration is over must find it over: waits until
 * the job has ended. */
static void settle(struct vm *vm, struct job *const *which)
{
    while (*which && is_leaving(*which))
        pthread_cond_wait(&vm->changed, &vm->lock);
}

/* Under the lock. The old job is no longer alive: its thread takes no lock any more. */
static void job_replace(struct job **which, struct job *by)
{
    if (*which)
        thread_join(&(*which)->thread);
    job_free(*which);
    *which = by;
}

/* Under the lock: true once, when the owner is to be told. */
static bool is_over(struct vm *vm)
{
    bool runs = (vm->out && vm->out->alive) || (vm->in && vm->in->alive);
    bool over = vm->quitting && !runs && !vm->told_over;

    vm->told_over |= over;
    return over;
}

/* When this returns no other thread is in the engine, and none can enter it. */
static void shut_out(struct job *job)
{
    pthread_mutex_lock(&job->vm->lock);
    job->open = false;
    while (job->users)
        pthread_cond_wait(&job->vm->changed, &job->vm->lock);
    pthread_mutex_unlock(&job->vm->lock);
}

/*
 * The thread's last step: what stays of the job is its result. After its last release of the lock
 * the thread does not take it again, so a thread that holds the lock may join it.
 */
static void job_end(struct job *job, int rc, const struct error *err)
{
    struct vm *vm = job->vm;
    bool failed = rc < 0 && err->kind != ERR_CANCELLED && !job->refused;
    /* A guest that has arrived, but whose memory could not all be read from the file, cannot go
     * on. */
    bool fatal = failed && !job->held && (job->exit_on_error || job->landed);

    job_stats(job, &job->last);
    shut_out(job);
    free_engine(job);
    pthread_mutex_lock(&vm->lock);
    if (failed)
        job->failure = *err;
    if (fatal)
        vm->fatal = *err;
    vm->quitting |= fatal;
    job->alive = false;
    bool over = is_over(vm), undecided = failed && vm->run.moved;
    struct error why = vm->fatal;
    pthread_cond_broadcast(&vm->changed);
    pthread_mutex_unlock(&vm->lock);
    if (undecided && vm->config.undecided)
        vm->config.undecided(vm->config.arg, err);
    if (over)
        vm->config.over(vm->config.arg, why.kind != ERR_NONE ? &why : NULL);
}

static struct job *job_new(struct vm *vm, struct error *err)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job) {
        err_sys(err, "memory for a migration");
        return NULL;
    }
    job->vm = vm;
    job->alive = job->open = true;
    job->status = MIGRATION_SETUP;
    return job;
}

/* What both ends need to connect. A notice about the engine is dropped. */
static void configure_connections(const struct vm *vm, const struct job *job,
                                  const struct address *address, struct connect_config *ret)
{
    char ignored[ENGINE_NOTICE_LEN];

    ret->address = *address;
    ret->engine = engine_choose(vm->config.engine, ret->zero_copy, ignored);
    ret->tls = job->tls;
    ret->connect_timeout_ms = vm->config.connect_timeout_ms;
    ret->stall_timeout_ms = vm->config.stall_timeout_ms;
    ret->answer_timeout_ms = vm->config.answer_timeout_ms;
}

static int open_credentials(const struct vm *vm, struct job *job, bool server,
                            const struct address *address, struct error *err)
{
    const struct credentials_config config = {
        .server = server, .settings = &vm->settings, .address = address};

    const char *notice;

    if (credentials_open(&config, &job->tls, err) < 0)
        return -1;
    for (size_t i = 0; job->tls && (notice = tls_creds_notice(job->tls, i)); i++) {
        if (vm->config.notice)
            vm->config.notice(vm->config.arg, notice);
    }
    return 0;
}

/* --- what holds ------------------------------------------------------------------------------ */

/* Under the lock. */
static uint64_t world_of(const struct vm *vm)
{
    bool in = vm->in && vm->in->alive && !vm->in->landed;

    return vm->config.host_facts | (vm->out && vm->out->alive ? IN_SET(FACT_OUTGOING) : 0) |
           (in ? IN_SET(FACT_LISTENING) : 0) | (in && vm->in->arrived ? IN_SET(FACT_INCOMING) : 0) |
           (vm->run.waiting ? IN_SET(FACT_WAITING) : 0) |
           (vm->run.moved ? IN_SET(FACT_POSTMIGRATE) : 0) |
           (ram_set_any_private(&vm->config.machine->ram) ? IN_SET(FACT_RAM_PRIVATE) : 0);
}

static int may_start(struct vm *vm, enum moment moment, const struct address *address,
                     uint64_t world, struct error *err)
{
    struct refusal ignored;

    if (vm->quitting)
        return err_set(err, ERR_USAGE, "this VM is about to end");
    world |= world_of(vm) | (address ? gate_address_facts(address) : 0);
    return gate_start(&vm->settings, moment, world, &ignored, err);
}

/* --- out ------------------------------------------------------------------------------------- */

static void out_status(void *arg, enum migration_status status)
{
    struct job *job = arg;
    struct vm *vm = job->vm;

    pthread_mutex_lock(&vm->lock);
    job->status = status;
    vm->run.moved = is_final(status) && (status == MIGRATION_COMPLETED || vm->run.moving);
    tell_status(vm, status);
    pthread_mutex_unlock(&vm->lock);
}

static void out_pass(void *arg, uint64_t pass)
{
    const struct job *job = arg;

    pthread_mutex_lock(&job->vm->lock);
    tell(job->vm, &(struct vm_event){.kind = VM_EVENT_MIGRATION_PASS, .pass = pass});
    pthread_mutex_unlock(&job->vm->lock);
}

static void out_guest(void *arg, bool running)
{
    const struct job *job = arg;

    pthread_mutex_lock(&job->vm->lock);
    job->vm->run.moving = !running;
    tell_whether_it_runs(job->vm);
    pthread_mutex_unlock(&job->vm->lock);
}

/* Waits until no memory of the guest is left in the file that it was loaded from; before that it
 * cannot be migrated. False: that has failed, and ends the VM. */
static bool await_memory(struct vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    while (vm->in && vm->in->alive)
        pthread_cond_wait(&vm->changed, &vm->lock);
    bool lost = vm->in && vm->in->landed && vm->in->status != MIGRATION_COMPLETED;
    pthread_mutex_unlock(&vm->lock);
    return !lost;
}

static void *out_main(void *arg)
{
    struct job *job = arg;
    struct error err;

    if (!await_memory(job->vm))
        source_cancel(job->outgoing);
    int rc = source_run(job->outgoing, &err);

    job_end(job, rc, &err);
    return NULL;
}

/* After quit the guest must not continue, not in a new program either. */
static int out_replace(void *arg, struct error *err)
{
    const struct job *job = arg;
    struct vm *vm = job->vm;

    pthread_mutex_lock(&vm->lock);
    bool quitting = vm->quitting;
    char *command = strdup(settings_text(&vm->settings, PARAM_CPR_EXEC_COMMAND));
    pthread_mutex_unlock(&vm->lock);
    int rc = command ? 0 : err_sys(err, "memory for a command");
    if (quitting)
        rc = err_set(err, ERR_CANCELLED, "cancelled");
    if (rc == 0)
        rc = vm->config.replace(vm->config.arg, command, err);
    free(command);
    return rc;
}

/* Refuses a block that the next program could not make again, because its file holds data. Called
 * before anything stops. */
static int check_stays(const struct ram_map *ram, struct error *err)
{
    for (size_t i = 0; i < ram->n; i++) {
        const struct ram_block *b = &ram->blocks[i];

        if (b->named && !b->migratable)
            return err_set(err, ERR_USAGE,
                           "mode cpr-exec: RAM block '%s' is a file and not migratable: the next "
                           "program could not take it",
                           b->name);
    }
    return 0;
}

/* Under the lock. The settings go into the engine's config; in the machine only what the stream
 * says about it, its UUID, is set. */
static int out_prepare(struct vm *vm, struct job *job, const struct address *to,
                       const struct address *cpr, struct error *err)
{
    bool replaces = settings_number(&vm->settings, PARAM_MODE) == MODE_CPR_EXEC;
    struct machine *m = vm->config.machine;
    struct source_config config;

    if (replaces && !vm->config.replace)
        return err_set(err, ERR_USAGE, "mode cpr-exec: this program cannot be replaced");
    if (replaces && check_stays(&m->ram, err) < 0)
        return -1;
    source_config_init(&config);
    source_configure(&vm->settings, &config);
    configure_connections(vm, job, to, &config.connect);
    config.uuid = vm->uuid;
    config.observer = (struct migration_observer){
        .status = out_status, .pass = out_pass, .guest = out_guest, .arg = job};
    config.hand_over = cpr != NULL;
    if (cpr)
        config.cpr = *cpr;
    config.replace = replaces ? out_replace : NULL;
    config.replace_arg = job;
    m->config.uuid = vm->uuid;
    m->config.has_uuid = settings_on(&vm->settings, CAP_VALIDATE_UUID) && uuid_is_set(&vm->uuid);
    return source_new(&config, m, &job->outgoing, err);
}

int vm_migrate(struct vm *vm, const struct address *to, const struct address *cpr, uint64_t world,
               struct error *err)
{
    struct job *job = NULL;

    pthread_mutex_lock(&vm->lock);
    if (cpr && cpr->scheme == ADDRESS_UNIX)
        world |= IN_SET(FACT_CPR_CHANNEL);
    else if (cpr && settings_number(&vm->settings, PARAM_MODE) != MODE_CPR_TRANSFER)
        world |= IN_SET(FACT_BAD_CHANNELS);
    settle(vm, &vm->out);
    settle(vm, &vm->in); /* a guest that has just come may be sent on at once */
    int rc = may_start(vm, AT_MIGRATE, to, world, err);
    if (rc == 0 && vm->rate) /* the measurement may be using the dirty log */
        dirty_rate_stop(vm->rate);
    if (rc == 0)
        rc = (job = job_new(vm, err)) ? 0 : -1;
    if (rc == 0)
        rc = open_credentials(vm, job, false, to, err);
    if (rc == 0)
        rc = out_prepare(vm, job, to, cpr, err);
    if (rc == 0)
        rc = thread_start(&job->thread, out_main, job, err, "outgoing");
    if (rc == 0)
        job_replace(&vm->out, job);
    else
        job_free(job);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

void vm_cancel(struct vm *vm)
{
    job_cancel(vm, &vm->out);
}

int vm_continue(struct vm *vm, struct error *err)
{
    struct job *job = borrow(vm, &vm->out);

    if (!job)
        return err_set(err, ERR_USAGE, "no migration runs");
    int rc = source_continue(job->outgoing, err);
    give_back(job);
    return rc;
}

/* --- in -------------------------------------------------------------------------------------- */

/* The guest is here: it runs, unless its user paused it, here or at the source. */
static void arrive(struct vm *vm)
{
    vm->run.paused = machine_is_paused_for(vm->config.machine, MACHINE_PAUSED);
    vm->run.waiting = vm->run.moving = false;
    vm->run.started = true;
    machine_resume(vm->config.machine, MACHINE_MOVING);
    tell_whether_it_runs(vm);
}

/* The guest is here, but stays paused like one that was migrated away: cont lets it run. */
static void hold_back(struct job *job)
{
    job->held = true;
    job->vm->run.waiting = false;
    job->vm->run.moved = true;
}

/* The guest was loaded from a file, and some of its memory is still in that file. */
static void in_guest(void *arg, bool running)
{
    struct job *job = arg;

    (void)running;
    pthread_mutex_lock(&job->vm->lock);
    arrive(job->vm);
    job->landed = true;
    pthread_cond_broadcast(&job->vm->changed);
    pthread_mutex_unlock(&job->vm->lock);
}

/* The engine reports setup when the source is there. That is not told again: setup was told when
 * the migration began to listen, as in QEMU. */
static void in_status(void *arg, enum migration_status status)
{
    struct job *job = arg;
    struct vm *vm = job->vm;

    pthread_mutex_lock(&vm->lock);
    job->arrived = true;
    job->status = status;
    if (status == MIGRATION_COMPLETED && !job->landed)
        arrive(vm);
    if (status == MIGRATION_FAILED && vm->config.attended && destination_holds_guest(job->incoming))
        hold_back(job);
    if (status != MIGRATION_SETUP)
        tell_status(vm, status);
    pthread_mutex_unlock(&vm->lock);
}

/* Under the lock. The migration listens, or vm_incoming() waits for that no longer. */
static void tell_begun(struct job *job)
{
    if (job->asked)
        tell_status(job->vm, MIGRATION_SETUP);
    job->asked = false;
    pthread_cond_broadcast(&job->vm->changed);
}

static void in_listens(struct job *job)
{
    pthread_mutex_lock(&job->vm->lock);
    job->listens = true;
    tell_begun(job);
    pthread_mutex_unlock(&job->vm->lock);
}

/* False where vm_incoming() no longer waits: then this is an ordinary failure of a migration. */
static bool in_refused(struct job *job, const struct error *err)
{
    pthread_mutex_lock(&job->vm->lock);
    job->refused = job->asked;
    if (job->refused)
        job->failure = *err;
    bool refused = job->refused;
    pthread_mutex_unlock(&job->vm->lock);
    return refused;
}

static void in_turned_away(void *arg, const struct error *why)
{
    struct job *job = arg;
    struct vm *vm = job->vm;

    if (vm->config.refused)
        vm->config.refused(vm->config.arg, why);
}

static void *in_main(void *arg)
{
    struct job *job = arg;
    struct error err;
    int rc = destination_listen(job->incoming, &err);

    if (rc == 0)
        in_listens(job);
    if (rc == 0 || !in_refused(job, &err))
        rc = destination_run(job->incoming, &err);
    job_end(job, rc, &err);
    return NULL;
}

/* Under the lock. Waits until the job listens, for `patience_ms` at most. The VM owns the job after
 * this; one that fails to listen while it waits is freed. */
static int await_listening(struct vm *vm, struct job *job, uint64_t patience_ms, struct error *err)
{
    struct timespec until = deadline_timespec(deadline_in_ms(patience_ms));
    struct job *last = vm->in;
    bool in_time = true;

    vm->in = job;
    while (job->asked && job->alive && (in_time || job->refused)) {
        if (patience_ms == 0 || job->refused)
            pthread_cond_wait(&vm->changed, &vm->lock);
        else
            in_time = pthread_cond_clockwait(&vm->changed, &vm->lock, CLOCK_MONOTONIC, &until) == 0;
    }
    if (!job->refused) {
        tell_begun(job);
        job_replace(&last, NULL);
        return 0;
    }
    *err = job->failure;
    vm->in = last;
    pthread_cond_broadcast(&vm->changed);
    job_replace(&job, NULL);
    return -1;
}

static int in_prepare(struct vm *vm, struct job *job, const struct address *at, struct error *err)
{
    const struct settings *s = &vm->settings;
    struct destination_config config;
    struct ram_set_rules ram;

    destination_config_init(&config);
    configure_connections(vm, job, at, &config.connect);
    destination_configure(s, &config);
    config.open_capabilities =
        vm->config.open_capabilities |
        (settings_explicit_capability(s, CAP_MAPPED_RAM) ? 0 : STREAM_CAP_MAPPED_RAM);
    config.machine = vm->config.machine->config.machine;
    config.uuid = uuid_is_set(&vm->uuid) ? &vm->uuid : NULL;
    config.uuid_may_lack = config.main_any_time = true;
    config.populate_threads = vm->config.populate_threads;
    if (settings_on(s, CAP_MULTIFD))
        config.file_threads = settings_channels(s);
    config.direct_io = settings_number(s, PARAM_DIRECT_IO);
    config.observer = (struct migration_observer){
        .status = in_status, .guest = in_guest, .refused = in_turned_away, .arg = job};
    ram_set_rules_of(s, &ram);
    if (vm->config.land(vm->config.arg, &ram, &job->target, err) < 0)
        return -1;
    return destination_new(&config, job->target, &job->incoming, err);
}

int vm_incoming(struct vm *vm, const struct address *at, uint64_t world, bool exit_on_error,
                uint64_t patience_ms, struct error *err)
{
    struct job *job = NULL;

    pthread_mutex_lock(&vm->lock);
    settle(vm, &vm->in);
    int rc = may_start(vm, AT_INCOMING, at, world, err);
    if (rc == 0)
        rc = (job = job_new(vm, err)) ? 0 : -1;
    if (rc == 0)
        rc = open_credentials(vm, job, true, at, err);
    if (rc == 0)
        rc = in_prepare(vm, job, at, err);
    if (rc == 0) {
        job->exit_on_error = exit_on_error;
        job->asked = true;
        rc = thread_start(&job->thread, in_main, job, err, "incoming");
    }
    if (rc == 0)
        rc = await_listening(vm, job, patience_ms, err);
    else
        job_free(job);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

int vm_incoming_wait(struct vm *vm, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&vm->lock);
    while (vm->in && vm->in->alive && !vm->in->landed)
        pthread_cond_wait(&vm->changed, &vm->lock);
    if (vm->in && vm->in->status == MIGRATION_CANCELLED)
        rc = err_set(err, ERR_CANCELLED, "cancelled");
    if (vm->in && vm->in->status == MIGRATION_FAILED) {
        *err = vm->in->failure;
        rc = -1;
    }
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

void vm_listening(struct vm *vm, char ret[static VM_ADDRESS_LEN])
{
    struct job *job = borrow(vm, &vm->in);

    ret[0] = 0;
    if (!job)
        return;
    pthread_mutex_lock(&vm->lock);
    bool listens = job->listens;
    pthread_mutex_unlock(&vm->lock);
    if (listens)
        strncat(ret, destination_address(job->incoming), VM_ADDRESS_LEN - 1);
    give_back(job);
}

/* --- settings -------------------------------------------------------------------------------- */

int vm_settings(struct vm *vm, struct settings *ret, struct error *err)
{
    pthread_mutex_lock(&vm->lock);
    int rc = settings_copy(&vm->settings, ret, err);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

static int let_in(struct vm *vm, const struct settings *change, struct runtime_parameters *ret_live,
                  struct error *err)
{
    struct settings want = vm->settings, owned;
    struct refusal ignored;

    if (gate_set(&want, change, world_of(vm), &ignored, err) < 0 ||
        settings_copy(&want, &owned, err) < 0)
        return -1;
    settings_copy_done(&vm->settings);
    vm->settings = owned;
    runtime_parameters_of(&owned, ret_live);
    return 0;
}

int vm_set(struct vm *vm, const struct settings *change, struct error *err)
{
    struct runtime_parameters live;

    pthread_mutex_lock(&vm->lock);
    settle(vm, &vm->out);
    settle(vm, &vm->in);
    int rc = let_in(vm, change, &live, err);
    pthread_mutex_unlock(&vm->lock);
    struct job *job = rc == 0 ? borrow(vm, &vm->out) : NULL;
    if (!job)
        return rc;
    source_update(job->outgoing, &live);
    give_back(job);
    return 0;
}

/* --- its RAM blocks --------------------------------------------------------------------------- */

/* Under the lock, which also guards `migratable`; a migration has its own copy of that. */
static struct ram_block *find_block(const struct vm *vm, const char *name, struct error *err)
{
    struct ram_block *b = ram_map_find(&vm->config.machine->ram, name);

    if (!b)
        err_set(err, ERR_USAGE, "there is no RAM block '%.60s' in the guest", name);
    return b;
}

int vm_migratable(struct vm *vm, const char *block, bool *ret, struct error *err)
{
    pthread_mutex_lock(&vm->lock);
    const struct ram_block *b = find_block(vm, block, err);
    if (b)
        *ret = b->migratable;
    pthread_mutex_unlock(&vm->lock);
    return b ? 0 : -1;
}

int vm_set_migratable(struct vm *vm, const char *block, bool migratable, struct error *err)
{
    struct refusal ignored;

    pthread_mutex_lock(&vm->lock);
    settle(vm, &vm->out);
    settle(vm, &vm->in);
    struct ram_block *b = find_block(vm, block, err);
    int rc = b ? gate_start(&vm->settings, AT_RAM_SET, world_of(vm), &ignored, err) : -1;
    if (rc == 0)
        b->migratable = migratable;
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

/* --- what is known --------------------------------------------------------------------------- */

/* Under the lock. False where the engine itself has to be asked. */
static bool remember(struct vm *vm, struct vm_migration *ret)
{
    const struct job *job = vm->out ? vm->out : vm->in;

    if (!job)
        return true;
    ret->outgoing = job == vm->out;
    ret->status = job->status;
    if (job->alive)
        return false;
    ret->now = job->last;
    ret->failure = job->failure;
    return true;
}

/* False where the engine has just gone. Its statistics are newer than the last status it told. */
static bool look(struct vm *vm, struct vm_migration *ret)
{
    struct job *job = borrow(vm, ret->outgoing ? &vm->out : &vm->in);

    if (!job)
        return false;
    job_stats(job, &ret->now);
    if (ret->now.status != MIGRATION_NONE)
        ret->status = ret->now.status;
    give_back(job);
    return true;
}

void vm_migration(struct vm *vm, struct vm_migration *ret)
{
    bool known;

    memset(ret, 0, sizeof(*ret));
    do {
        pthread_mutex_lock(&vm->lock);
        settle(vm, &vm->out);
        settle(vm, &vm->in);
        known = remember(vm, ret);
        pthread_mutex_unlock(&vm->lock);
    } while (!known && !look(vm, ret));
    vm_listening(vm, ret->listening);
}

/* --- the dirty rate -------------------------------------------------------------------------- */

/* Under the lock. */
static int measure(struct vm *vm, const struct dirty_rate_config *config, struct error *err)
{
    struct dirty_rate *next;
    uint64_t rate;

    if (vm->rate && dirty_rate_read(vm->rate, &rate) == DIRTY_RATE_MEASURING)
        return err_set(err, ERR_USAGE, "a measurement runs already; wait for its end");
    if (config->mode == DIRTY_RATE_LOG && vm->out && vm->out->alive)
        return err_set(err, ERR_USAGE,
                       "a migration has the dirty log; use mode page-sampling, or query-migrate's "
                       "dirty-pages-rate");
    if (dirty_rate_start(config, &next, err) < 0)
        return -1;
    dirty_rate_free(vm->rate);
    vm->rate = next;
    return 0;
}

int vm_measure(struct vm *vm, enum dirty_rate_mode mode, uint64_t calc_ms, unsigned sample_pages,
               struct error *err)
{
    const struct dirty_rate_config config = {.machine = vm->config.machine,
                                             .mode = mode,
                                             .calc_ms = calc_ms,
                                             .sample_pages = sample_pages};

    pthread_mutex_lock(&vm->lock);
    settle(vm, &vm->out);
    int rc = measure(vm, &config, err);
    if (rc == 0)
        vm->rate_asked = (struct vm_dirty_rate){.started = true,
                                                .start_s = clock_ns() / NS_PER_S,
                                                .calc_ms = calc_ms,
                                                .mode = mode,
                                                .sample_pages = sample_pages};
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

void vm_dirty_rate(struct vm *vm, struct vm_dirty_rate *ret)
{
    pthread_mutex_lock(&vm->lock);
    *ret = vm->rate_asked;
    if (vm->rate)
        ret->status = dirty_rate_read(vm->rate, &ret->bytes_per_s);
    pthread_mutex_unlock(&vm->lock);
}

/* --- life ------------------------------------------------------------------------------------ */

static int hold(struct vm *vm, struct error *err)
{
    struct machine *m = vm->config.machine;

    if (machine_stop(m, MACHINE_PAUSED, err) < 0)
        return -1;
    return vm->run.waiting ? machine_stop(m, MACHINE_MOVING, err) : 0;
}

static int fill(struct vm *vm, struct error *err)
{
    struct settings standard;

    settings_init(&standard);
    standard.capabilities |= IN_SET(CAP_RETURN_PATH); /* else nobody knows how a migration ended */
    if (vm->config.name && !(vm->name = strdup(vm->config.name)))
        return err_sys(err, "memory for a name");
    return settings_copy(&standard, &vm->settings, err);
}

static int check_config(const struct vm_config *config, struct error *err)
{
    if (!config->machine)
        return err_set(err, ERR_USAGE, "a VM without a machine");
    if (!config->over)
        return err_set(err, ERR_USAGE, "a VM whose owner does not hear of its end: over()");
    if (config->waiting && !config->land)
        return err_set(err, ERR_USAGE, "a VM that waits, without a place to land: land()");
    return 0;
}

int vm_new(const struct vm_config *config, struct vm **ret, struct error *err)
{
    if (check_config(config, err) < 0)
        return -1;
    struct vm *vm = calloc(1, sizeof(*vm));
    if (!vm)
        return err_sys(err, "memory for a VM");
    vm->config = *config;
    if (!config->engine)
        vm->config.engine = engine_standard();
    if (config->uuid)
        vm->uuid = *config->uuid;
    vm->run.waiting = vm->run.moving = config->waiting;
    vm->run.paused = true;
    pthread_mutex_init(&vm->lock, NULL);
    pthread_cond_init(&vm->changed, NULL);
    if (fill(vm, err) < 0 || hold(vm, err) < 0) {
        vm_free(vm);
        return -1;
    }
    *ret = vm;
    return 0;
}

void vm_start(struct vm *vm, bool paused)
{
    pthread_mutex_lock(&vm->lock);
    if (!paused)
        let_run(vm);
    pthread_mutex_unlock(&vm->lock);
}

bool vm_is_quitting(struct vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    bool quitting = vm->quitting;
    pthread_mutex_unlock(&vm->lock);
    return quitting;
}

void vm_quit(struct vm *vm, enum shutdown_reason reason)
{
    pthread_mutex_lock(&vm->lock);
    bool first = !vm->told_shutdown; /* not vm->quitting: a failed migration may have set that */
    vm->quitting = vm->told_shutdown = true;
    if (first)
        tell(vm, &(struct vm_event){.kind = VM_EVENT_SHUTDOWN, .reason = reason});
    pthread_mutex_unlock(&vm->lock);
    if (!first)
        return;
    job_cancel(vm, &vm->out);
    job_cancel(vm, &vm->in);
    pthread_mutex_lock(&vm->lock);
    bool over = is_over(vm);
    struct error why = vm->fatal;
    pthread_mutex_unlock(&vm->lock);
    if (over)
        vm->config.over(vm->config.arg, why.kind != ERR_NONE ? &why : NULL);
}

static void job_finish(struct vm *vm, struct job **which)
{
    job_cancel(vm, which);
    if (*which)
        thread_join(&(*which)->thread);
    job_free(*which);
    *which = NULL;
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    pthread_mutex_lock(&vm->lock);
    vm->quitting = vm->told_over = true;
    pthread_mutex_unlock(&vm->lock);
    job_finish(vm, &vm->out);
    job_finish(vm, &vm->in);
    dirty_rate_free(vm->rate);
    settings_copy_done(&vm->settings);
    free(vm->name);
    pthread_cond_destroy(&vm->changed);
    pthread_mutex_destroy(&vm->lock);
    free(vm);
}
