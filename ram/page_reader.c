#include "ram/page_reader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

void page_reader_done(struct page_reader *r)
{
    free(r->buffer);
    *r = (struct page_reader){0};
}

void page_reader_clear(struct page_reader *r)
{
    r->used = 0;
    r->first = r->end = 0;
}

size_t page_reader_room(const struct page_reader *r)
{
    return PAGE_READER_PAGES - r->used;
}

static int make_buffer(struct page_reader *r, struct error *err)
{
    if (!r->buffer)
        r->buffer = aligned_alloc(RAM_PAGE_SIZE, PAGE_READER_PAGES * RAM_PAGE_SIZE);
    return r->buffer ? 0 : err_sys(err, "memory for pages of a file");
}

static int read_all(const struct ram_block *b, uint64_t offset, uint8_t *to, size_t len,
                    struct error *err)
{
    while (len > 0) {
        ssize_t n = pread(b->fd, to, len, (off_t)(b->fd_offset + offset));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "RAM block '%s': read its file at byte %" PRIu64, b->name,
                           b->fd_offset + offset);
        if (n == 0)
            return err_set(err, ERR_PEER,
                           "RAM block '%s': its file ends at byte %" PRIu64 ": it was cut", b->name,
                           b->fd_offset + offset);
        to += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int page_reader_read(struct page_reader *r, const struct ram_block *b, uint64_t page, size_t n,
                     struct error *err)
{
    assert(n <= page_reader_room(r));
    if (make_buffer(r, err) < 0 ||
        read_all(b, page << RAM_PAGE_BITS, r->buffer + r->used * RAM_PAGE_SIZE, n * RAM_PAGE_SIZE,
                 err) < 0)
        return -1;
    r->at = r->used;
    r->used += n;
    r->first = page;
    r->end = page + n;
    return 0;
}
