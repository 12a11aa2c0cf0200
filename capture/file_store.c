#include "capture/file_store.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "ram/checksum.h"

/* Direct writes go to the disk one by one; shorter pieces are better gathered in the page cache. */
#define DIRECT_MIN 65536

static int fd_for(const struct ram_block *b, const void *bytes, size_t len)
{
    bool direct =
        b->direct_fd >= 0 && len >= DIRECT_MIN && IS_ALIGNED((uintptr_t)bytes, RAM_PAGE_SIZE);

    return direct ? b->direct_fd : b->fd;
}

static int store_write(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                       struct error *err)
{
    int fd = fd_for(b, bytes, len);

    if (fd_pwrite_all(fd, bytes, len, (off_t)(b->fd_offset + offset)) < 0)
        return err_sys(err, "RAM block '%s': write to the snapshot", b->name);
    if (b->page_sums)
        checksum_pages_note(b->page_sums, offset >> RAM_PAGE_BITS, bytes, len >> RAM_PAGE_BITS);
    return 0;
}

static int store_clear(struct ram_block *b, uint64_t offset, size_t len, struct error *err)
{
    static const uint8_t zeros[RAM_PAGE_SIZE];
    int rc = fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       (off_t)(b->fd_offset + offset), (off_t)len);

    /* Not every filesystem has holes: then zeros are written. */
    for (size_t done = 0; rc < 0 && done < len; done += sizeof(zeros)) {
        if (store_write(b, offset + done, zeros, sizeof(zeros), err) < 0)
            return -1;
    }
    return 0;
}

static int store_read(struct ram_block *b, uint64_t offset, void *bytes, size_t len,
                      struct error *err)
{
    while (len > 0) {
        ssize_t n = pread(b->fd, bytes, len, (off_t)(b->fd_offset + offset));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "RAM block '%s': read the snapshot", b->name);
        if (n == 0)
            return err_set(err, ERR_PEER, "RAM block '%s': the snapshot ends inside it", b->name);
        bytes = (char *)bytes + n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

const struct ram_store_ops file_store = {
    .write = store_write,
    .clear = store_clear,
    .read = store_read,
};
