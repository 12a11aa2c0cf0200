/* What precedes a stream in a libvirt save file. What was read can be written, and read again. */
#include <string.h>
#include <unistd.h>

#include "capture/libvirt_save.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/bytes_channel.h"

static int read_bytes(const uint8_t *data, size_t len, struct libvirt_save *ret, struct error *err)
{
    int fd = bytes_fd(data, len);
    int rc = libvirt_save_read(fd, ret, err);

    close(fd);
    return rc;
}

static void check_round(const struct libvirt_save *s)
{
    struct libvirt_save back;
    struct buf out = {0};
    struct error err;

    if (libvirt_save_encode(s, &out, &err) == 0) {
        PROMISE(read_bytes(out.data, out.len, &back, &err) == 1);
        PROMISE(strcmp(back.xml, s->xml) == 0 && strcmp(back.name, s->name) == 0);
        PROMISE(!back.cookie == !s->cookie && back.format == s->format);
        PROMISE(back.stream_offset == out.len);
        libvirt_save_done(&back);
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct libvirt_save s;
    struct error err;
    int rc = read_bytes(data, len, &s, &err);

    if (rc > 0) {
        PROMISE(s.stream_offset <= len && s.format < LIBVIRT_FORMATS);
        PROMISE(strlen(s.xml) == s.xml_len && !strchr(s.name, '\n'));
        check_round(&s);
        libvirt_save_done(&s);
    } else {
        PROMISE(rc == 0 || (err.text[0] && !strchr(err.text, '\n')));
    }
    return 0;
}
