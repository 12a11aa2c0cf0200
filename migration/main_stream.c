#include "migration/main_stream.h"

#include <string.h>

#include "base/bytes.h"
#include "stream/description.h"

/*
 * Copies a whole device section, without looking into it: no device is known here. Early ones come
 * before RAM's pages: QEMU 11.1 writes them before RAM's first section, 10.0 after it.
 */
static int device_section(struct main_stream *ms, struct buf *copy, struct error *err)
{
    struct section s;

    ms->in->copy = copy;
    in_u8(ms->in);
    section_in_begin(ms->in, STREAM_SECTION_FULL, &s);
    uint64_t begin = ms->in->offset;
    section_in_skip(ms->in, &s);
    ms->in->copy = NULL;
    if (stream_in_check(ms->in, err) < 0)
        return err_in(err, "device section '%s'", s.name);
    return description_list(&ms->listed, &s, ms->in->offset - begin - STREAM_FOOTER_LEN, err);
}

static int loaded_section(struct main_stream *ms, enum stream_element type, struct error *err)
{
    struct section s;

    if (type == STREAM_SECTION_END && ms->ops->ending && ms->ops->ending(ms, err) < 0)
        return -1;
    if (type == STREAM_SECTION_END && !ms->on_channels)
        atomic_store(&ms->in->channel->may_rest, false);
    in_u8(ms->in);
    section_in_begin(ms->in, type, &s);
    if (stream_in_check(ms->in, err) < 0)
        return -1;
    return section_loaders_in(&ms->loaders, &s, ms->in, err);
}

static int next_command(struct main_stream *ms, struct command *ret, struct error *err)
{
    in_u8(ms->in);
    command_in(ms->in, ret);
    return stream_in_check(ms->in, err);
}

static int obey(struct main_stream *ms, const struct command *c, struct error *err)
{
    return ms->ops->command ? ms->ops->command(ms, c, err) : 0;
}

/* *ret_run: it was POSTCOPY_RUN, with which a package ends. */
static int packaged_command(struct main_stream *ms, bool *ret_run, struct error *err)
{
    struct command c;

    if (next_command(ms, &c, err) < 0)
        return -1;
    *ret_run = c.id == COMMAND_POSTCOPY_RUN;
    if (*ret_run)
        return 0;
    if (c.id != COMMAND_POSTCOPY_LISTEN && c.id != COMMAND_PING)
        return err_set(err, ERR_PEER, "command %s: it belongs in no package", command_name(c.id));
    return obey(ms, &c, err);
}

static int packaged_element(struct main_stream *ms, bool *ret_run, struct error *err)
{
    size_t len;
    const uint8_t *type = stream_in_peek(ms->in, 1, &len);

    if (!type)
        return stream_in_check(ms->in, err);
    switch (*type) {
    case STREAM_SECTION_FULL:
        return device_section(ms, &ms->devices.tail, err);
    case STREAM_COMMAND:
        return packaged_command(ms, ret_run, err);
    default:
        return err_set(err, ERR_PEER, "element 0x%02x, expected a device section or a command",
                       *type);
    }
}

/*
 * A source that switches to postcopy sends all device sections as a package, before the rest of the
 * memory: LISTEN, the sections, RUN. Nothing else comes on main meanwhile, so it is read as the
 * part of the stream that it is.
 */
static int package(struct main_stream *ms, uint32_t len, struct error *err)
{
    const struct command go = {.id = COMMAND_POSTCOPY_RUN};
    uint64_t end = ms->in->offset + len;
    bool run = false;

    if (len > STREAM_PACKAGE_MAX)
        return err_set(err, ERR_PEER, "%u bytes, expected at most %u", len, STREAM_PACKAGE_MAX);
    if (ms->packaged)
        return err_set(err, ERR_PEER, "a second one, expected one");
    atomic_store(&ms->in->channel->may_rest, false);
    while (!run && ms->in->offset < end) {
        if (packaged_element(ms, &run, err) < 0)
            return -1;
    }
    if (!run || ms->in->offset != end)
        return err_set(err, ERR_PEER, "expected POSTCOPY_RUN at the end of its %u bytes", len);
    ms->packaged = true;
    return obey(ms, &go, err);
}

static int command(struct main_stream *ms, struct error *err)
{
    struct command c;

    if (next_command(ms, &c, err) < 0)
        return -1;
    if (c.id == COMMAND_POSTCOPY_LISTEN || c.id == COMMAND_POSTCOPY_RUN)
        return err_set(err, ERR_PEER, "command %s: expected in a package only", command_name(c.id));
    if (obey(ms, &c, err) < 0)
        return -1;
    if (c.id != COMMAND_PACKAGED)
        return 0;
    struct reader r = reader_of(c.payload, c.len);
    return package(ms, get_u32(&r), err) < 0 ? err_in(err, "package of devices") : 0;
}

void main_stream_may_rest(struct main_stream *ms)
{
    atomic_store(&ms->in->channel->may_rest, true);
}

/* Reads one element before the device tail. */
static int element(struct main_stream *ms, struct error *err)
{
    size_t len;

    if (!ms->packaged && !stream_in_wait(ms->in))
        stream_in_fail(ms->in, "the stream ends before RAM's last section (0x03)");
    const uint8_t *type = stream_in_peek(ms->in, 1, &len);
    if (!type)
        return stream_in_check(ms->in, err);
    switch (*type) {
    case STREAM_SECTION_FULL:
        return device_section(ms, &ms->devices.early, err);
    case STREAM_SECTION_START:
    case STREAM_SECTION_PART:
    case STREAM_SECTION_END:
        return loaded_section(ms, (enum stream_element) * type, err);
    case STREAM_COMMAND:
        return command(ms, err);
    case STREAM_EOF:
        return err_set(err, ERR_PEER,
                       "EOF element, expected RAM's last section (0x03) before it: is "
                       "background-snapshot on at the source?");
    default:
        return err_set(err, ERR_PEER, "byte %llu: element 0x%02x, expected a section or a command",
                       (unsigned long long)ms->in->offset, *type);
    }
}

/* Whether `tail` is complete and DROP follows it: the source keeps its guest. */
static bool is_dropped(const struct main_stream *ms)
{
    static const uint8_t drop[] = {STREAM_COMMAND, 0, COMMAND_SWITCHOVER_DROP, 0, 0};
    const struct buf *tail = &ms->devices.tail;
    struct buf whole = *tail;
    size_t json;

    if (!ms->confirmed || tail->len < sizeof(drop) ||
        memcmp(tail->data + tail->len - sizeof(drop), drop, sizeof(drop)) != 0)
        return false;
    whole.len -= sizeof(drop);
    return description_ends(&whole, &json);
}

static int missing_description(struct main_stream *ms, struct error *err)
{
    struct error how;

    (void)!stream_in_check(ms->in, &how); /* the reader has failed, or we would still be reading */
    if (how.kind != ERR_PEER) {
        *err = how;
        return -1;
    }
    return err_set(err, ERR_PEER,
                   "device tail: no description (0x06) after %zu bytes: was it cut, or its machine "
                   "made with suppress-vmdesc? %s",
                   ms->devices.tail.len, how.text);
}

/*
 * A file may be longer than its stream, because it was copied in blocks, or is a device. The stream
 * then ends after its description. A file that was cut before that has no description.
 */
static bool drop_padding(struct main_stream *ms)
{
    struct error how;
    size_t end;

    (void)!stream_in_check(ms->in, &how);
    if (!ms->padded || how.kind != ERR_PEER ||
        !description_find(&ms->devices.early, &ms->devices.tail, &end))
        return false;
    ms->devices.tail.len = end;
    return true;
}

/*
 * A device's body could end like a description by chance, but only if it also had a footer, the end
 * of sections and an object of just that length. So with all of these the tail is over, even if the
 * description is not true.
 */
static bool is_description(const struct buf *tail)
{
    size_t eof = description_eof(tail);

    return eof == 0 ||
           (eof >= STREAM_FOOTER_LEN && tail->data[eof - STREAM_FOOTER_LEN] == STREAM_FOOTER);
}

/*
 * The tail has no length, and a reader that knows no devices cannot see its end coming. It is over
 * when it ends in a description that lists exactly what comes before it.
 */
static int device_tail(struct main_stream *ms, struct error *err)
{
    struct buf *tail = &ms->devices.tail;
    struct error why = {.kind = ERR_NONE};

    atomic_store(&ms->in->channel->may_rest, false);
    ms->in->copy = tail;
    for (;;) {
        size_t len, json;

        if (!stream_in_peek(ms->in, 1, &len))
            break;
        in_skip(ms->in, len);
        if (ms->in->failed)
            break;
        bool ends = description_ends(tail, &json);
        if (ends && description_check(&ms->devices.early, tail, NULL, NULL, &why) == 0)
            return 0;
        if (ends && !ms->padded && is_description(tail)) {
            *err = why;
            return -1;
        }
        if (is_dropped(ms))
            return err_set(err, ERR_PEER, MAIN_STREAM_DROPPED);
    }
    if (drop_padding(ms))
        return 0;
    if (why.kind != ERR_NONE) {
        *err = why; /* a description came, but it is not true */
        return -1;
    }
    return missing_description(ms, err);
}

/* After a switch to postcopy: the devices came in the package, and no description comes. */
static int postcopy_end(struct main_stream *ms, struct error *err)
{
    uint8_t type = in_u8(ms->in);

    if (type != STREAM_EOF)
        stream_in_fail(ms->in, "element 0x%02x after RAM's last section, expected the stream's end",
                       type);
    if (stream_in_check(ms->in, err) < 0)
        return -1;
    return description_append(&ms->devices.tail, ms->listed, err);
}

int main_stream_read(struct main_stream *ms, struct error *err)
{
    ms->devices.early.limit = STREAM_DEVICES_MAX;
    ms->devices.tail.limit = STREAM_DEVICES_MAX;
    configuration_in(ms->in, &ms->config);
    if (stream_in_check(ms->in, err) < 0 || ms->ops->configured(ms, err) < 0)
        return -1;
    while (!section_loaders_ended(&ms->loaders)) {
        if (element(ms, err) < 0)
            return -1;
    }
    return ms->packaged ? postcopy_end(ms, err) : device_tail(ms, err);
}

void main_stream_done(struct main_stream *ms)
{
    json_decref(ms->listed);
    ms->listed = NULL;
    device_state_done(&ms->devices);
}
