#include "stream/return_path.h"

#include "base/bytes.h"
#include "base/signature.h"

#define HEAD_LEN 4 /* type and length */

/* The messages of a precopy, with ours, and the lengths of their payloads. */
static const struct {
    const char *name;
    uint16_t len;
} messages[] = {
    [RETURN_SHUT] = {"SHUT", 4},
    [RETURN_PONG] = {"PONG", 4},
    [RETURN_RESUME_ACK] = {"RESUME_ACK", 4},
    [RETURN_SWITCHOVER_ACK] = {"SWITCHOVER_ACK", 0},
    [RETURN_SWITCHOVER_READY] = {"SWITCHOVER_READY", 0},
    [RETURN_SWITCHOVER_ALIVE] = {"SWITCHOVER_ALIVE", 0},
};

const char *return_message_name(enum return_message type)
{
    return type < ARRAY_LEN(messages) && messages[type].name ? messages[type].name : "?";
}

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

/* `head`: the first bytes of the connection; NULL if this is not the first message. */
static void unknown_message(struct stream_in *in, uint16_t type, const uint8_t *head, size_t len)
{
    char name[SIGNATURE_TEXT_LEN];

    if (head && signature_name(head, len, SIGNATURE_PEER, name))
        stream_in_fail_with(in, signature_remedy(head, len, SIGNATURE_PEER),
                            "expected a migration's destination, %s", name);
    else
        stream_in_fail(in, "message type %u: not one that a precopy has", type);
}

int return_path_recv(struct stream_in *in, struct return_path_message *ret, struct error *err)
{
    if (!stream_in_wait(in))
        stream_in_fail(
            in, "the destination closed the connection without a verdict (SHUT): see its own "
                "message");
    bool first = in->offset == 0;
    size_t head_len = 0;
    const uint8_t *head = stream_in_peek(in, HEAD_LEN, &head_len);
    uint16_t type = in_u16(in), len = in_u16(in);
    if (type >= ARRAY_LEN(messages) || !messages[type].name)
        unknown_message(in, type, first ? head : NULL, head_len);
    else if (len != messages[type].len)
        stream_in_fail(in, "%s: length %u, expected %u", messages[type].name, len,
                       messages[type].len);
    uint32_t value = !in->failed && len == 4 ? in_u32(in) : 0;
    if (stream_in_check(in, err) < 0)
        return err_in(err, "return path");
    *ret = (struct return_path_message){.type = (enum return_message)type, .value = value};
    return 0;
}
