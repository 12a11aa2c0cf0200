#include "transport/uring_memory.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

/* Older headers lack this: Linux 6.12, include/uapi/linux/io_uring.h. */
#define REGISTER_CLONE_BUFFERS 30
struct clone_buffers {
    uint32_t src_fd, flags, src_off, dst_off, nr, pad[3];
};

#define PIECE_MAX  (UINT64_C(1) << 30) /* the kernel's limit for one buffer */
#define PIECES_MAX 16384               /* the kernel's limit for one ring */

struct uring_memory {
    struct uring_memory *next;
    unsigned users;
    /* The registration that the channels' rings are cloned from. It is a ring of its own because it
     * outlives the channel that came first. */
    struct uring source;
    size_t n;
    struct iovec pieces[]; /* sorted by address */
};

/* All registrations of this process, a handful at most. */
static struct {
    pthread_mutex_t lock;
    struct uring_memory *all;
    const char *refusal;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER, .refusal = ""};

static struct uring_memory *refuse(const char *why)
{
    registry.refusal = why;
    return NULL;
}

const char *uring_memory_refusal(void)
{
    pthread_mutex_lock(&registry.lock);
    const char *why = registry.refusal;
    pthread_mutex_unlock(&registry.lock);
    return why;
}

/* Pinning allocates pages that were never touched: all memory of a guest that used only a part. */
static bool is_resident(const struct iovec *piece)
{
    enum { AT_ONCE = 4096 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *at = piece->iov_base, *end = at + piece->iov_len;
    unsigned char present[AT_ONCE];

    while (at < end) {
        size_t len = MIN((size_t)(end - at), AT_ONCE * page);

        if (mincore(at, len, present) < 0)
            return false;
        for (size_t i = 0; i < (len + page - 1) / page; i++)
            if (!(present[i] & 1))
                return false;
        at += len;
    }
    return true;
}

static size_t count_pieces(const struct iovec *iov, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += (iov[i].iov_len + PIECE_MAX - 1) / PIECE_MAX;
    return total;
}

static int by_address(const void *a, const void *b)
{
    const struct iovec *x = a, *y = b;

    return x->iov_base < y->iov_base ? -1 : x->iov_base > y->iov_base;
}

static struct uring_memory *cut(const struct iovec *iov, size_t n)
{
    size_t total = count_pieces(iov, n);
    struct uring_memory *m = calloc(1, sizeof(*m) + total * sizeof(m->pieces[0]));

    for (size_t i = 0; m && i < n; i++) {
        for (size_t at = 0; at < iov[i].iov_len; at += PIECE_MAX)
            m->pieces[m->n++] = (struct iovec){
                (uint8_t *)iov[i].iov_base + at,
                MIN(iov[i].iov_len - at, PIECE_MAX),
            };
    }
    if (m)
        qsort(m->pieces, m->n, sizeof(m->pieces[0]), by_address);
    return m;
}

static bool same_pieces(const struct uring_memory *a, const struct uring_memory *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->pieces[i].iov_base != b->pieces[i].iov_base ||
            a->pieces[i].iov_len != b->pieces[i].iov_len)
            return false;
    return true;
}

static int clone_buffers(struct uring *to, const struct uring *from)
{
    struct clone_buffers arg = {.src_fd = (uint32_t)from->ring.ring_fd};

    return (int)syscall(__NR_io_uring_register, to->ring.ring_fd, REGISTER_CLONE_BUFFERS, &arg, 1);
}

bool uring_memory_is_shared(struct uring *u)
{
    /* A clone from a ring without buffers fails with ENXIO if the kernel knows the call. */
    return clone_buffers(u, u) < 0 && errno == ENXIO;
}

static void memory_free(struct uring_memory *m)
{
    uring_done(&m->source);
    free(m);
}

/* Pins the pieces. Takes ownership of `m`. */
static struct uring_memory *pin(struct uring_memory *m)
{
    if (m->n == 0 || m->n > PIECES_MAX) {
        memory_free(m);
        return refuse("no memory was offered, or too much");
    }
    for (size_t i = 0; i < m->n; i++) {
        if (!is_resident(&m->pieces[i])) {
            memory_free(m);
            return refuse("parts of the memory were never touched: pinning would allocate them");
        }
    }
    int rc = uring_init(&m->source, NULL);
    if (rc == 0)
        rc = io_uring_register_buffers(&m->source.ring, m->pieces, (unsigned)m->n);
    if (rc < 0) {
        const char *known = strerrordesc_np(-rc);

        memory_free(m);
        if (rc == -ENOMEM)
            known = "more memory than RLIMIT_MEMLOCK allows to pin; raise it (ulimit -l)";
        return refuse(known ? known : "an error that has no name");
    }
    registry.refusal = "";
    m->next = registry.all;
    registry.all = m;
    return m;
}

/* The existing registration of these pieces, or a new one. Takes ownership of `wanted`. */
static struct uring_memory *find_or_pin(struct uring_memory *wanted)
{
    for (struct uring_memory *m = registry.all; m; m = m->next) {
        if (same_pieces(m, wanted)) {
            memory_free(wanted);
            return m;
        }
    }
    return pin(wanted);
}

static void forget(struct uring_memory *m)
{
    struct uring_memory **at = &registry.all;

    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    memory_free(m);
}

/* If the kernel cannot share the registration, registers the pieces again for this ring. */
static int share(struct uring *u, const struct uring_memory *m)
{
    if (clone_buffers(u, &m->source) == 0)
        return 0;
    return io_uring_register_buffers(&u->ring, m->pieces, (unsigned)m->n);
}

struct uring_memory *uring_memory_get(struct uring *u, const struct iovec *iov, size_t n)
{
    struct uring_memory *wanted = cut(iov, n);

    if (!wanted)
        return NULL;
    pthread_mutex_lock(&registry.lock);
    struct uring_memory *m = find_or_pin(wanted);
    if (m && share(u, m) < 0) {
        if (m->users == 0)
            forget(m);
        m = refuse("a second ring cannot have the same buffers");
    }
    if (m)
        m->users++;
    pthread_mutex_unlock(&registry.lock);
    return m;
}

void uring_memory_put(struct uring_memory *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&registry.lock);
    if (--m->users == 0)
        forget(m);
    pthread_mutex_unlock(&registry.lock);
}

int uring_memory_find(const struct uring_memory *m, const void *base, size_t len)
{
    size_t low = 0, high = m->n;

    /* The last piece that does not begin after `base`. */
    while (low < high) {
        size_t middle = (low + high) / 2;

        if ((const uint8_t *)m->pieces[middle].iov_base <= (const uint8_t *)base)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return -1;
    const struct iovec *piece = &m->pieces[low - 1];
    size_t at = (size_t)((const uint8_t *)base - (const uint8_t *)piece->iov_base);

    return len <= piece->iov_len && at <= piece->iov_len - len ? (int)(low - 1) : -1;
}
