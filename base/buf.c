#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int buf_append(struct buf *b, const void *bytes, size_t len, struct error *err)
{
    if (b->limit && len > b->limit - b->len)
        return err_set(err, ERR_PEER, "more than %zu bytes", b->limit);
    if (b->room - b->len < len) {
        size_t room = MAX(b->room * 2, MAX(b->len + len, (size_t)4096));
        if (b->limit)
            room = MAX(MIN(room, b->limit), b->len + len);
        uint8_t *data = realloc(b->data, room);

        if (!data)
            return err_sys(err, "%zu bytes of memory", room);
        b->data = data;
        b->room = room;
    }
    if (len > 0)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    return 0;
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.limit = b->limit};
}
