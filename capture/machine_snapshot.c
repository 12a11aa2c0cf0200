#include "capture/machine_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/macros.h"
#include "capture/plain_pages.h"
#include "capture/raw_names.h"
#include "migration/main_stream.h"
#include "ram/checksum_file.h"
#include "ram/mapped_file.h"
#include "ram/ram_load.h"
#include "transport/file.h"
#include "transport/file_channel.h"

struct snapshot {
    struct machine base;
    int *fds; /* of the files that the blocks are in */
    size_t n_fds;
    struct checksums checksums; /* of the file; the blocks have parts of it */
};

static void snapshot_free(struct machine *m)
{
    struct snapshot *s = (struct snapshot *)m;

    ram_map_done(&m->ram);
    device_state_done(&m->devices);
    for (size_t i = 0; i < s->n_fds; i++)
        fd_close(&s->fds[i]);
    free(s->fds);
    checksums_done(&s->checksums);
    free(s);
}

static const struct machine_ops snapshot_ops = {.free = snapshot_free};

static struct snapshot *snapshot_new(void)
{
    struct snapshot *s = calloc(1, sizeof(*s));

    if (s)
        s->base.ops = &snapshot_ops;
    return s;
}

/* Takes ownership of the descriptor, also when it fails. */
static int keep_fd(struct snapshot *s, int fd, struct error *err)
{
    int *fds = reallocarray(s->fds, s->n_fds + 1, sizeof(*fds));

    if (!fds) {
        fd_close(&fd);
        return err_sys(err, "memory for a descriptor");
    }
    s->fds = fds;
    s->fds[s->n_fds++] = fd;
    return 0;
}

/* --- reading the stream in the file ---------------------------------------------------------- */

/* The stream of a snapshot, while it is read. */
struct reading {
    struct main_stream stream;
    struct ram_load load;
    enum snapshot_pages pages;
    bool on_channels; /* the stream had a word that is only written for channels */
};

static int any_configuration(struct main_stream *ms, struct error *err)
{
    struct reading *r = CONTAINER_OF(ms, struct reading, stream);

    (void)err;
    r->load.addresses = ms->config.capabilities & STREAM_CAP_X_IGNORE_SHARED;
    return 0;
}

/* Mapped-ram, or a plain stream. */
static int any_file(struct main_stream *ms, struct error *err)
{
    struct reading *r = CONTAINER_OF(ms, struct reading, stream);

    r->load.from_file = ms->config.capabilities & STREAM_CAP_MAPPED_RAM;
    return any_configuration(ms, err);
}

static int list_as_it_is(struct ram_load *load, struct error *err)
{
    (void)load;
    (void)err;
    return 0;
}

static int note_barrier(struct ram_load *load, bool word, struct error *err)
{
    struct reading *r = CONTAINER_OF(load, struct reading, load);

    (void)err;
    r->on_channels |= word;
    return 0;
}

static int place_pages(struct ram_load *load, struct error *err)
{
    const struct reading *r = CONTAINER_OF(load, const struct reading, load);

    return load->from_file ? 0 : plain_pages_place(load->map, r->pages, err);
}

static const struct main_stream_ops file_ops = {.configured = any_file};
static const struct main_stream_ops raw_ops = {.configured = any_configuration};
static const struct ram_load_ops page_ops = {.listed = place_pages, .barrier = note_barrier};
static const struct ram_load_ops list_ops = {.listed = list_as_it_is, .barrier = note_barrier};

/* The list goes to the machine. */
static void reading_init(struct reading *r, const struct main_stream_ops *ops,
                         const struct ram_load_ops *pages, struct machine *m)
{
    *r = (struct reading){.stream = {.ops = ops, .padded = true}};
    ram_load_init(&r->load, pages, &m->ram);
    section_loaders_add(&r->stream.loaders, &r->load.base);
}

static void reading_done(struct reading *r)
{
    main_stream_done(&r->stream);
    ram_load_done(&r->load);
}

/* Moves what was read into the machine. */
static void adopt(struct machine *m, struct main_stream *ms)
{
    m->config = ms->config;
    m->config.capabilities = 0; /* they describe the file, not the VM */
    m->devices = ms->devices;
    ms->devices = (struct device_state){0};
}

/* Reads the stream from byte `offset` on. */
static int read_stream(struct machine *m, int fd, uint64_t offset, struct reading *r,
                       struct error *err)
{
    struct stream_in in;
    struct channel *c;

    if (file_channel_open(fd, 0, &c, err) < 0)
        return -1;
    int rc = stream_in_init(&in, c, err);
    if (rc == 0) {
        stream_in_seek(&in, offset);
        r->stream.in = &in;
        rc = main_stream_read(&r->stream, err);
    }
    stream_in_done(&in);
    channel_free(c);
    if (rc == 0)
        adopt(m, &r->stream);
    return rc;
}

/* For a block whose memory was left out, with x-ignore-shared: it has to be left out again. */
static void leave_out(struct ram_block *b)
{
    b->shared = b->named = true;
    b->travel = RAM_TRAVELS; /* the value was the file's; a migration decides anew */
}

/* --- mapping the pages ----------------------------------------------------------------------- */

static int map_block(struct ram_block *b, int fd, uint64_t offset, struct error *err)
{
    void *host =
        mmap(NULL, b->used_bytes, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, fd, (off_t)offset);

    if (host == MAP_FAILED)
        return err_sys(err, "RAM block '%s': map %" PRIu64 " MiB", b->name, b->used_bytes >> 20);
    b->host = host;
    b->mapped = true;
    b->fd = fd;
    b->fd_offset = offset;
    return 0;
}

/* Reading the list has checked that all pages are inside the file, as long as it is now: reading
 * beyond its end would be a SIGBUS. */
static int map_file(struct machine *m, const struct mapped_file *file, struct error *err)
{
    for (size_t i = 0; i < m->ram.n; i++) {
        struct ram_block *b = &m->ram.blocks[i];

        if (b->travel == RAM_IGNORED)
            leave_out(b);
        else if (ram_block_track(b, err) < 0 ||
                 mapped_file_bitmap(file, i, b, UNQUALIFIED(b->present), err) < 0 ||
                 map_block(b, file->fd, file->blocks[i].pages_offset, err) < 0)
            return -1;
    }
    return 0;
}

static int open_regular(int dir, const char *path, int *ret_fd, uint64_t *ret_bytes,
                        struct error *err)
{
    AUTO_FD int fd = openat(dir, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_USAGE, "%s: not a regular file", path);
    *ret_bytes = (uint64_t)st.st_size;
    *ret_fd = fd_take(&fd);
    return 0;
}

/* The pages of a plain stream have gone to the blocks; a block that was left out has none. */
static int settle_plain(struct machine *m, const struct reading *r, struct error *err)
{
    bool may_lack = r->load.addresses;

    if (r->on_channels || (r->load.normal == 0 && !may_lack))
        return err_set(err, ERR_PEER,
                       "a stream without its pages: they went over channels, or are in files of "
                       "their own");
    for (size_t i = 0; may_lack && i < m->ram.n; i++) {
        struct ram_block *b = &m->ram.blocks[i];

        if (ram_block_came(b))
            continue;
        plain_pages_drop(b);
        leave_out(b);
    }
    return 0;
}

static int settle_pages(struct machine *m, int fd, const struct reading *r, struct error *err)
{
    const struct mapped_file file = {.fd = fd, .direct_fd = -1, .blocks = r->load.mapped};

    return r->load.from_file ? map_file(m, &file, err) : settle_plain(m, r, err);
}

static int load_file(struct snapshot *s, const struct address *from, enum snapshot_pages pages,
                     bool checked, struct error *err)
{
    struct reading r;
    int fd;

    reading_init(&r, &file_ops, &page_ops, &s->base);
    r.pages = pages;
    if (file_source_open(from, &fd, &r.load.file_bytes, err) < 0 || keep_fd(s, fd, err) < 0)
        return -1;
    uint64_t bytes = r.load.file_bytes, start = from->offset;
    int rc = checked ? checksums_open(fd, bytes, start, &s->checksums, err) : 0;
    if (rc == 0)
        rc = read_stream(&s->base, fd, start, &r, err);
    if (rc == 0 && checked && r.load.from_file)
        rc = checksums_apply(fd, bytes, start, &s->base.ram, r.load.mapped, &s->checksums, err);
    if (rc == 0)
        rc = settle_pages(&s->base, fd, &r, err);
    reading_done(&r);
    return rc < 0 ? err_in(err, "%s", from->file) : 0;
}

static int open_snapshot(const struct address *from, enum snapshot_pages pages, bool checked,
                         struct machine **ret, struct error *err)
{
    struct snapshot *s = snapshot_new();

    if (!s)
        return err_sys(err, "memory for a snapshot");
    if (load_file(s, from, pages, checked, err) < 0) {
        snapshot_free(&s->base);
        return -1;
    }
    *ret = &s->base;
    return 0;
}

int machine_snapshot_file(const struct address *from, enum snapshot_pages pages,
                          struct machine **ret, struct error *err)
{
    return open_snapshot(from, pages, true, ret, err);
}

int machine_snapshot_unchecked(const struct address *from, enum snapshot_pages pages,
                               struct machine **ret, struct error *err)
{
    return open_snapshot(from, pages, false, ret, err);
}

bool machine_snapshot_has_checksums(const struct machine *m)
{
    return m->ops == &snapshot_ops && ((const struct snapshot *)m)->checksums.found;
}

static int map_raw_block(struct snapshot *s, int dir, bool may_lack, struct ram_block *b,
                         struct error *err)
{
    char name[RAW_NAME_MAX];
    uint64_t bytes;
    int fd;

    raw_block_name(b->name, name);
    if (open_regular(dir, name, &fd, &bytes, err) < 0) {
        if (!may_lack || err->sys != ENOENT)
            return -1;
        leave_out(b);
        return 0;
    }
    if (keep_fd(s, fd, err) < 0)
        return -1;
    if (bytes != b->used_bytes)
        return err_set(err, ERR_PEER, "%s: %" PRIu64 " bytes, expected %" PRIu64, name, bytes,
                       b->used_bytes);
    return map_block(b, fd, 0, err);
}

static int load_raw(struct snapshot *s, const char *path, struct error *err)
{
    struct reading r;
    AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), stream = -1;
    uint64_t bytes;

    if (dir < 0)
        return err_sys(err, "open");
    if (open_regular(dir, RAW_STREAM, &stream, &bytes, err) < 0)
        return -1;
    reading_init(&r, &raw_ops, &list_ops, &s->base);
    int rc = read_stream(&s->base, stream, 0, &r, err);
    bool may_lack = r.load.addresses;
    reading_done(&r);
    for (size_t i = 0; rc == 0 && i < s->base.ram.n; i++)
        rc = map_raw_block(s, dir, may_lack, &s->base.ram.blocks[i], err);
    return rc;
}

int machine_snapshot_raw(const char *path, struct machine **ret, struct error *err)
{
    struct snapshot *s = snapshot_new();

    if (!s)
        return err_sys(err, "memory for a snapshot");
    if (load_raw(s, path, err) < 0) {
        snapshot_free(&s->base);
        return err_in(err, "%s", path);
    }
    *ret = &s->base;
    return 0;
}
