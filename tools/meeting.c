#include "tools/meeting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drive/migrate_path.h"

/* A folder with a long name would leave no room for the socket's. */
static const char *temporary_folder(void)
{
    const char *chosen = getenv("TMPDIR");

    return chosen && chosen[0] == '/' && strlen(chosen) < 40 ? chosen : "/tmp";
}

static int make_private(struct meeting *m, struct error *err)
{
    char uri[sizeof(m->folder) + 16];

    snprintf(m->folder, sizeof(m->folder), "%s/ramjet-XXXXXX", temporary_folder());
    if (!mkdtemp(m->folder)) {
        m->folder[0] = 0;
        return err_sys(err, "a private folder in %s", temporary_folder());
    }
    snprintf(uri, sizeof(uri), "unix:%s/save", m->folder);
    return address_parse(uri, &m->at, err);
}

int meeting_make(struct meeting *m, const char *host, bool ours, struct error *err)
{
    char uri[MIGRATE_URI_MAX];

    *m = (struct meeting){0};
    if (!host && ours)
        return make_private(m, err);
    if (migrate_listen_uri(host ? host : "127.0.0.1", uri, err) < 0)
        return -1;
    return address_parse(uri, &m->at, err);
}

void meeting_done(struct meeting *m)
{
    if (m->folder[0])
        rmdir(m->folder);
}
