#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/fd.h"
#include "base/units.h"
#include "tools/convert_job.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/phase.h"
#include "tools/progress.h"
#include "tools/result.h"
#include "tools/verbs.h"

/* --- the target ------------------------------------------------------------------------------ */

static const struct target_kind {
    const char *prefix;
    enum convert_kind kind;
    bool libvirt; /* libvirt's header and XML precede the stream */
    enum libvirt_format format;
} kinds[] = {
    {"file:", CONVERT_MAPPED, false, LIBVIRT_PLAIN},
    {"stream:", CONVERT_STREAM, false, LIBVIRT_PLAIN},
    {"raw:", CONVERT_RAW, false, LIBVIRT_PLAIN},
    {"libvirt-save:", CONVERT_STREAM, true, LIBVIRT_PLAIN},
    {"libvirt-sparse:", CONVERT_MAPPED, true, LIBVIRT_SPARSE},
};

static const struct target_kind *find_kind(const char *target, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strncmp(target, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
            return &kinds[i];
    }
    err_set(err, ERR_USAGE,
            "target '%.100s': expected file:PATH, stream:PATH, raw:DIR, libvirt-save:PATH or "
            "libvirt-sparse:PATH",
            target);
    return NULL;
}

/* --- libvirt's part -------------------------------------------------------------------------- */

static int read_xml(const char *path, struct buf *ret, struct error *err)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    char piece[4096];
    ssize_t n;

    if (fd < 0)
        return err_sys(err, "%s", path);
    ret->limit = LIBVIRT_SAVE_TEXT_MAX;
    while ((n = read(fd, piece, sizeof(piece))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "%s", path);
        if (buf_append(ret, piece, (size_t)n, err) < 0)
            return err_in(err, "%s", path);
    }
    return buf_append(ret, "", 1, err);
}

/* With an XML of the user's the source's cookie may not fit any more: it is left out. */
static int head_from_xml(const char *path, struct libvirt_save *save, struct buf *ret,
                         struct error *err)
{
    struct buf xml = {0};
    int rc = read_xml(path, &xml, err);

    if (rc == 0) {
        save->xml = (char *)xml.data;
        save->xml_len = xml.len - 1;
        rc = libvirt_save_encode(save, ret, err);
        if (rc < 0)
            err_in(err, "%s", path);
    }
    buf_done(&xml);
    return rc;
}

/* What precedes the stream. */
static int make_head(const struct target_kind *kind, const struct snapshot_spec *from,
                     const struct options *options, struct buf *ret, struct error *err)
{
    struct libvirt_save save = {.running = true};

    if (!kind->libvirt)
        return 0;
    if (!options->xml_file && !from->is_libvirt)
        return err_set(err, ERR_USAGE,
                       "--xml FILE: libvirt needs the domain's XML, as virsh dumpxml --migratable "
                       "prints it; only a libvirt save file has one");
    if (from->is_libvirt)
        save = from->libvirt;
    save.format = kind->format;
    save.running &= !options->paused;
    if (!options->xml_file)
        return libvirt_save_encode(&save, ret, err);
    save.cookie = NULL;
    return head_from_xml(options->xml_file, &save, ret, err);
}

static int check_options(const struct target_kind *kind, const struct options *options,
                         struct error *err)
{
    if (kind->libvirt || (!options->xml_file && !options->paused))
        return 0;
    return err_set(err, ERR_USAGE, "%s: only for a target libvirt-save:PATH or libvirt-sparse:PATH",
                   options->xml_file ? "--xml" : "--paused");
}

/* --- the result ------------------------------------------------------------------------------ */

static int print_result(const char *target, const struct options *options,
                        const struct migration_snapshot *s, struct error *err)
{
    uint64_t data = s->normal * RAM_PAGE_SIZE;

    if (options->json)
        return result_print(json_pack("{s:o, s:I, s:I, s:I, s:I}", "target", result_text(target),
                                      "total", (json_int_t)s->total_bytes, "normal",
                                      (json_int_t)s->normal, "normal-bytes", (json_int_t)data,
                                      "total-time", (json_int_t)s->total_ms),
                            NULL, err);
    printf("convert: completed: %s of RAM, %s with data, in %s, %s\n",
           memory_text(s->total_bytes, (char[UNIT_TEXT_LEN]){0}),
           count_text(s->normal, "page", (char[COUNT_TEXT_LEN]){0}),
           time_text(s->total_ms, (char[UNIT_TEXT_LEN]){0}),
           rate_over_text(data, s->total_ms, (char[UNIT_TEXT_LEN]){0}));
    return output_flush(err);
}

/* --- the command line ------------------------------------------------------------------------ */

static int run_job(struct convert_job *job, const struct options *options, struct error *err)
{
    if (interrupt_start(convert_job_cancel, job, err) < 0)
        return -1;
    int rc = progress_start(options->progress, convert_job_stats, job, err);
    if (rc == 0)
        rc = convert_job_run(job, err);
    progress_stop();
    interrupt_stop();
    return rc;
}

static int convert(const struct convert_config *config, const char *target,
                   const struct options *options, struct error *err)
{
    struct migration_snapshot stats;
    struct convert_job *job;

    phase_start("convert", options->progress);
    phase_set(PHASE_UNLIMITED, "reading the source");
    if (convert_job_new(config, &job, err) < 0) {
        phase_stop();
        return -1;
    }
    phase_set(PHASE_UNLIMITED, "writing %.200s", target);
    interrupt_block();
    int rc = convert_job_begin(job, err);
    if (rc == 0 && (rc = run_job(job, options, err)) == 0) {
        convert_job_stats(job, &stats);
        if (print_result(target, options, &stats, err) < 0)
            rc = output_lost(err, "the target is whole");
    } else if (err->kind != ERR_USAGE) {
        err_add(err, "; %.200s was not written", target);
    }
    phase_stop();
    convert_job_free(job);
    return rc;
}

static unsigned default_threads(void)
{
    cpu_set_t cpus;
    int n = sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ? 2 : CPU_COUNT(&cpus);

    return (unsigned)MIN(MAX(n, 2), 16);
}

static int convert_snapshot(const struct snapshot_spec *from, const char *target,
                            const struct options *options, struct error *err)
{
    const struct target_kind *kind = find_kind(target, err);
    struct buf head = {0};

    if (!kind || check_options(kind, options, err) < 0)
        return -1;
    const struct convert_config config = {
        .from = from,
        .kind = kind->kind,
        .path = target + strlen(kind->prefix),
        .head = &head,
        .threads = options->threads ? options->threads : default_threads(),
        .force = options->force,
        .sync = options->sync,
    };
    int rc = make_head(kind, from, options, &head, err);
    if (rc == 0)
        rc = convert(&config, target, options, err);
    buf_done(&head);
    return rc;
}

int verb_convert(int argc, char **argv, struct error *err)
{
    struct options options;
    struct snapshot_spec from;
    const char *args[2];
    size_t n;

    if (options_parse(VERB_CONVERT, argc, argv, &options, args, ARRAY_LEN(args), &n, err) < 0)
        return -1;
    if (n != 2)
        return err_set(err, ERR_USAGE, "expected SOURCE and TARGET; see ramjet help convert");
    if (snapshot_spec_read(args[0], &from, err) < 0)
        return -1;
    int rc = convert_snapshot(&from, args[1], &options, err);
    snapshot_spec_done(&from);
    return rc;
}
