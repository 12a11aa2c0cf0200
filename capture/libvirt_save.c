#include "capture/libvirt_save.h"

#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/printable.h"
#include "transport/file.h"

#define MAGIC      "LibvirtQemudSave"
#define MAGIC_PART "LibvirtQemudPart"
#define MAGIC_LEN  (sizeof(MAGIC) - 1)
#define VERSION    2           /* as we write it */
#define ROOM       (64U << 10) /* zeros after the XML, for a longer one */

/* Everything but the magic; the rest of the 92 bytes is unused. */
struct head {
    uint32_t version, text_len, running, format, cookie_at;
};

/* "plain" and the programs that unpack. */
static const struct {
    const char *name, *unpack;
} formats[] = {
    [LIBVIRT_PLAIN] = {"plain", NULL},       [LIBVIRT_GZIP] = {"gzip", "gzip -d"},
    [LIBVIRT_BZIP2] = {"bzip2", "bzip2 -d"}, [LIBVIRT_XZ] = {"xz", "xz -d"},
    [LIBVIRT_LZOP] = {"lzop", "lzop -d"},    [LIBVIRT_ZSTD] = {"zstd", "zstd -d"},
    [LIBVIRT_SPARSE] = {"sparse", NULL},
};
_Static_assert(ARRAY_LEN(formats) == LIBVIRT_FORMATS, "a name for each format");

const char *libvirt_format_name(enum libvirt_format format)
{
    return formats[format].name;
}

/* --- the domain's name ----------------------------------------------------------------------- */

/* Finds the next tag "<name>" outside comments; NULL: the text has no more. */
static const char *find_name(const char *xml)
{
    while ((xml = strchr(xml, '<'))) {
        if (strncmp(xml, "<name>", 6) == 0)
            return xml + 6;
        if (strncmp(xml, "<!--", 4) == 0)
            xml = strstr(xml, "-->");
        if (!xml)
            break;
        xml++;
    }
    return NULL;
}

/* The character at *at, which moves on; XML's own five may be written by name. */
static char next_char(const char **at)
{
    static const struct {
        const char *text;
        char means;
    } entities[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''},
    };

    for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
        size_t len = strlen(entities[i].text);

        if (strncmp(*at, entities[i].text, len) == 0) {
            *at += len;
            return entities[i].means;
        }
    }
    return *(*at)++;
}

bool libvirt_save_name(const char *xml, char ret[static LIBVIRT_SAVE_NAME_MAX])
{
    const char *at = find_name(xml);
    char name[LIBVIRT_SAVE_NAME_MAX];
    size_t n = 0;

    if (!at)
        return false;
    while (*at && *at != '<' && n < sizeof(name) - 1)
        name[n++] = next_char(&at);
    if (*at != '<' || n == 0)
        return false;
    name[n] = 0;
    printable(name);
    strcpy(ret, name);
    return true;
}

/* --- reading --------------------------------------------------------------------------------- */

static struct head head_of(const uint8_t *bytes)
{
    struct reader r = reader_of(bytes + MAGIC_LEN, LIBVIRT_SAVE_HEAD_LEN - MAGIC_LEN);
    struct head h = {get_u32(&r), get_u32(&r), get_u32(&r), get_u32(&r), get_u32(&r)};

    /* The version is small: it shows the byte order. */
    if (h.version <= 0xffff)
        return h;
    return (struct head){__builtin_bswap32(h.version), __builtin_bswap32(h.text_len),
                         __builtin_bswap32(h.running), __builtin_bswap32(h.format),
                         __builtin_bswap32(h.cookie_at)};
}

static int check_head(const struct head *h, uint64_t file_bytes, struct error *err)
{
    if (h->version < 1 || h->version > VERSION)
        return err_set(err, ERR_PEER, "a libvirt save file: version %u, expected 1 to %d",
                       h->version, VERSION);
    if (h->format >= LIBVIRT_FORMATS)
        return err_set(err, ERR_PEER, "a libvirt save file: format %u, expected 0 to %d", h->format,
                       LIBVIRT_FORMATS - 1);
    if (h->text_len == 0 || h->text_len > LIBVIRT_SAVE_TEXT_MAX)
        return err_set(err, ERR_PEER, "a libvirt save file: %u bytes of XML, expected 1 to %u",
                       h->text_len, LIBVIRT_SAVE_TEXT_MAX);
    if (h->text_len > file_bytes - LIBVIRT_SAVE_HEAD_LEN)
        return err_set(err, ERR_PEER,
                       "a libvirt save file: %u bytes of XML, but the file has only %" PRIu64
                       " after its header: was it cut?",
                       h->text_len, file_bytes - LIBVIRT_SAVE_HEAD_LEN);
    if (h->cookie_at >= h->text_len)
        return err_set(err, ERR_PEER,
                       "a libvirt save file: cookie at byte %u, expected less than the text's %u",
                       h->cookie_at, h->text_len);
    return 0;
}

static int pread_all(int fd, void *bytes, size_t len, off_t at, struct error *err)
{
    ssize_t n;

    do
        n = pread(fd, bytes, len, at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, "read");
    /* A short read is a file that another program has cut meanwhile. */
    return (size_t)n == len ? 0 : err_set(err, ERR_PEER, "a libvirt save file: cut");
}

/* Copies one of the two texts out of `text`, of which `len` bytes are left. */
static int take_text(const char *text, size_t len, const char *what, char **ret, size_t *ret_len,
                     struct error *err)
{
    size_t n = strnlen(text, len);

    if (n == len)
        return err_set(err, ERR_PEER, "a libvirt save file: its %s does not end", what);
    *ret = strndup(text, n);
    *ret_len = n;
    return *ret ? 0 : err_sys(err, "memory for %s", what);
}

static int split_text(const struct head *h, const char *text, struct libvirt_save *s,
                      struct error *err)
{
    if (take_text(text, h->text_len, "XML", &s->xml, &s->xml_len, err) < 0)
        return -1;
    if (h->cookie_at == 0)
        return 0;
    if (h->cookie_at <= s->xml_len)
        return err_set(err, ERR_PEER, "a libvirt save file: cookie at byte %u, inside the XML",
                       h->cookie_at);
    return take_text(text + h->cookie_at, h->text_len - h->cookie_at, "cookie", &s->cookie,
                     &s->cookie_len, err);
}

static int read_text(int fd, const struct head *h, struct libvirt_save *ret, struct error *err)
{
    char *text = malloc((size_t)h->text_len + 1);

    if (!text)
        return err_sys(err, "memory for %u bytes of XML", h->text_len);
    *ret = (struct libvirt_save){
        .format = (enum libvirt_format)h->format,
        .running = h->running,
        .stream_offset = LIBVIRT_SAVE_HEAD_LEN + (uint64_t)h->text_len,
    };
    int rc = pread_all(fd, text, h->text_len, LIBVIRT_SAVE_HEAD_LEN, err);
    if (rc == 0)
        rc = split_text(h, text, ret, err);
    if (rc == 0)
        libvirt_save_name(ret->xml, ret->name);
    else
        libvirt_save_done(ret);
    free(text);
    return rc < 0 ? -1 : 1;
}

int libvirt_save_read(int fd, struct libvirt_save *ret, struct error *err)
{
    uint8_t bytes[LIBVIRT_SAVE_HEAD_LEN];
    off_t file_bytes = lseek(fd, 0, SEEK_END);

    if (file_bytes < (off_t)sizeof(bytes))
        return 0;
    if (pread_all(fd, bytes, sizeof(bytes), 0, err) < 0)
        return -1;
    if (memcmp(bytes, MAGIC_PART, MAGIC_LEN) == 0)
        return err_set(err, ERR_PEER,
                       "a libvirt save file that is not whole: saving it was interrupted");
    if (memcmp(bytes, MAGIC, MAGIC_LEN) != 0)
        return 0;
    const struct head h = head_of(bytes);

    return check_head(&h, (uint64_t)file_bytes, err) < 0 ? -1 : read_text(fd, &h, ret, err);
}

void libvirt_save_done(struct libvirt_save *s)
{
    free(s->xml);
    free(s->cookie);
    *s = (struct libvirt_save){0};
}

/* --- by a file's name ------------------------------------------------------------------------ */

int libvirt_save_find(const struct address *from, struct libvirt_save *ret, struct error *err)
{
    AUTO_FD int fd = -1;
    uint64_t bytes;

    if (from->scheme != ADDRESS_FILE || from->offset != 0)
        return 0;
    if (file_source_open(from, &fd, &bytes, err) < 0)
        return -1;
    int rc = libvirt_save_read(fd, ret, err);
    return rc < 0 ? err_in(err, "%s", from->file) : rc;
}

bool libvirt_save_is_packed(const struct libvirt_save *s)
{
    return formats[s->format].unpack;
}

int libvirt_save_check_stream(const struct libvirt_save *s, const char *path, struct error *err)
{
    if (!libvirt_save_is_packed(s))
        return 0;
    return err_set(err, ERR_USAGE,
                   "%s: a libvirt save file whose stream %s has packed: unpack it first: tail -c "
                   "+%" PRIu64 " FILE | %s >STREAM",
                   path, formats[s->format].name, s->stream_offset + 1, formats[s->format].unpack);
}

int libvirt_save_locate(struct address *from, struct error *err)
{
    struct libvirt_save s = {0};
    int rc = libvirt_save_find(from, &s, err);

    if (rc <= 0)
        return rc;
    rc = libvirt_save_check_stream(&s, from->file, err);
    if (rc == 0)
        from->offset = s.stream_offset;
    libvirt_save_done(&s);
    return rc;
}

/* --- writing --------------------------------------------------------------------------------- */

static void put_host_u32(struct writer *w, uint32_t n)
{
    put_bytes(w, &n, sizeof(n));
}

static int check_xml(const struct libvirt_save *s, struct error *err)
{
    char name[LIBVIRT_SAVE_NAME_MAX];

    if (strlen(s->xml) != s->xml_len || !strstr(s->xml, "<domain") ||
        !libvirt_save_name(s->xml, name))
        return err_set(err, ERR_USAGE,
                       "not a domain's XML, expected <domain> with a <name>, as virsh dumpxml "
                       "prints it");
    if (s->xml_len + s->cookie_len + ROOM + 2 > LIBVIRT_SAVE_TEXT_MAX)
        return err_set(err, ERR_USAGE, "a domain's XML of %zu bytes, expected at most %u",
                       s->xml_len, LIBVIRT_SAVE_TEXT_MAX - ROOM);
    return 0;
}

int libvirt_save_encode(const struct libvirt_save *s, struct buf *out, struct error *err)
{
    static const uint8_t zeros[ROOM];
    uint8_t bytes[LIBVIRT_SAVE_HEAD_LEN] = MAGIC;
    struct writer w = writer_of(bytes + MAGIC_LEN, sizeof(bytes) - MAGIC_LEN);
    size_t cookie_len = s->cookie ? s->cookie_len + 1 : 0;

    if (check_xml(s, err) < 0)
        return -1;
    put_host_u32(&w, VERSION);
    put_host_u32(&w, (uint32_t)(s->xml_len + 1 + cookie_len + ROOM));
    put_host_u32(&w, s->running);
    put_host_u32(&w, s->format);
    put_host_u32(&w, cookie_len ? (uint32_t)s->xml_len + 1 : 0);
    if (buf_append(out, bytes, sizeof(bytes), err) < 0 ||
        buf_append(out, s->xml, s->xml_len + 1, err) < 0 ||
        buf_append(out, s->cookie, cookie_len, err) < 0 || buf_append(out, zeros, ROOM, err) < 0)
        return err_in(err, "a libvirt save file");
    return 0;
}
