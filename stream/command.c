#include "stream/command.h"

#include "base/bytes.h"

#define ANY_LEN (-1)

static const struct {
    const char *name; /* NULL: there is no such command */
    int len;
    bool or_none; /* or 0 bytes */
} commands[] = {
    [COMMAND_OPEN_RETURN_PATH] = {"OPEN_RETURN_PATH", .len = 0},
    [COMMAND_PING] = {"PING", .len = 4},
    [COMMAND_POSTCOPY_ADVISE] = {"POSTCOPY_ADVISE", .len = 16, .or_none = true},
    [COMMAND_POSTCOPY_LISTEN] = {"POSTCOPY_LISTEN", .len = 0},
    [COMMAND_POSTCOPY_RUN] = {"POSTCOPY_RUN", .len = 0},
    [COMMAND_POSTCOPY_RAM_DISCARD] = {"POSTCOPY_RAM_DISCARD", .len = ANY_LEN},
    [COMMAND_PACKAGED] = {"PACKAGED", .len = 4},
    [COMMAND_ENABLE_COLO] = {"ENABLE_COLO", .len = 0},
    [COMMAND_POSTCOPY_RESUME] = {"POSTCOPY_RESUME", .len = 0},
    [COMMAND_RECV_BITMAP] = {"RECV_BITMAP", .len = ANY_LEN},
    [COMMAND_SWITCHOVER_START] = {"SWITCHOVER_START", .len = 0},
    [COMMAND_SWITCHOVER_RUN] = {"SWITCHOVER_RUN", .len = 0},
    [COMMAND_SWITCHOVER_DROP] = {"SWITCHOVER_DROP", .len = 0},
    [COMMAND_SWITCHOVER_MEASURED] = {"SWITCHOVER_MEASURED", .len = COMMAND_MEASURED_LEN},
};

const char *command_name(enum stream_command id)
{
    return id < ARRAY_LEN(commands) && commands[id].name ? commands[id].name : "?";
}

void command_out(struct stream_out *out, enum stream_command id, const void *payload, uint16_t len)
{
    out_u8(out, STREAM_COMMAND);
    out_u16(out, (uint16_t)id);
    out_u16(out, len);
    out_bytes(out, payload, len);
}

void command_out_ping(struct stream_out *out, uint32_t value)
{
    uint8_t payload[4];
    struct writer w = writer_of(payload, sizeof(payload));

    put_u32(&w, value);
    command_out(out, COMMAND_PING, payload, sizeof(payload));
}

int command_send(struct channel *c, enum stream_command id, unsigned flags, struct error *err)
{
    uint8_t bytes[COMMAND_HEAD_LEN];
    struct writer w = writer_of(bytes, sizeof(bytes));

    put_u8(&w, STREAM_COMMAND);
    put_u16(&w, (uint16_t)id);
    put_u16(&w, 0);
    return channel_send(c, bytes, sizeof(bytes), flags, err);
}

void command_in(struct stream_in *in, struct command *ret)
{
    uint16_t id = in_u16(in), len = in_u16(in);

    *ret = (struct command){0};
    if (id >= ARRAY_LEN(commands) || !commands[id].name) {
        stream_in_fail(in, "command %u: expected 1 to %d, or %d to %d", id,
                       COMMAND_SWITCHOVER_START, COMMAND_SWITCHOVER_RUN,
                       COMMAND_SWITCHOVER_MEASURED);
        return;
    }
    bool none = len == 0 && commands[id].or_none;
    if (commands[id].len != ANY_LEN && len != commands[id].len && !none)
        stream_in_fail(in, "command %s: length %u, expected %s%d", commands[id].name, len,
                       commands[id].or_none ? "0 or " : "", commands[id].len);
    if (len > COMMAND_LEN_MAX) {
        stream_in_fail(in, "command %s: length %u, expected at most %d", commands[id].name, len,
                       COMMAND_LEN_MAX);
        return;
    }
    ret->id = (enum stream_command)id;
    ret->len = len;
    in_bytes(in, ret->payload, len);
}
