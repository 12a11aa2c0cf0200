#include "vmm/partial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

static int refuse_existing(const struct partial *p, struct error *err)
{
    struct stat st;

    if (lstat(p->path, &st) < 0)
        return 0;
    if (!p->force)
        return err_set(err, ERR_SYSTEM, "%s: exists already; --force replaces it", p->path);
    if (p->directory != S_ISDIR(st.st_mode))
        return err_set(err, ERR_SYSTEM, "%s: is %sa directory: --force does not replace it", p->path,
                       p->directory ? "not " : "");
    return 0;
}

int partial_new(struct partial *p, const char *path, bool directory, bool force, int *ret_fd,
                struct error *err)
{
    *p = (struct partial){.directory = directory, .force = force};
    if (!path[0] || snprintf(p->path, sizeof(p->path), "%s", path) >= PATH_MAX - 16)
        return err_set(err, ERR_USAGE, "target '%.100s': expected a path", path);
    for (size_t len = strlen(p->path); len > 1 && p->path[len - 1] == '/'; len--)
        p->path[len - 1] = 0; /* "DIR/": its partial lies beside it, not in it */
    if (refuse_existing(p, err) < 0)
        return -1;
    snprintf(p->temp, sizeof(p->temp), "%.*s.partial-XXXXXX", PATH_MAX - 16, p->path);
    int fd = !directory         ? mkostemp(p->temp, O_CLOEXEC)
             : mkdtemp(p->temp) ? open(p->temp, O_DIRECTORY | O_RDONLY | O_CLOEXEC)
                                : -1;
    if (fd < 0) {
        p->temp[0] = 0;
        return err_sys(err, "%s: cannot be made", p->path);
    }
    *ret_fd = fd;
    return 0;
}

/* A capture's directory has only files: anything deeper is not ours and makes rmdir fail. */
static void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d)))
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(path);
}

static int replace_directory(struct partial *p)
{
    if (renameat2(AT_FDCWD, p->temp, AT_FDCWD, p->path, RENAME_EXCHANGE) < 0)
        return errno == ENOENT ? rename(p->temp, p->path) : -1;
    remove_tree(p->temp); /* the old one has that name now */
    return 0;
}

int partial_commit(struct partial *p, struct error *err)
{
    int rc;

    if (!p->force)
        rc = renameat2(AT_FDCWD, p->temp, AT_FDCWD, p->path, RENAME_NOREPLACE);
    else
        rc = p->directory ? replace_directory(p) : rename(p->temp, p->path);
    if (rc < 0)
        return err_sys(err, "%s: rename %s to it", p->path, p->temp);
    p->temp[0] = 0;
    return 0;
}

void partial_done(struct partial *p)
{
    if (!p->temp[0])
        return;
    if (p->directory)
        remove_tree(p->temp);
    else
        unlink(p->temp);
    p->temp[0] = 0;
}
