#include "vmm/partial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

/* Does `name` belong to what this program puts into a directory? */
static bool is_ours(const char *name)
{
    return strcmp(name, PARTIAL_STREAM) == 0 ||
           strncmp(name, PARTIAL_PREFIX, strlen(PARTIAL_PREFIX)) == 0;
}

/* The name of something in the directory that no capture has, or NULL. */
static const char *foreign_entry(DIR *d)
{
    struct dirent *e;

    while ((e = readdir(d))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !is_ours(e->d_name))
            return e->d_name;
    }
    return NULL;
}

/* --force replaces an earlier capture, never a directory of other things. */
static int check_capture(const char *path, struct error *err)
{
    DIR *d = opendir(path);

    if (!d)
        return err_sys(err, "%s", path);
    const char *foreign = foreign_entry(d);
    int rc = foreign ? err_set(err, ERR_SYSTEM,
                               "%s: holds '%.100s', which is not of a capture: --force does not "
                               "replace it",
                               path, foreign)
                     : 0;
    closedir(d);
    return rc;
}

static int refuse_existing(const struct partial *p, struct error *err)
{
    struct stat st;

    if (lstat(p->path, &st) < 0)
        return 0;
    if (!p->force)
        return err_set(err, ERR_SYSTEM, "%s: exists already; --force replaces it", p->path);
    if (p->directory && S_ISDIR(st.st_mode))
        return check_capture(p->path, err);
    if (p->directory || !S_ISREG(st.st_mode))
        return err_set(err, ERR_SYSTEM, "%s: not a %s: --force does not replace it", p->path,
                       p->directory ? "directory" : "regular file");
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

/* What is not of a capture stays, and its directory with it. */
static void remove_capture(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (is_ours(e->d_name))
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

/* Filesystems without renameat2's flags say EINVAL: NFS, 9p, old FUSE. */
static bool flags_unknown(void)
{
    return errno == EINVAL || errno == ENOSYS;
}

static int rename_new(struct partial *p)
{
    struct stat st;
    int rc = renameat2(AT_FDCWD, p->temp, AT_FDCWD, p->path, RENAME_NOREPLACE);

    if (rc == 0 || !flags_unknown())
        return rc;
    if (lstat(p->path, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(p->temp, p->path);
}

/* In two steps where it cannot be one: a failure of the second takes the first back. */
static int swap_directories(struct partial *p)
{
    char old[PATH_MAX + 8];

    if (renameat2(AT_FDCWD, p->temp, AT_FDCWD, p->path, RENAME_EXCHANGE) == 0)
        return 0;
    if (!flags_unknown())
        return -1;
    snprintf(old, sizeof(old), "%s.old", p->temp);
    if (rename(p->path, old) < 0)
        return -1;
    if (rename(p->temp, p->path) < 0) {
        int saved = errno;

        (void)!rename(old, p->path);
        errno = saved;
        return -1;
    }
    return rename(old, p->temp);
}

static int replace_directory(struct partial *p)
{
    struct stat st;

    if (lstat(p->path, &st) < 0)
        return rename(p->temp, p->path);
    if (swap_directories(p) < 0)
        return -1;
    remove_capture(p->temp); /* the old one has that name now */
    return 0;
}

int partial_settle(int fd, struct error *err)
{
    int copy = dup(fd);

    if (copy < 0 || close(copy) < 0)
        return err_sys(err, "close");
    return 0;
}

int partial_commit(struct partial *p, struct error *err)
{
    int rc;

    if (!p->force)
        rc = rename_new(p);
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
        remove_capture(p->temp);
    else
        unlink(p->temp);
    p->temp[0] = 0;
}
