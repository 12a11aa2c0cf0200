/*
 * Preloaded into a program: makes the n-th call of a kind fail, as the file named by FAIL_CALLS
 * says, and counts all calls in that file. lib/faults.py writes and reads it, also while the
 * program runs. Calls before main neither count nor fail: they are not the program's own.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* glibc's own functions, by the names that no program overrides. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

enum kind {
    MEMORY,
    OPEN,
    READ,
    PREAD,
    WRITE,
    PWRITE,
    FTRUNCATE,
    FALLOCATE,
    RENAME,
    FSYNC,
    UNLINK,
    STAT,
    LSEEK,
    FCNTL,
    FLOCK,
    MMAP,
    MADVISE,
    MINCORE,
    IOCTL,
    SOCKET,
    SETSOCKOPT,
    GETSOCKOPT,
    BIND,
    LISTEN,
    ACCEPT,
    CONNECT,
    GETADDRINFO,
    SEND,
    RECV,
    SENDFILE,
    POLL,
    THREAD,
    EVENT,
    PIPE,
    SIGWAIT,
    SYSCALL,
    N_KINDS
};

static const char *const names[N_KINDS] = {
    [MEMORY] = "memory",
    [OPEN] = "open",
    [READ] = "read",
    [PREAD] = "pread",
    [WRITE] = "write",
    [PWRITE] = "pwrite",
    [FTRUNCATE] = "ftruncate",
    [FALLOCATE] = "fallocate",
    [RENAME] = "rename",
    [FSYNC] = "fsync",
    [UNLINK] = "unlink",
    [STAT] = "stat",
    [LSEEK] = "lseek",
    [FCNTL] = "fcntl",
    [FLOCK] = "flock",
    [MMAP] = "mmap",
    [MADVISE] = "madvise",
    [MINCORE] = "mincore",
    [IOCTL] = "ioctl",
    [SOCKET] = "socket",
    [SETSOCKOPT] = "setsockopt",
    [GETSOCKOPT] = "getsockopt",
    [BIND] = "bind",
    [LISTEN] = "listen",
    [ACCEPT] = "accept",
    [CONNECT] = "connect",
    [GETADDRINFO] = "getaddrinfo",
    [SEND] = "send",
    [RECV] = "recv",
    [SENDFILE] = "sendfile",
    [POLL] = "poll",
    [THREAD] = "thread",
    [EVENT] = "event",
    [PIPE] = "pipe",
    [SIGWAIT] = "sigwait",
    [SYSCALL] = "syscall",
};

enum { NAME_LEN = 16 };

/* Results that are not an errno. */
enum { RESULT_ZERO = 0, RESULT_SHORT = -1, RESULT_NONE = -2 };

/* The file; lib/faults.py has the same layout. */
struct orders {
    char kind[NAME_LEN]; /* whose calls fail, or "" */
    uint64_t first;      /* the first call that fails, from 1 */
    uint64_t times;      /* so many calls fail, in a row */
    int64_t result;      /* an errno, or a RESULT_… */
    atomic_ullong failed;
    char caller[64]; /* the caller of the first call that failed */
    uint64_t n_kinds;
    struct {
        char name[NAME_LEN];
        atomic_ullong calls;
    } counted[N_KINDS];
};

static struct orders *orders; /* NULL before main */

static void name_caller(const void *address)
{
    Dl_info info;
    const char *slash;

    if (!dladdr(address, &info) || !info.dli_fname)
        return;
    slash = strrchr(info.dli_fname, '/');
    snprintf(orders->caller, sizeof(orders->caller), "%s+%#lx", slash ? slash + 1 : info.dli_fname,
             (unsigned long)((const char *)address - (const char *)info.dli_fbase));
}

/* The fate of this call: an errno, RESULT_ZERO, RESULT_SHORT, or RESULT_NONE: it goes through. */
static int judge(enum kind kind, const void *caller)
{
    uint64_t call;

    if (!orders)
        return RESULT_NONE;
    call = 1 + atomic_fetch_add(&orders->counted[kind].calls, 1);
    if (strncmp(orders->kind, names[kind], NAME_LEN) != 0)
        return RESULT_NONE;
    if (call < orders->first || call - orders->first >= orders->times)
        return RESULT_NONE;
    if (atomic_fetch_add(&orders->failed, 1) == 0)
        name_caller(caller);
    if (orders->result > 0)
        errno = (int)orders->result;
    return (int)orders->result;
}

#define JUDGE(kind) judge(kind, __builtin_return_address(0))

/* The next function of that name, as a local `real`. */
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Half of it, rounded up: a call for one byte gets that byte. */
static size_t part(int result, size_t len)
{
    return result == RESULT_SHORT ? (len + 1) / 2 : len;
}

static size_t length(const struct iovec *iov, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* The start of iov that part() lets through, in `ret_iov`, which has room for n; its length. */
static size_t cut(int result, const struct iovec *iov, size_t n, struct iovec *ret_iov)
{
    size_t left = part(result, length(iov, n));
    size_t used = 0;

    for (; used < n && left; used++) {
        ret_iov[used] = iov[used];
        if (ret_iov[used].iov_len > left)
            ret_iov[used].iov_len = left;
        left -= ret_iov[used].iov_len;
    }
    return used;
}

/* ---- memory ---- */

void *malloc(size_t size)
{
    return JUDGE(MEMORY) > 0 ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return JUDGE(MEMORY) > 0 ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return JUDGE(MEMORY) > 0 ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return JUDGE(MEMORY) > 0 ? NULL : __libc_memalign(alignment, size);
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    REAL(mmap);
    return JUDGE(MMAP) > 0 ? MAP_FAILED : real(at, len, prot, flags, fd, offset);
}

/* ---- calls that succeed or fail ---- */

/* One that returns an int, -1 for an error. */
#define PLAIN(kind, name, parameters, arguments)                                                   \
    int name parameters                                                                            \
    {                                                                                              \
        REAL(name);                                                                                \
        return JUDGE(kind) > 0 ? -1 : real arguments;                                              \
    }

PLAIN(FTRUNCATE, ftruncate, (int fd, off_t len), (fd, len))
PLAIN(FALLOCATE, fallocate, (int fd, int mode, off_t offset, off_t len), (fd, mode, offset, len))
PLAIN(RENAME, rename, (const char *from, const char *to), (from, to))
PLAIN(RENAME, renameat2, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
      (from_fd, from, to_fd, to, flags))
PLAIN(FSYNC, fsync, (int fd), (fd))
PLAIN(UNLINK, unlink, (const char *path), (path))
PLAIN(UNLINK, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
PLAIN(STAT, stat, (const char *path, struct stat *ret), (path, ret))
PLAIN(STAT, lstat, (const char *path, struct stat *ret), (path, ret))
PLAIN(STAT, fstat, (int fd, struct stat *ret), (fd, ret))
PLAIN(FLOCK, flock, (int fd, int operation), (fd, operation))
PLAIN(OPEN, mkostemp, (char *name, int flags), (name, flags))
PLAIN(OPEN, memfd_create, (const char *name, unsigned flags), (name, flags))
PLAIN(OPEN, dup, (int fd), (fd))
PLAIN(MADVISE, madvise, (void *at, size_t len, int advice), (at, len, advice))
PLAIN(MINCORE, mincore, (void *at, size_t len, unsigned char *ret), (at, len, ret))
PLAIN(SOCKET, socket, (int domain, int type, int protocol), (domain, type, protocol))
PLAIN(SETSOCKOPT, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
      (fd, level, name, value, len))
PLAIN(GETSOCKOPT, getsockopt, (int fd, int level, int name, void *ret, socklen_t *len),
      (fd, level, name, ret, len))
PLAIN(BIND, bind, (int fd, const struct sockaddr *at, socklen_t len), (fd, at, len))
PLAIN(LISTEN, listen, (int fd, int backlog), (fd, backlog))
PLAIN(ACCEPT, accept4, (int fd, struct sockaddr *ret, socklen_t *len, int flags),
      (fd, ret, len, flags))
PLAIN(CONNECT, connect, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len))
PLAIN(EVENT, eventfd, (unsigned count, int flags), (count, flags))
PLAIN(PIPE, pipe2, (int ret_fds[2], int flags), (ret_fds, flags))
PLAIN(SIGWAIT, sigwaitinfo, (const sigset_t *set, siginfo_t *ret), (set, ret))

int open(const char *path, int flags, ...)
{
    va_list list;
    mode_t mode;
    REAL(open);

    va_start(list, flags);
    mode = va_arg(list, mode_t); /* useless without O_CREAT, but harmless */
    va_end(list);
    return JUDGE(OPEN) > 0 ? -1 : real(path, flags, mode);
}

int openat(int fd, const char *path, int flags, ...)
{
    va_list list;
    mode_t mode;
    REAL(openat);

    va_start(list, flags);
    mode = va_arg(list, mode_t);
    va_end(list);
    return JUDGE(OPEN) > 0 ? -1 : real(fd, path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    void *argument;
    REAL(fcntl);

    va_start(list, command);
    argument = va_arg(list, void *);
    va_end(list);
    if (command == F_GETFD || command == F_GETFL) /* these cannot fail */
        return real(fd, command, argument);
    return JUDGE(FCNTL) > 0 ? -1 : real(fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    va_list list;
    void *argument;

    if (!real)
        real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    return JUDGE(IOCTL) > 0 ? -1 : real(fd, request, argument);
}

long syscall(long number, ...)
{
    static long (*real)(long, ...);
    va_list list;
    long a[6];

    if (!real)
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    return JUDGE(SYSCALL) > 0 ? -1 : real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

off_t lseek(int fd, off_t offset, int whence)
{
    REAL(lseek);
    return JUDGE(LSEEK) > 0 ? -1 : real(fd, offset, whence);
}

int pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    int result = JUDGE(THREAD);
    REAL(pthread_create);

    return result > 0 ? result : real(ret, attr, start, arg);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    int result = JUDGE(GETADDRINFO);
    REAL(getaddrinfo);

    if (result > 0)
        return result == ENOMEM ? EAI_MEMORY : EAI_SYSTEM;
    return real(node, service, hints, ret);
}

/* `call` is the real wait. */
#define WAITS(name, parameters, call)                                                              \
    int name parameters                                                                            \
    {                                                                                              \
        int result = JUDGE(POLL);                                                                  \
        REAL(name);                                                                                \
                                                                                                   \
        if (result > 0)                                                                            \
            return -1;                                                                             \
        if (result != RESULT_ZERO)                                                                 \
            return call;                                                                           \
        for (nfds_t i = 0; i < n; i++) /* as if the time had passed */                             \
            fds[i].revents = 0;                                                                    \
        return 0;                                                                                  \
    }

/* A name with _chk is what _FORTIFY_SOURCE calls where it knows the buffer's size. */
WAITS(poll, (struct pollfd * fds, nfds_t n, int timeout_ms), real(fds, n, timeout_ms))
WAITS(__poll_chk, (struct pollfd * fds, nfds_t n, int timeout_ms, size_t room),
      real(fds, n, timeout_ms, room))

/* ---- calls that move bytes: they may also move a part, or none ---- */

/* `call` uses `result`, and moves at most part() of it. */
#define MOVES(kind, name, parameters, call)                                                        \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        int result = JUDGE(kind);                                                                  \
        REAL(name);                                                                                \
                                                                                                   \
        if (result > 0)                                                                            \
            return -1;                                                                             \
        return result == RESULT_ZERO ? 0 : call;                                                   \
    }

MOVES(READ, read, (int fd, void *to, size_t len), real(fd, to, part(result, len)))
MOVES(READ, __read_chk, (int fd, void *to, size_t len, size_t room),
      real(fd, to, part(result, len), room))
MOVES(PREAD, pread, (int fd, void *to, size_t len, off_t at), real(fd, to, part(result, len), at))
MOVES(PREAD, __pread_chk, (int fd, void *to, size_t len, off_t at, size_t room),
      real(fd, to, part(result, len), at, room))
MOVES(WRITE, write, (int fd, const void *from, size_t len), real(fd, from, part(result, len)))
MOVES(PWRITE, pwrite, (int fd, const void *from, size_t len, off_t at),
      real(fd, from, part(result, len), at))
MOVES(SEND, send, (int fd, const void *from, size_t len, int flags),
      real(fd, from, part(result, len), flags))
/* Even a call that waits for all bytes may get a part: a signal causes that. */
MOVES(RECV, recv, (int fd, void *to, size_t len, int flags), real(fd, to, part(result, len), flags))
MOVES(RECV, __recv_chk, (int fd, void *to, size_t len, size_t room, int flags),
      real(fd, to, part(result, len), room, flags))
MOVES(SENDFILE, sendfile, (int to, int from, off_t *offset, size_t len),
      real(to, from, offset, part(result, len)))

/* Calls with a list of pieces are cut short by a shorter list. */
#define VECTOR(kind, name)                                                                         \
    ssize_t name(int fd, const struct iovec *iov, int n, off_t at)                                 \
    {                                                                                              \
        int result = JUDGE(kind);                                                                  \
        struct iovec less[n > 0 ? n : 1];                                                          \
        REAL(name);                                                                                \
                                                                                                   \
        if (result > 0)                                                                            \
            return -1;                                                                             \
        if (result == RESULT_ZERO)                                                                 \
            return 0;                                                                              \
        if (result != RESULT_SHORT)                                                                \
            return real(fd, iov, n, at);                                                           \
        return real(fd, less, (int)cut(result, iov, (size_t)n, less), at);                         \
    }

VECTOR(PREAD, preadv)
VECTOR(PWRITE, pwritev)

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int result = JUDGE(SEND);
    struct iovec less[message->msg_iovlen + 1];
    struct msghdr shorter = *message;
    REAL(sendmsg);

    if (result > 0)
        return -1;
    if (result == RESULT_ZERO)
        return 0;
    if (result != RESULT_SHORT)
        return real(fd, message, flags);
    shorter.msg_iovlen = cut(result, message->msg_iov, message->msg_iovlen, less);
    shorter.msg_iov = less;
    return real(fd, &shorter, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    int result = JUDGE(RECV);
    struct iovec less[message->msg_iovlen + 1];
    struct iovec *iov = message->msg_iov;
    size_t n = message->msg_iovlen;
    ssize_t got;
    REAL(recvmsg);

    if (result > 0)
        return -1;
    if (result == RESULT_ZERO)
        return 0;
    if (result != RESULT_SHORT)
        return real(fd, message, flags);
    message->msg_iovlen = cut(result, iov, n, less);
    message->msg_iov = less;
    got = real(fd, message, flags);
    message->msg_iov = iov;
    message->msg_iovlen = n;
    return got;
}

/* ---- start ---- */

static void begin(void)
{
    const char *path = getenv("FAIL_CALLS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct orders *found;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the program ends with the test */
    if (fd < 0)
        return;
    found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (found == MAP_FAILED)
        return;
    found->n_kinds = N_KINDS;
    for (int i = 0; i < N_KINDS; i++)
        memcpy(found->counted[i].name, names[i], strlen(names[i]) + 1);
    orders = found;
}

static int (*real_main)(int argc, char **argv, char **environment);

static int counted_main(int argc, char **argv, char **environment)
{
    begin();
    return real_main(argc, argv, environment);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    __typeof__(&__libc_start_main) real =
        (__typeof__(&__libc_start_main))dlsym(RTLD_NEXT, "__libc_start_main");

    real_main = main;
    return real(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}
