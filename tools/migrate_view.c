#include "tools/migrate_view.h"

#include "base/clock.h"
#include "tools/migrate_report.h"
#include "tools/progress.h"

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
    char line[MIGRATE_LINE_MAX];
    uint64_t ns = clock_ns();

    if (ns < v->next)
        return;
    migrate_line(v->before, now, (double)(ns - v->at) / (double)NS_PER_S, line);
    progress_show(line);
    json_decref(v->before);
    v->before = json_incref(now);
    v->at = ns;
    v->next = ns + NS_PER_S;
}

static void watch(void *arg, json_t *migration)
{
    struct migrate_view *v = arg;

    if (!migration)
        end_view(v);
    else if (!v->next)
        begin_view(v);
    else
        show(v, migration);
}

void migrate_view_watch(struct migrate_view *view, enum progress_mode mode,
                        struct drive_config *config)
{
    if (!progress_wanted(mode))
        return;
    config->watch = watch;
    config->arg = view;
}
