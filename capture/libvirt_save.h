/*
 * capture/libvirt_save.h: what libvirt writes in front of a VM's stream when it saves a domain: a
 * header, the domain's XML, a second piece of XML ("cookie") for libvirt alone, and zeros. Then
 * QEMU's stream follows: plain, packed by another program, or mapped-ram ("sparse").
 *
 * Format: libvirt, src/qemu/qemu_saveimage.h; integers in the byte order of the host that wrote it.
 * Facts restated, and checked against the files that tests/golden/libvirt holds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "transport/address.h"

#define LIBVIRT_SAVE_HEAD_LEN 92
#define LIBVIRT_SAVE_TEXT_MAX (16U << 20) /* bytes of XML, cookie and zeros together */
#define LIBVIRT_SAVE_NAME_MAX 256

/* The numbers in the file. */
enum libvirt_format {
    LIBVIRT_PLAIN,
    LIBVIRT_GZIP,
    LIBVIRT_BZIP2,
    LIBVIRT_XZ,
    LIBVIRT_LZOP,
    LIBVIRT_ZSTD,
    LIBVIRT_SPARSE,
    LIBVIRT_FORMATS,
};

struct libvirt_save {
    enum libvirt_format format;
    bool running;                     /* whether restoring it lets the guest run */
    char *xml;                        /* foreign text, terminated, as it is in the file */
    char *cookie;                     /* the same; NULL: none */
    size_t xml_len, cookie_len;       /* without terminators */
    char name[LIBVIRT_SAVE_NAME_MAX]; /* the domain's, printable; "": the XML names none */
    uint64_t stream_offset;           /* bytes */
};

/* As libvirt spells it in save_image_format, but "plain" for "raw", which is something else here.
 */
const char *libvirt_format_name(enum libvirt_format format);

/*
 * Reads what precedes the stream from the start of a file, whose text may be anything. Returns 1
 * with *ret, which the caller frees with libvirt_save_done(); 0 where the file is no save file; -1
 * where it is one that is incomplete or damaged (ERR_PEER), or cannot be read.
 */
MUST_USE int libvirt_save_read(int fd, struct libvirt_save *ret, struct error *err);
/* A zeroed one is fine. */
void libvirt_save_done(struct libvirt_save *s);

/* The same for a file's address. One that names an offset is not looked at: 0. */
MUST_USE int libvirt_save_find(const struct address *from, struct libvirt_save *ret,
                               struct error *err);
/* Sets the offset of a file's address to where the stream begins, if it is a save file with a
 * stream that is not packed. */
MUST_USE int libvirt_save_locate(struct address *from, struct error *err);
/* Whether another program has packed its stream. */
bool libvirt_save_is_packed(const struct libvirt_save *s);
/* ERR_USAGE where it is, with the command that unpacks it. */
MUST_USE int libvirt_save_check_stream(const struct libvirt_save *s, const char *path,
                                       struct error *err);

/*
 * Appends header, XML, cookie and zeros: what a stream follows. The zeros leave room for a longer
 * XML, as libvirt's own do. `format`: plain or sparse. ERR_USAGE where the XML is not a domain's or
 * is too long.
 */
MUST_USE int libvirt_save_encode(const struct libvirt_save *s, struct buf *out, struct error *err);
/* Finds the name in a domain's XML, printable. False: it has no name. */
bool libvirt_save_name(const char *xml, char ret[static LIBVIRT_SAVE_NAME_MAX]);
