#include "tests/support/bytes_channel.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/test.h"
#include "transport/engine.h"
#include "transport/file_channel.h"

int bytes_fd(const void *bytes, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    CHECK(fd >= 0, "memfd_create");
    CHECK(len == 0 || pwrite(fd, bytes, len, 0) == (ssize_t)len, "write to a memfd");
    return fd;
}

struct channel *bytes_channel(const void *bytes, size_t len)
{
    AUTO_FD int fd = bytes_fd(bytes, len);
    struct channel *c;
    struct error err;

    OK(file_channel_open(fd, 0, &c, &err), err, "bytes_channel");
    return c;
}

struct buf bytes_of_fd(int fd)
{
    struct stat st;

    CHECK(fstat(fd, &st) == 0, "fstat");
    struct buf b = {.data = malloc((size_t)st.st_size + 1), .len = (size_t)st.st_size};
    CHECK(b.data && pread(fd, b.data, b.len, 0) == (ssize_t)b.len, "read a file back");
    b.room = b.len + 1;
    return b;
}

void bytes_stream_in(struct stream_in *in, const void *bytes, size_t len)
{
    struct error err;

    OK(stream_in_init(in, bytes_channel(bytes, len), &err), err, "bytes_stream_in");
}

void bytes_stream_in_done(struct stream_in *in)
{
    channel_free(in->channel);
    stream_in_done(in);
}

void bytes_out_init(struct bytes_out *o)
{
    struct channel *c;
    struct error err;

    o->fd = bytes_fd(NULL, 0);
    OK(file_channel_open(o->fd, 0, &c, &err), err, "bytes_out");
    OK(stream_out_init(&o->out, c, &err), err, "bytes_out");
}

struct buf bytes_out_take(struct bytes_out *o)
{
    struct error err;

    OK(stream_out_flush(&o->out, &err), err, "bytes_out");
    channel_free(o->out.channel);
    stream_out_done(&o->out);
    struct buf b = bytes_of_fd(o->fd);
    close(o->fd);
    return b;
}

static struct channel *channel_over(int fd, uint64_t stall_timeout_ms)
{
    const struct engine *engine;
    struct channel *c;
    struct error err;

    OK(engine_find("socket", &engine, &err), err, "channel_over");
    struct engine_config config = {.stall_timeout_ms = stall_timeout_ms};
    OK(engine->open(fd, &config, &c, &err), err, "channel_over");
    return c;
}

struct channel *channel_and_fd(uint64_t stall_timeout_ms, int *ret_fd)
{
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
    *ret_fd = fds[1];
    return channel_over(fds[0], stall_timeout_ms);
}

void channel_pair(uint64_t stall_timeout_ms, struct channel *ret[static 2])
{
    int fd;

    ret[0] = channel_and_fd(stall_timeout_ms, &fd);
    ret[1] = channel_over(fd, stall_timeout_ms);
}
