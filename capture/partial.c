#include "capture/partial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/raw_names.h"

/* The name of an entry that is not of a capture, or NULL. */
static const char *foreign_entry(DIR *d)
{
    struct dirent *e;

    while ((e = readdir(d))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            !raw_name_is_ours(e->d_name))
            return e->d_name;
    }
    return NULL;
}

/* `force` replaces an earlier capture, never a directory with other files in it. */
static int check_capture(const char *path, struct error *err)
{
    DIR *d = opendir(path);

    if (!d)
        return err_sys(err, "%s", path);
    const char *foreign = foreign_entry(d);
    int rc = foreign
                 ? err_set(err, ERR_SYSTEM,
                           "%s: holds '%.100s', which is no part of a capture: it is not replaced",
                           path, foreign)
                 : 0;
    closedir(d);
    return rc;
}

/* Whether `force` may replace, and so remove, what exists at `path`. */
static int check_replaceable(const char *path, bool directory, struct error *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return err_sys(err, "%s", path);
    if (directory && S_ISDIR(st.st_mode))
        return check_capture(path, err);
    if (directory || !S_ISREG(st.st_mode))
        return err_set(err, ERR_SYSTEM, "%s: not a %s: it is not replaced", path,
                       directory ? "directory" : "regular file");
    return 0;
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 || errno != ENOENT; /* with another error it may exist */
}

static int check_target(const struct partial *p, struct error *err)
{
    if (!exists(p->path))
        return 0;
    if (!p->force)
        return err_set_with(err, ERR_SYSTEM, REMEDY_FORCE, "%s: exists already", p->path);
    return check_replaceable(p->path, p->directory, err);
}

/* Makes a file or directory with p->temp as the template of its name; -1: nothing was made. */
static int make_temp(struct partial *p)
{
    if (!p->directory)
        return mkostemp(p->temp, O_CLOEXEC);
    if (!mkdtemp(p->temp))
        return -1;
    int fd = open(p->temp, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int saved = errno;

        rmdir(p->temp);
        errno = saved;
    }
    return fd;
}

int partial_new(struct partial *p, const char *path, bool directory, bool force, int *ret_fd,
                struct error *err)
{
    *p = (struct partial){.directory = directory, .force = force};
    if (!path[0] || snprintf(p->path, sizeof(p->path), "%s", path) >= PATH_MAX - 16)
        return err_set(err, ERR_USAGE, "target '%.100s': expected a path", path);
    for (size_t len = strlen(p->path); len > 1 && p->path[len - 1] == '/'; len--)
        p->path[len - 1] = 0; /* for "DIR/" the partial goes beside it, not into it */
    if (check_target(p, err) < 0)
        return -1;
    snprintf(p->temp, sizeof(p->temp), "%.*s.partial-XXXXXX", PATH_MAX - 16, p->path);
    int fd = make_temp(p);
    if (fd < 0) {
        p->temp[0] = 0;
        return err_sys(err, "%s: cannot be made", p->path);
    }
    *ret_fd = fd;
    return 0;
}

int partial_rename(struct partial *p, const char *path, struct error *err)
{
    if (snprintf(p->path, sizeof(p->path), "%s", path) >= PATH_MAX - 16)
        return err_set(err, ERR_USAGE, "target '%.100s': the path is too long", path);
    return 0;
}

/* Files that are not of a capture stay, and then the directory stays, too. */
static void remove_capture(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (raw_name_is_ours(e->d_name))
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

/* Whether the filesystem does not know renameat2's flags, such as NFS, 9p and old FUSE. */
static bool flags_unknown(void)
{
    return errno == EINVAL || errno == ENOSYS;
}

/* Afterwards the new one has its final name, and there is no temporary one. */
static int rename_plainly(struct partial *p)
{
    if (rename(p->temp, p->path) < 0)
        return -1;
    p->temp[0] = 0;
    return 0;
}

static int rename_new(struct partial *p)
{
    if (renameat2(AT_FDCWD, p->temp, AT_FDCWD, p->path, RENAME_NOREPLACE) == 0) {
        p->temp[0] = 0;
        return 0;
    }
    if (!flags_unknown())
        return -1;
    if (exists(p->path)) {
        errno = EEXIST;
        return -1;
    }
    return rename_plainly(p);
}

/* For filesystems that cannot do it in one step: if the second rename fails the first is undone. */
static int swap_directories(struct partial *p)
{
    char old[sizeof(p->temp)];

    snprintf(old, sizeof(old), "%.*s.old", PATH_MAX - 1, p->temp);
    if (rename(p->path, old) < 0)
        return -1;
    if (rename(p->temp, p->path) < 0) {
        int saved = errno;

        (void)!rename(old, p->path);
        errno = saved;
        return -1;
    }
    strcpy(p->temp, old);
    return 0;
}

/*
 * The old one stays, as p->temp, for partial_done(). To remove it here would keep a paused guest
 * waiting; so would a rename over it, as ext4 then writes the new file to the disk first.
 */
static int replace(struct partial *p)
{
    if (!exists(p->path))
        return rename_plainly(p);
    if (renameat2(AT_FDCWD, p->temp, AT_FDCWD, p->path, RENAME_EXCHANGE) == 0)
        return 0;
    if (!flags_unknown())
        return -1;
    return p->directory ? swap_directories(p) : rename_plainly(p);
}

int partial_settle(const struct partial *p, int fd, struct error *err)
{
    if (p->sync && fsync(fd) < 0)
        return err_sys(err, "syncing it to the disk");
    int copy = dup(fd);

    if (copy < 0 || close(copy) < 0)
        return err_sys(err, "close");
    return 0;
}

/* Syncs the directory that has the name. */
static int sync_name(const struct partial *p)
{
    char path[sizeof(p->path)];

    strcpy(path, p->path);
    int dir = open(dirname(path), O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    int rc = fsync(dir), saved = errno;
    close(dir);
    errno = saved;
    return rc;
}

/* Makes p->temp the name of what was made again, as far as possible. */
static void take_back(struct partial *p, bool replaced)
{
    if (p->temp[0])
        (void)!renameat2(AT_FDCWD, p->temp, AT_FDCWD, p->path, RENAME_EXCHANGE);
    else if (!replaced)
        strcpy(p->temp, p->path);
}

int partial_commit(struct partial *p, struct error *err)
{
    /* Checked again: something else may be there by now. */
    if (p->force && check_target(p, err) < 0)
        return -1;
    bool replaced = exists(p->path);
    if ((p->force ? replace(p) : rename_new(p)) < 0)
        return err_sys(err, "%s: rename %s to it", p->path, p->temp);
    if (!p->sync || sync_name(p) == 0)
        return 0;
    err_sys(err, "%s: syncing its name to the disk", p->path);
    take_back(p, replaced);
    return -1;
}

void partial_done(struct partial *p)
{
    struct error ignored; /* what may not be replaced stays where it is */

    if (p->temp[0] && check_replaceable(p->temp, p->directory, &ignored) == 0) {
        if (p->directory)
            remove_capture(p->temp);
        else
            unlink(p->temp);
    }
    p->temp[0] = 0;
}
