/*
 * perf/raw_ceiling.c: how fast this machine's sockets can move a guest's memory when nothing else
 * is in the way. There are two processes, with one thread per connection at each end. They move the
 * pages that are not zero as a migration without compression would: up to 128 pages, and as many
 * bytes as their packet header has, in one sendmsg. There is no protocol: both ends know beforehand
 * which pages there are, and the header carries only the number of the next piece.
 *
 * Prints one JSON line on stdout. No code of ramjet is linked: ramjet is compared with this.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Newer than the oldest kernel headers that this must build with. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE        4096
#define PIECE_PAGES 128
/* A multifd packet's header with room for 128 page offsets. */
#define HEAD_LEN 1344
/* Threads claim memory in pieces of one huge page, so that no two fault in the same one. */
#define STRIPE       ((size_t)2 << 20)
#define STRIPE_PAGES (STRIPE / PAGE)
#define CHANNELS_MAX 255
#define NO_PIECE     UINT32_MAX

/* Consecutive pages that are not zero. */
struct run {
    uint32_t page;
    uint32_t n_pages;
};

/* What one sendmsg sends: runs of one stripe. */
struct piece {
    uint32_t first_run;
    uint32_t n_runs;
    uint32_t n_pages;
};

/* Made before the fork, read-only after. */
struct plan {
    int image_fd;
    size_t image_bytes;
    struct run *runs;
    struct piece *pieces;
    uint32_t *stripe_first; /* stripe → its first piece; one more at the end */
    size_t n_runs;
    size_t n_pieces;
    size_t n_stripes;
    uint64_t wire_bytes;
    unsigned channels;
    bool populated;
    bool check;
};

struct side {
    uint64_t cpu_ns; /* of the transfer, without connecting, populating beforehand and exiting */
};

/* Shared between the two processes. */
struct board {
    pthread_barrier_t ready; /* both ends are connected and mapped */
    atomic_uint next_stripe; /* what the sender's threads claim from */
    uint64_t begin_ns;       /* the sender's, just before its first byte */
    uint64_t end_ns;         /* the receiver's, when all memory is there */
    struct side send;
    struct side recv;
};

/* One connection, at one end. */
struct channel {
    const struct plan *plan;
    struct board *board;
    uint8_t *memory; /* the image, or the memory that receives it */
    int fd;
    pthread_t thread;
    uint32_t piece; /* of the claimed stripe; the sender's alone */
    uint32_t piece_end;
    uint8_t head[HEAD_LEN];
    struct iovec iov[1 + PIECE_PAGES];
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t timeval_ns(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_usec * 1000;
}

static uint64_t rusage_cpu_ns(const struct rusage *r)
{
    return timeval_ns(r->ru_utime) + timeval_ns(r->ru_stime);
}

static uint64_t cpu_ns(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return rusage_cpu_ns(&r);
}

static void *must_alloc(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p)
        err(1, "memory for the plan");
    return p;
}

/* ---- The plan: which pages travel, and in which pieces ---- */

static void plan_page(struct plan *p, uint32_t page, bool first_of_stripe)
{
    struct piece *piece = p->n_pieces > 0 ? &p->pieces[p->n_pieces - 1] : NULL;

    if (first_of_stripe || piece->n_pages == PIECE_PAGES) {
        piece = &p->pieces[p->n_pieces++];
        piece->first_run = (uint32_t)p->n_runs;
    }

    struct run *run = piece->n_runs > 0 ? &p->runs[p->n_runs - 1] : NULL;

    if (run && run->page + run->n_pages == page) {
        run->n_pages++;
    } else {
        p->runs[p->n_runs++] = (struct run){page, 1};
        piece->n_runs++;
    }
    piece->n_pages++;
    p->wire_bytes += PAGE;
}

static void plan_stripe(struct plan *p, size_t stripe, const uint8_t *image)
{
    static const uint8_t zero[PAGE];
    size_t end = (stripe + 1) * STRIPE_PAGES;
    bool first = true;

    if (end > p->image_bytes / PAGE)
        end = p->image_bytes / PAGE;
    p->stripe_first[stripe] = (uint32_t)p->n_pieces;
    for (size_t page = stripe * STRIPE_PAGES; page < end; page++) {
        if (memcmp(image + page * PAGE, zero, PAGE) == 0)
            continue;
        plan_page(p, (uint32_t)page, first);
        first = false;
    }
}

static const uint8_t *map_image(const struct plan *p)
{
    void *image = mmap(NULL, p->image_bytes, PROT_READ, MAP_SHARED, p->image_fd, 0);

    if (image == MAP_FAILED)
        err(1, "mmap of the image");
    return image;
}

static void plan_image(struct plan *p, const char *path)
{
    struct stat st;

    p->image_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (p->image_fd < 0 || fstat(p->image_fd, &st) < 0)
        err(1, "%s", path);
    p->image_bytes = (size_t)st.st_size;
    if (p->image_bytes == 0 || p->image_bytes % PAGE != 0)
        errx(1, "%s: its size is no whole number of %d byte pages", path, PAGE);
    p->n_stripes = (p->image_bytes + STRIPE - 1) / STRIPE;
    p->runs = must_alloc(p->image_bytes / PAGE, sizeof(*p->runs));
    p->pieces = must_alloc(p->image_bytes / PAGE, sizeof(*p->pieces));
    p->stripe_first = must_alloc(p->n_stripes + 1, sizeof(*p->stripe_first));

    const uint8_t *image = map_image(p);

    for (size_t s = 0; s < p->n_stripes; s++)
        plan_stripe(p, s, image);
    p->stripe_first[p->n_stripes] = (uint32_t)p->n_pieces;
    p->wire_bytes += p->n_pieces * HEAD_LEN;
    /* Unmapped again, so that the sender maps the image afresh, as ramjet's does. */
    munmap((void *)image, p->image_bytes);
}

static void plan_done(struct plan *p)
{
    close(p->image_fd);
    free(p->runs);
    free(p->pieces);
    free(p->stripe_first);
}

/* ---- Both ends ---- */

/* Fills c->iov with the bytes of a piece, at the same places at both ends; returns how many
 * vectors. */
static size_t piece_iov(struct channel *c, uint32_t number)
{
    const struct piece *piece = &c->plan->pieces[number];
    const struct run *run = &c->plan->runs[piece->first_run];

    c->iov[0] = (struct iovec){c->head, HEAD_LEN};
    for (uint32_t i = 0; i < piece->n_runs; i++) {
        c->iov[1 + i].iov_base = c->memory + (size_t)run[i].page * PAGE;
        c->iov[1 + i].iov_len = (size_t)run[i].n_pages * PAGE;
    }
    return 1 + piece->n_runs;
}

typedef ssize_t message_call(int fd, struct msghdr *m);

static ssize_t send_call(int fd, struct msghdr *m)
{
    return sendmsg(fd, m, MSG_NOSIGNAL);
}

static ssize_t recv_call(int fd, struct msghdr *m)
{
    return recvmsg(fd, m, 0);
}

static void transfer(int fd, struct iovec *iov, size_t n, message_call *call)
{
    while (n > 0) {
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t done = call(fd, &m);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            err(1, "a connection broke");

        size_t left = (size_t)done;

        for (; n > 0 && left >= iov->iov_len; n--, iov++)
            left -= iov->iov_len;
        if (n > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + left;
            iov->iov_len -= left;
        }
    }
}

static void run_threads(struct channel *c, unsigned n, void *(*body)(void *))
{
    for (unsigned i = 0; i < n; i++)
        if ((errno = pthread_create(&c[i].thread, NULL, body, &c[i])) != 0)
            err(1, "thread");
    for (unsigned i = 0; i < n; i++)
        pthread_join(c[i].thread, NULL);
}

static struct channel *channels_new(const struct plan *p, struct board *b, uint8_t *memory)
{
    struct channel *c = must_alloc(p->channels, sizeof(*c));

    for (unsigned i = 0; i < p->channels; i++) {
        c[i].plan = p;
        c[i].board = b;
        c[i].memory = memory;
    }
    return c;
}

/* ---- The sender ---- */

static uint32_t claim_piece(struct channel *c)
{
    const struct plan *p = c->plan;

    while (c->piece == c->piece_end) {
        unsigned stripe = atomic_fetch_add(&c->board->next_stripe, 1);

        if (stripe >= p->n_stripes)
            return NO_PIECE;
        c->piece = p->stripe_first[stripe];
        c->piece_end = p->stripe_first[stripe + 1];
    }
    return c->piece++;
}

/* The first piece's number is sent before it; a later number is in the head of the piece before. */
static void *send_pieces(void *arg)
{
    struct channel *c = arg;
    uint32_t piece = claim_piece(c);
    struct iovec first = {&piece, sizeof(piece)};

    transfer(c->fd, &first, 1, send_call);
    while (piece != NO_PIECE) {
        uint32_t next = claim_piece(c);

        memcpy(c->head, &next, sizeof(next));
        transfer(c->fd, c->iov, piece_iov(c, piece), send_call);
        piece = next;
    }
    return NULL;
}

/* Without pacing, as ramjet's sockets on one host. Accepted connections inherit that. */
static int local_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof("reno") - 1);
    return fd;
}

static void run_sender(const struct plan *p, struct board *b, const struct sockaddr_in *to)
{
    struct channel *c = channels_new(p, b, (uint8_t *)map_image(p));

    for (unsigned i = 0; i < p->channels; i++) {
        c[i].fd = local_socket();
        if (c[i].fd < 0 || connect(c[i].fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
            err(1, "connect");
    }
    pthread_barrier_wait(&b->ready);

    uint64_t cpu_before = cpu_ns();

    b->begin_ns = now_ns();
    run_threads(c, p->channels, send_pieces);
    b->send.cpu_ns = cpu_ns() - cpu_before;
}

/* ---- The receiver ---- */

static uint8_t *guest_memory(const struct plan *p)
{
    size_t len = p->n_stripes * STRIPE;
    uint8_t *m =
        mmap(NULL, len + STRIPE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (m == MAP_FAILED)
        err(1, "mmap of %zu bytes of memory", len);
    m += -(uintptr_t)m & (STRIPE - 1);
    /* May fail: without huge pages the ceiling is lower, and then that is the right one. */
    (void)madvise(m, len, MADV_HUGEPAGE);
    if (p->populated && madvise(m, len, MADV_POPULATE_WRITE) < 0)
        err(1, "populate %zu bytes of memory", len);
    return m;
}

static void *recv_pieces(void *arg)
{
    struct channel *c = arg;
    uint32_t piece;
    struct iovec first = {&piece, sizeof(piece)};

    transfer(c->fd, &first, 1, recv_call);
    while (piece != NO_PIECE) {
        if (piece >= c->plan->n_pieces)
            errx(1, "piece %u of %zu: the stream has slipped", piece, c->plan->n_pieces);
        transfer(c->fd, c->iov, piece_iov(c, piece), recv_call);
        memcpy(&piece, c->head, sizeof(piece));
    }
    return NULL;
}

static void run_receiver(const struct plan *p, struct board *b, int listener)
{
    uint8_t *memory = guest_memory(p);
    struct channel *c = channels_new(p, b, memory);

    for (unsigned i = 0; i < p->channels; i++)
        if ((c[i].fd = accept(listener, NULL, NULL)) < 0)
            err(1, "accept");
    pthread_barrier_wait(&b->ready);

    uint64_t cpu_before = cpu_ns();

    run_threads(c, p->channels, recv_pieces);
    b->end_ns = now_ns();
    b->recv.cpu_ns = cpu_ns() - cpu_before;
    if (p->check && memcmp(memory, map_image(p), p->image_bytes) != 0)
        errx(1, "what arrived is not the image");
}

/* ---- Both processes, and the figures ---- */

static int listen_on_loopback(struct sockaddr_in *ret_address)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof(a);
    int fd = local_socket();

    if (fd < 0 || bind(fd, (const struct sockaddr *)&a, len) < 0 || listen(fd, CHANNELS_MAX) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        err(1, "listen");
    *ret_address = a;
    return fd;
}

static struct board *board_new(void)
{
    struct board *b =
        mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;

    if (b == MAP_FAILED)
        err(1, "shared memory");
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&b->ready, &shared, 2);
    pthread_barrierattr_destroy(&shared);
    return b;
}

static pid_t must_fork(void)
{
    pid_t pid = fork();

    if (pid < 0)
        err(1, "fork");
    return pid;
}

/* If one end fails, the other is ended, too: it would wait for ever at the barrier or socket. */
static void reap(pid_t sender, pid_t receiver, struct rusage *ret_send, struct rusage *ret_recv)
{
    for (int left = 2; left > 0; left--) {
        struct rusage usage;
        int status;
        pid_t pid = wait4(-1, &status, 0, &usage);

        if (pid < 0)
            err(1, "wait");
        if (status != 0) {
            kill(pid == sender ? receiver : sender, SIGKILL);
            errx(1, "the %s failed", pid == sender ? "sender" : "receiver");
        }
        *(pid == sender ? ret_send : ret_recv) = usage;
    }
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void print_side(const char *name, const struct side *s, const struct rusage *whole)
{
    printf("\"%s\":{\"cpu_ms\":%.1f,\"process_cpu_ms\":%.1f,\"maxrss_kib\":%ld},", name,
           ms(s->cpu_ns), ms(rusage_cpu_ns(whole)), whole->ru_maxrss);
}

static void measure(const struct plan *p)
{
    struct board *b = board_new();
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    struct rusage send, recv;
    uint64_t fork_ns = now_ns();
    pid_t receiver = must_fork();

    if (receiver == 0) {
        run_receiver(p, b, listener);
        _exit(0);
    }

    pid_t sender = must_fork();

    if (sender == 0) {
        run_sender(p, b, &address);
        _exit(0);
    }
    reap(sender, receiver, &send, &recv);

    uint64_t process_ns = now_ns() - fork_ns;
    uint64_t wall_ns = b->end_ns - b->begin_ns;

    printf("{\"channels\":%u,\"populated\":%s,\"bytes\":%llu,\"pieces\":%zu,", p->channels,
           p->populated ? "true" : "false", (unsigned long long)p->wire_bytes, p->n_pieces);
    print_side("send", &b->send, &send);
    print_side("recv", &b->recv, &recv);
    printf("\"wall_ms\":%.1f,\"cpu_ms\":%.1f,\"process_wall_ms\":%.1f,\"process_cpu_ms\":%.1f,"
           "\"gb_per_s\":%.3f}\n",
           ms(wall_ns), ms(b->send.cpu_ns + b->recv.cpu_ns), ms(process_ns),
           ms(rusage_cpu_ns(&send) + rusage_cpu_ns(&recv)),
           (double)p->wire_bytes / (double)wall_ns);
}

static const char usage[] =
    "usage: raw_ceiling [--channels N] [--populated] [--check] IMAGE\n"
    "  --populated  the receiver's memory is touched before the clock starts\n"
    "  --check      compare what arrived with the image, after the clock\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"channels", required_argument, NULL, 'n'},
        {"populated", no_argument, NULL, 'p'},
        {"check", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct plan p = {.channels = 2};

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'n':
            p.channels = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            p.populated = true;
            break;
        case 'c':
            p.check = true;
            break;
        default:
            return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
        }
    }
    if (argc - optind != 1 || p.channels < 1 || p.channels > CHANNELS_MAX)
        return fputs(usage, stderr), 2;
    plan_image(&p, argv[optind]);
    measure(&p);
    plan_done(&p);
    return 0;
}
