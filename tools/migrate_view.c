#include "tools/migrate_view.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_read.h"
#include "tools/migrate_report.h"
#include "tools/notice.h"
#include "tools/phase.h"
#include "tools/progress.h"
#include "tools/remedy.h"

static void begin_view(struct migrate_view *v)
{
    v->at = clock_ns();
    v->next = v->at + NS_PER_S;
}

static void end_view(struct migrate_view *v)
{
    if (v->before)
        progress_clear();
    json_decref(v->before);
    v->before = NULL;
}

static void show(struct migrate_view *v, json_t *now)
{
    struct live_line line;
    uint64_t ns = clock_ns();

    if (ns < v->next)
        return;
    migrate_line(v->before, now, (ns - v->at) / NS_PER_MS, &line);
    if (v->mode == PROGRESS_JSON)
        progress_show_json(json_copy(now));
    else
        progress_show(&line);
    json_decref(v->before);
    v->before = json_incref(now);
    v->at = ns;
    v->next = ns + NS_PER_S;
}

/* Where lines show how it goes, no more is said. */
static void tell_phase(const struct migrate_view *v)
{
    if (v->shows)
        phase_clear();
    else
        phase_set(PHASE_UNLIMITED, "migrating (--progress always tells how it goes)");
}

/* A copy of its own: another thread may read it while drive/ uses the answer. */
static void keep(struct migrate_view *v, json_t *migration)
{
    json_t *copy = json_deep_copy(migration);

    pthread_mutex_lock(&v->lock);
    json_t *old = v->last;
    v->last = copy;
    pthread_mutex_unlock(&v->lock);
    json_decref(old);
}

/* What is new since the last answer. */
static void detail_changes(struct migrate_view *v, const json_t *migration)
{
    char status[sizeof(v->status)] = "";
    uint64_t round = json_count(json_object_get(migration, "ram"), "dirty-sync-count");

    json_word(migration, "status", "", status, sizeof(status));
    if (*status && strcmp(status, v->status) != 0) {
        memcpy(v->status, status, sizeof(status));
        detail("status: %s", status);
    }
    if (round > v->round) {
        v->round = round;
        detail_pass(NULL, round);
    }
}

static void watch(void *arg, json_t *migration)
{
    struct migrate_view *v = arg;

    if (migration) {
        keep(v, migration);
        detail_changes(v, migration);
    }
    if (!migration) {
        end_view(v);
        phase_set((struct phase_limit){v->stall_ms, "--stall-timeout"},
                  "waiting for TO to take over");
    } else if (!v->next) {
        begin_view(v);
        tell_phase(v);
    } else if (v->shows) {
        show(v, migration);
    }
}

static void advise(void *arg, const struct advice *advice)
{
    char text[ADVICE_TEXT_LEN];

    (void)arg;
    notice("%s", advice_text(advice, remedy_advice, text));
}

void migrate_view_watch(struct migrate_view *view, enum progress_mode mode,
                        struct drive_config *config)
{
    view->shows = progress_wanted(mode);
    view->stall_ms = config->stall_timeout_ms;
    view->mode = mode;
    config->watch = watch;
    config->advise = advise;
    config->arg = view;
}

void migrate_view_tell(void *arg)
{
    struct migrate_view *v = arg;
    struct live_line line;

    live_line_begin(&line);
    pthread_mutex_lock(&v->lock);
    if (v->last)
        migrate_line(NULL, v->last, json_count(v->last, "total-time"), &line);
    else
        live_line_add(&line, LIVE_STATE, "the migration has not begun");
    pthread_mutex_unlock(&v->lock);
    progress_tell_line(&line);
}

void migrate_view_done(struct migrate_view *view)
{
    json_decref(view->last);
}
