#include "tests/support/temp.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

static char dir[PATH_MAX];

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static void remove_dir(void)
{
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *temp_dir(void)
{
    const char *base = getenv("TMPDIR");

    if (dir[0])
        return dir;
    snprintf(dir, sizeof(dir), "%s/ramjet-test-XXXXXX", base && base[0] ? base : "/tmp");
    CHECK(mkdtemp(dir), "no folder for temporary files: %s", dir);
    atexit(remove_dir);
    return dir;
}

char *temp_path(char ret[static PATH_MAX], const char *name)
{
    CHECK(snprintf(ret, PATH_MAX, "%s/%s", temp_dir(), name) < PATH_MAX, "path too long");
    return ret;
}

size_t temp_entries(void)
{
    DIR *d = opendir(temp_dir());
    struct dirent *e;
    size_t n = 0;

    CHECK(d, "opendir");
    while ((e = readdir(d)))
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

struct buf file_bytes(const char *path)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0, "%s: cannot be opened", path);
    return bytes_of_fd(fd);
}

struct buf golden(const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", GOLDEN_DIR, name);
    return file_bytes(path);
}

void file_write(const char *path, const void *bytes, size_t len)
{
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len, "%s: cannot be written", path);
}
