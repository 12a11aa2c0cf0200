#include "capture/machine_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory_room.h"
#include "stream/description.h"

#define DEFAULT_BLOCK "pc.ram"

struct image {
    struct machine base;
    int fd;
};

static void image_free(struct machine *m)
{
    struct image *i = (struct image *)m;

    ram_map_done(&m->ram);
    device_state_done(&m->devices);
    fd_close(&i->fd);
    free(i);
}

static const struct machine_ops image_ops = {.free = image_free};

/* Splits "NAME=PATH"; with a slash before the '=' all of it is a path. */
static const char *split_name(const char *spec, char name[static RAM_BLOCK_NAME])
{
    size_t len = strcspn(spec, "=/");

    strcpy(name, DEFAULT_BLOCK);
    if (spec[len] != '=' || len == 0 || len >= RAM_BLOCK_NAME)
        return spec;
    memcpy(name, spec, len);
    name[len] = 0;
    return spec + len + 1;
}

static int open_image(struct image *image, const char *name, const char *path, struct error *err)
{
    struct stat st;

    image->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (image->fd < 0 || fstat(image->fd, &st) < 0)
        return err_sys(err, "%s", path);
    if (!S_ISREG(st.st_mode) || st.st_size == 0 || !IS_ALIGNED(st.st_size, (off_t)RAM_PAGE_SIZE))
        return err_set(err, ERR_USAGE,
                       "%s: %" PRId64 " bytes, expected a file of a multiple of 4096", path,
                       (int64_t)st.st_size);
    return ram_map_add(&image->base.ram, name, (uint64_t)st.st_size, err);
}

/* Maps the file's own pages, which a channel may send without a copy. */
static int map_image(struct image *image, const char *path, struct error *err)
{
    struct ram_block *b = &image->base.ram.blocks[0];
    void *host = mmap(NULL, b->used_bytes, PROT_READ, MAP_SHARED, image->fd, 0);

    if (host == MAP_FAILED)
        return err_sys(err, "%s: map", path);
    b->host = host;
    b->mapped = true;
    b->fd = image->fd;
    return 0;
}

/* Writes pages of zeros, too: a real guest has touched its memory, whatever it holds. */
static int load_image(struct image *image, const char *path, struct error *err)
{
    struct ram_block *b = &image->base.ram.blocks[0];

    if (memory_room_check(b->used_bytes, b->used_bytes, err) < 0)
        return err_in(err, "memory:%s", path);
    if (ram_block_map_anonymous(b, err) < 0)
        return -1;
    for (uint64_t at = 0; at < b->used_bytes;) {
        ssize_t n = pread(image->fd, b->host + at, b->used_bytes - at, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "%s: read", path);
        if (n == 0)
            return err_set(err, ERR_SYSTEM, "%s: cut while it was read", path);
        at += (uint64_t)n;
    }
    return 0;
}

static int image_new(const char *spec,
                     int (*fill)(struct image *image, const char *path, struct error *err),
                     struct machine **ret, struct error *err)
{
    struct image *image = calloc(1, sizeof(*image));
    char name[RAM_BLOCK_NAME];

    if (!image)
        return err_sys(err, "memory for a machine");
    const char *path = split_name(spec, name);
    image->base.ops = &image_ops;
    image->fd = -1;
    strcpy(image->base.config.machine, RAMJET_MACHINE);
    if (open_image(image, name, path, err) < 0 || fill(image, path, err) < 0 ||
        description_append(&image->base.devices.tail, NULL, err) < 0) {
        image_free(&image->base);
        return -1;
    }
    *ret = &image->base;
    return 0;
}

int machine_image(const char *spec, struct machine **ret, struct error *err)
{
    return image_new(spec, map_image, ret, err);
}

int machine_memory(const char *spec, struct machine **ret, struct error *err)
{
    return image_new(spec, load_image, ret, err);
}
