#include "vmm/memory_fd.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "vmm/huge_pages.h"

/* mmap() reserves all huge pages: one that is missing later would end the process. */
int memory_fd_map(const struct memory_backing_config *config, struct ram_block *b, int fd,
                  struct error *err)
{
    bool huge = b->host_page_bytes > RAM_PAGE_SIZE, shared = memory_backing_is_shared(config);
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (huge ? 0 : MAP_NORESERVE);
    uint64_t len = ram_block_mapped_bytes(b);
    void *host = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);

    if (host == MAP_FAILED && huge && errno == ENOMEM)
        return huge_pages_too_few(b->host_page_bytes, len / b->host_page_bytes,
                                  huge_pages_free(b->host_page_bytes), "", err);
    if (host == MAP_FAILED)
        return err_sys(err, "%" PRIu64 " MiB of memory", len >> 20);
    b->host = host;
    b->mapped = true;
    b->shared = shared;
    /* The holes of a file at b->fd are pages that were never touched. That is wrong for private
     * memory, whose writes do not get into the file; and a file of huge pages does not tell its
     * holes. There the page tables tell it: all its contents were written through this mapping. */
    b->fd = shared && !huge ? fd : -1;
    b->memory_fd = shared ? fd : -1;
    return 0;
}
