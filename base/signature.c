#include "base/signature.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"

#define IN_FILE SIGNATURE_FILE
#define AT_PEER SIGNATURE_PEER
#define AT_BOTH (IN_FILE | AT_PEER)

#define TEXT_MIN 5  /* bytes; fewer may begin anything, even a migration stream's magic */
#define QUOTED   40 /* bytes of a text, so that people recognise it */

#define PACKED(by, how) "what " by " has packed: unpack it first (" how ")"
#define BYTES(text)     .bytes = text, .len = sizeof(text) - 1

#define HTTP         "HTTP"
#define LIBVIRT      "libvirt's RPC: libvirtd has another port than the migration"
#define MONITOR      "QMP: a monitor has another port than the migration"
#define PROXY_HEADER "the PROXY protocol: tell the proxy to leave its header out"
#define TLS          "TLS: give TLS credentials at both ends, or at none"

/* The first row that matches counts. */
static const struct row {
    unsigned where;
    unsigned offset;
    const char *bytes;
    size_t len;
    const char *name;
    enum remedy remedy;
} rows[] = {
    {IN_FILE, 0, BYTES("LibvirtQemudSave"),
     "a libvirt save file, from its first byte: the stream is after its XML"},
    {IN_FILE, 0, BYTES("LibvirtQemudPart"),
     "a libvirt save file that is not whole: saving it was interrupted"},
    {AT_BOTH, 0, BYTES("\x1f\x8b"), PACKED("gzip", "gunzip")},
    {AT_BOTH, 0,
     BYTES("\xfd"
           "7zXZ\0"),
     PACKED("xz", "unxz")},
    {AT_BOTH, 0, BYTES("\x28\xb5\x2f\xfd"), PACKED("zstd", "unzstd")},
    {AT_BOTH, 0, BYTES("\x04\x22\x4d\x18"), PACKED("lz4", "unlz4")},
    {AT_BOTH, 0, BYTES("BZh"), PACKED("bzip2", "bunzip2")},
    {AT_BOTH, 0, BYTES("\x89LZO"), PACKED("lzop", "lzop -d")},
    {IN_FILE, 0, BYTES("PK\3\4"), PACKED("zip", "unzip")},
    {IN_FILE, 257, BYTES("ustar"), PACKED("tar", "tar -x")},
    {IN_FILE, 0, BYTES("QFI\xfb"),
     "a qcow2 disk image: a VM's state inside it is for qemu -loadvm alone"},
    {IN_FILE, 0, BYTES("LUKS\xba\xbe"), "an encrypted volume (LUKS)"},
    {IN_FILE, 0, BYTES("SKUL\xba\xbe"), "an encrypted volume (LUKS)"},
    {IN_FILE, 0, BYTES("KDMV"), "a VMDK disk image"},
    {IN_FILE, 0, BYTES("vhdxfile"), "a VHDX disk image"},
    {IN_FILE, 0, BYTES("conectix"), "a VHD disk image"},
    {IN_FILE, 64, BYTES("\x7f\x10\xda\xbe"), "a VDI disk image"},
    {IN_FILE, 0, BYTES("QED\0"), "a QED disk image"},
    {IN_FILE, 0, BYTES("KDUMP   "), "a dump of a guest's memory (kdump)"},
    {IN_FILE, 0,
     BYTES("\x7f"
           "ELF"),
     "an ELF file: a program, or a dump of memory"},
    {IN_FILE, 0, BYTES("\x11\x22\x33\x44"), "one multifd channel's stream, not the main one"},
    {AT_BOTH, 0, BYTES("QCPR"), "the list of a cpr-transfer: it has an address of its own",
     REMEDY_CPR},
    {IN_FILE, 510, BYTES("\x55\xaa"), "a disk image or a disk, with a boot sector"},

    {AT_PEER, 0, BYTES("GET "), HTTP},
    {AT_PEER, 0, BYTES("HEAD "), HTTP},
    {AT_PEER, 0, BYTES("POST "), HTTP},
    {AT_PEER, 0, BYTES("PUT "), HTTP},
    {AT_PEER, 0, BYTES("DELETE "), HTTP},
    {AT_PEER, 0, BYTES("OPTIONS "), HTTP},
    {AT_PEER, 0, BYTES("CONNECT "), HTTP},
    {AT_PEER, 0, BYTES("TRACE "), HTTP},
    {AT_PEER, 0, BYTES("PATCH "), HTTP},
    {AT_PEER, 0, BYTES("PRI * HTTP/2"), HTTP},
    {AT_PEER, 0, BYTES("HTTP/"), HTTP},
    {AT_PEER, 0, BYTES("SSH-"), "SSH"},
    {AT_PEER, 0, BYTES("\x16\3"), TLS, REMEDY_TLS_CREDENTIALS},
    {AT_PEER, 0, BYTES("\x15\3"), TLS, REMEDY_TLS_CREDENTIALS},
    {AT_PEER, 4, BYTES("\x20\x00\x80\x86"), LIBVIRT},
    {AT_PEER, 4, BYTES("\x20\x00\x80\x87"), LIBVIRT},
    {AT_PEER, 4, BYTES("keep\0\0\0\1"), LIBVIRT},
    {AT_PEER, 0, BYTES("{\"QMP\""), MONITOR},
    {AT_PEER, 0, BYTES("{\"execute\""), MONITOR},
    {AT_PEER, 0, BYTES("RFB 0"), "VNC"},
    {AT_PEER, 0, BYTES("REDQ"), "SPICE"},
    {AT_PEER, 0, BYTES("NBDMAGIC"), "NBD"},
    {AT_PEER, 0, BYTES("PROXY "), PROXY_HEADER},
    {AT_PEER, 0, BYTES("\r\n\r\n\0\r\nQUIT\n"), PROXY_HEADER},
};

static bool fits(const struct row *r, const uint8_t *bytes, size_t len, unsigned where)
{
    return r->where & where && r->offset + r->len <= len &&
           memcmp(bytes + r->offset, r->bytes, r->len) == 0;
}

/* Whether it looks like text: no control characters but white space, and no DEL. */
static bool is_text(const uint8_t *bytes, size_t len)
{
    if (len < TEXT_MIN)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((bytes[i] < 0x20 && !memchr("\t\n\r\f", bytes[i], 4)) || bytes[i] == 0x7f)
            return false;
    }
    return true;
}

static size_t first_line(const uint8_t *bytes, size_t len)
{
    size_t n = 0;

    while (n < MIN(len, (size_t)QUOTED) && bytes[n] != '\r' && bytes[n] != '\n')
        n++;
    return n;
}

static void name_text(const uint8_t *bytes, size_t len, char ret[static SIGNATURE_TEXT_LEN])
{
    size_t blank = 0;

    while (blank < len && memchr(" \t\r\n\f", bytes[blank], 5))
        blank++;
    bytes += blank;
    len -= blank;
    const char *kind = len && memchr("{[", bytes[0], 2) ? "JSON" : "text";
    if (len && bytes[0] == '<')
        kind = "XML or HTML";
    size_t shown = first_line(bytes, len);
    snprintf(ret, SIGNATURE_TEXT_LEN, "this is %s: '%.*s%s'", kind, (int)shown, (const char *)bytes,
             shown < len ? "…" : "");
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return len > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* The row that matches, or NULL. */
static const struct row *find(const uint8_t *bytes, size_t len, unsigned where)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (fits(&rows[i], bytes, len, where))
            return &rows[i];
    }
    return NULL;
}

bool signature_name(const void *bytes, size_t len, unsigned where,
                    char ret[static SIGNATURE_TEXT_LEN])
{
    len = MIN(len, (size_t)SIGNATURE_LEN);
    const struct row *r = find(bytes, len, where);

    if (r)
        snprintf(ret, SIGNATURE_TEXT_LEN, "%s %s",
                 r->where == AT_PEER ? "the peer speaks" : "this is", r->name);
    else if (is_zero(bytes, len) && where == IN_FILE)
        snprintf(ret, SIGNATURE_TEXT_LEN,
                 "it begins with zeros: nothing was written here, or writing was "
                 "interrupted");
    else if (is_text(bytes, len))
        name_text(bytes, len, ret);
    else
        return false;
    return true;
}

enum remedy signature_remedy(const void *bytes, size_t len, unsigned where)
{
    const struct row *r = find(bytes, MIN(len, (size_t)SIGNATURE_LEN), where);

    return r ? r->remedy : REMEDY_NONE;
}
