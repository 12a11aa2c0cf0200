#include "tools/convert_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "capture/partial.h"
#include "capture/target.h"
#include "migration/destination.h"
#include "migration/source.h"

struct convert_job {
    const struct convert_config *config;
    bool sends; /* by the engine of a source */

    struct machine *machine;
    struct source *source;
    struct partial partial;
    int fd; /* the partial's */

    struct target *target;
    struct destination *destination;
};

/* --- as a source ----------------------------------------------------------------------------- */

/* A block whose memory is not in the snapshot can only be left out again. */
static bool lacks_memory(const struct ram_map *ram)
{
    for (size_t i = 0; i < ram->n; i++) {
        if (!ram_block_is_here(&ram->blocks[i]))
            return true;
    }
    return false;
}

static int file_address(const char *path, uint64_t offset, struct address *ret, struct error *err)
{
    *ret = (struct address){.scheme = ADDRESS_FILE, .fd = -1, .offset = offset};
    if (strlen(path) >= sizeof(ret->file))
        return err_set(err, ERR_USAGE, "%.40s…: a path of at most %zu bytes expected", path,
                       sizeof(ret->file) - sizeof(".partial-XXXXXX"));
    strcpy(ret->file, path);
    snprintf(ret->text, sizeof(ret->text), "file:%s", path);
    return 0;
}

static int begin_sending(struct convert_job *j, struct error *err)
{
    const struct convert_config *c = j->config;
    struct source_config source;

    if (partial_new(&j->partial, c->path, false, c->force, &j->fd, err) < 0)
        return -1;
    j->partial.sync = c->sync;
    source_config_init(&source);
    if (file_address(j->partial.temp, c->head->len, &source.connect.address, err) < 0)
        return -1;
    source.mapped_ram = c->kind == CONVERT_MAPPED;
    source.n_channels = source.mapped_ram ? c->threads : 0;
    source.return_path = false;
    source.live.max_bytes_per_s = 0;
    source.ram.ignore_shared = lacks_memory(&j->machine->ram);
    source.uuid = j->machine->config.uuid;
    return source_new(&source, j->machine, &j->source, err);
}

/* The head comes last: with it the file is what its name says. */
static int run_sending(struct convert_job *j, struct error *err)
{
    const struct buf *head = j->config->head;

    if (source_run(j->source, err) < 0)
        return -1;
    if (fd_pwrite_all(j->fd, head->data, head->len, 0) < 0)
        return err_sys(err, "%s", j->config->path);
    return partial_settle(&j->partial, j->fd, err) < 0 ? -1 : partial_commit(&j->partial, err);
}

/* --- as a destination ------------------------------------------------------------------------ */

static int begin_receiving(struct convert_job *j, struct error *err)
{
    const struct convert_config *c = j->config;
    const struct target_config target = {
        .path = c->path, .head = c->head, .force = c->force, .sync = c->sync, .checksums = true};
    struct destination_config config;

    if (c->kind == CONVERT_RAW ? target_raw_new(&target, &j->target, err) < 0
                               : target_file_new(&target, &j->target, err) < 0)
        return -1;
    destination_config_init(&config);
    config.connect.address = c->from->file;
    config.open_capabilities = STREAM_CAP_MAPPED_RAM | STREAM_CAP_X_IGNORE_SHARED;
    config.file_threads = c->threads;
    return destination_new(&config, j->target, &j->destination, err);
}

/* Pages that are read to their places are not counted by a destination, but they are marked. */
static void count_present(const struct convert_job *j, struct migration_snapshot *ret)
{
    const struct ram_map *ram = destination_ram(j->destination);

    if (ret->status < MIGRATION_ACTIVE)
        return; /* the list is not complete */
    ret->normal = 0;
    for (size_t i = 0; i < ram->n; i++) {
        const struct ram_block *b = &ram->blocks[i];

        for (uint64_t w = 0; b->present && w < (ram_block_pages(b) + 63) / 64; w++)
            ret->normal += (uint64_t)__builtin_popcountll(
                atomic_load_explicit(&b->present[w], memory_order_relaxed));
    }
}

/* --- either ---------------------------------------------------------------------------------- */

int convert_job_new(const struct convert_config *config, struct convert_job **ret,
                    struct error *err)
{
    const struct snapshot_spec *from = config->from;

    if (from->raw && config->kind == CONVERT_RAW)
        return err_set(err, ERR_USAGE,
                       "both are folders of the same kind: cp -r copies one of them");
    if (from->is_libvirt && libvirt_save_check_stream(&from->libvirt, from->file.file, err) < 0)
        return -1;
    struct convert_job *j = calloc(1, sizeof(*j));

    if (!j)
        return err_sys(err, "memory for a conversion");
    j->config = config;
    j->fd = -1;
    j->sends = from->raw || config->kind == CONVERT_STREAM;
    if (j->sends && open_machine_snapshot(from, PAGES_LOADED, &j->machine, err) < 0) {
        convert_job_free(j);
        return -1;
    }
    *ret = j;
    return 0;
}

int convert_job_begin(struct convert_job *j, struct error *err)
{
    return j->sends ? begin_sending(j, err) : begin_receiving(j, err);
}

int convert_job_run(struct convert_job *j, struct error *err)
{
    return j->sends ? run_sending(j, err) : destination_run(j->destination, err);
}

void convert_job_cancel(void *job)
{
    struct convert_job *j = job;

    if (j->sends)
        source_cancel(j->source);
    else
        destination_cancel(j->destination);
}

void convert_job_stats(void *job, struct migration_snapshot *ret)
{
    struct convert_job *j = job;

    if (j->sends) {
        source_stats(j->source, ret);
        return;
    }
    destination_stats(j->destination, ret);
    count_present(j, ret);
}

void convert_job_free(struct convert_job *j)
{
    if (!j)
        return;
    source_free(j->source);
    destination_free(j->destination);
    target_free(j->target);
    machine_free(j->machine);
    fd_close(&j->fd);
    if (j->partial.path[0])
        partial_done(&j->partial);
    free(j);
}
