#include "stream/return_path.h"

#include "base/bytes.h"

/* Lengths of the messages that a precopy has. */
static const struct {
    const char *name;
    uint16_t len;
} messages[] = {
    [RETURN_SHUT] = {"SHUT", 4},
    [RETURN_PONG] = {"PONG", 4},
    [RETURN_RESUME_ACK] = {"RESUME_ACK", 4},
    [RETURN_SWITCHOVER_ACK] = {"SWITCHOVER_ACK", 0},
};

int return_path_send(struct channel *c, enum return_message type, uint32_t value, unsigned flags,
                     struct error *err)
{
    uint8_t bytes[8];
    struct writer w = writer_of(bytes, sizeof(bytes));

    put_u16(&w, (uint16_t)type);
    put_u16(&w, messages[type].len);
    put_be(&w, value, messages[type].len);
    if (channel_send(c, bytes, sizeof(bytes) - writer_left(&w), flags, err) < 0)
        return err_in(err, "return path: %s", messages[type].name);
    return 0;
}

int return_path_recv(struct stream_in *in, struct return_path_message *ret, struct error *err)
{
    if (!stream_in_wait(in))
        stream_in_fail(
            in, "the destination closed the connection without a verdict (SHUT): see what it says "
                "itself");
    uint16_t type = in_u16(in), len = in_u16(in);
    if (type >= ARRAY_LEN(messages) || !messages[type].name)
        stream_in_fail(in, "message type %u: not one that a precopy has", type);
    else if (len != messages[type].len)
        stream_in_fail(in, "%s: length %u, expected %u", messages[type].name, len,
                       messages[type].len);
    uint32_t value = !in->failed && len == 4 ? in_u32(in) : 0;
    if (stream_in_check(in, err) < 0)
        return err_in(err, "return path");
    *ret = (struct return_path_message){.type = (enum return_message)type, .value = value};
    return 0;
}
