#include "ram/file_mapping.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define HUGE_PAGE (UINT64_C(2) << 20)

/* How much is taken over in one step: copying it takes a quarter of a millisecond. */
#define PIECE HUGE_PAGE
/* How much is prepared in advance. */
#define AHEAD (8 * PIECE)

/* Shorter runs are read instead of mapped: a process can have only some 65,000 mappings. */
#define RUN_PAGES_MIN 16
#define RUNS_MAX      16384

/* --- mapping --------------------------------------------------------------------------------- */

bool file_mapping_add(struct file_mapping *m, const struct ram_block *b,
                      const struct file_pages *pages)
{
    uint64_t len = pages->n_pages << RAM_PAGE_BITS;
    uint8_t *host = b->host + (pages->first_page << RAM_PAGE_BITS);

    if (!b->replaceable || pages->n_pages < RUN_PAGES_MIN || m->n == RUNS_MAX)
        return false;
    struct file_run *runs = reallocarray(m->runs, m->n + 1, sizeof(*runs));
    if (!runs)
        return false;
    m->runs = runs;
    if (mmap(host, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, pages->fd,
             (off_t)pages->offset) == MAP_FAILED)
        return false;
    m->runs[m->n++] = (struct file_run){.host = host, .bytes = len};
    return true;
}

/* --- taking over ----------------------------------------------------------------------------- */

bool file_mapping_is_left(const struct file_mapping *m)
{
    return m->at < m->n;
}

/* The piece ends at the next huge page's start, so that the pieces after it can be huge pages. */
static uint64_t piece_of(const struct file_run *r)
{
    return MIN(PIECE - (uintptr_t)r->host % PIECE, r->bytes);
}

/* The spare memory has the same offset from a huge page's start as the run: so mremap() can move
 * whole huge pages. */
static int make_spare(struct file_run *r, struct error *err)
{
    uint64_t len = r->bytes + 2 * HUGE_PAGE;
    uint8_t *wide =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (wide == MAP_FAILED)
        return err_sys(err, "%" PRIu64 " MiB of memory", r->bytes >> 20);
    r->spare = (uint8_t *)ALIGN_UP((uintptr_t)wide, HUGE_PAGE) + (uintptr_t)r->host % HUGE_PAGE;
    if (r->spare > wide)
        munmap(wide, (size_t)(r->spare - wide));
    munmap(r->spare + r->bytes, (size_t)(wide + len - (r->spare + r->bytes)));
    madvise(r->spare, r->bytes, MADV_HUGEPAGE); /* advice */
    return 0;
}

/* Kernels before 5.14 do not know this advice: there the memory is read and populated only when it
 * is copied. */
static int populate(uint8_t *at, uint64_t len, int how, struct error *err)
{
    if (madvise(at, len, how) == 0 || errno == EINVAL)
        return 0;
    if (errno == EFAULT)
        return err_set(err, ERR_SYSTEM,
                       "%" PRIu64 " KiB of guest memory cannot be read from the file: was it cut?",
                       len >> 10);
    return err_sys(err, "reading %" PRIu64 " KiB of guest memory", len >> 10);
}

int file_mapping_prepare(struct file_mapping *m, struct error *err)
{
    struct file_run *r = &m->runs[m->at];
    uint64_t end = MIN(AHEAD, r->bytes), len = end - MIN(r->ready, end);

    if (!r->spare && make_spare(r, err) < 0)
        return -1;
    if (populate(r->host + r->ready, len, MADV_POPULATE_READ, err) < 0 ||
        populate(r->spare + r->ready, len, MADV_POPULATE_WRITE, err) < 0)
        return -1;
    r->ready += len;
    return 0;
}

bool file_mapping_is_ready(const struct file_mapping *m)
{
    return file_mapping_is_left(m) && m->runs[m->at].ready >= piece_of(&m->runs[m->at]);
}

int file_mapping_take_over(struct file_mapping *m, struct error *err)
{
    struct file_run *r = &m->runs[m->at];
    uint64_t len = piece_of(r);

    memcpy(r->spare, r->host, len);
    if (mremap(r->spare, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, r->host) == MAP_FAILED)
        return err_sys(err, "moving %" PRIu64 " KiB of guest memory", len >> 10);
    r->host += len;
    r->spare += len;
    r->bytes -= len;
    r->ready -= MIN(r->ready, len);
    m->at += r->bytes == 0;
    return 0;
}

void file_mapping_done(struct file_mapping *m)
{
    for (; m->at < m->n; m->at++) {
        if (m->runs[m->at].spare)
            munmap(m->runs[m->at].spare, m->runs[m->at].bytes);
    }
    free(m->runs);
    *m = (struct file_mapping){0};
}
