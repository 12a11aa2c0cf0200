#include "tools/info_libvirt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/printable.h"
#include "tools/output.h"

void info_libvirt_print(const struct libvirt_save *s)
{
    printf("libvirt  save file of domain '%s', %s\n", s->name[0] ? s->name : "?",
           s->running ? "which was running" : "which was paused");
    printf("xml      %zu bytes; --xml prints it\n", s->xml_len);
    printf("stream   at byte %" PRIu64 "%s%s\n", s->stream_offset,
           libvirt_save_is_packed(s) ? ", packed by " : "",
           libvirt_save_is_packed(s) ? libvirt_format_name(s->format) : "");
}

json_t *info_libvirt_json(const struct libvirt_save *s, bool xml)
{
    json_t *root = json_pack("{s:s, s:b, s:s, s:I, s:I, s:I}", "domain", s->name, "was-running",
                             s->running, "format", libvirt_format_name(s->format), "xml-length",
                             (json_int_t)s->xml_len, "cookie-length", (json_int_t)s->cookie_len,
                             "stream-offset", (json_int_t)s->stream_offset);

    if (xml) /* JSON has only UTF-8: an XML in another encoding is left out */
        json_object_set_new(root, "xml", json_stringn(s->xml, s->xml_len));
    return root;
}

/* Line breaks and tabs stay, all else has to be visible. */
static int print_lines(const struct libvirt_save *s, struct error *err)
{
    char *text = strdup(s->xml), *rest = text;

    if (!text)
        return err_sys(err, "memory for the XML");
    while (*rest) {
        size_t n = strcspn(rest, "\n\t");
        char end = rest[n];

        rest[n] = 0;
        printable(rest);
        fputs(rest, stdout);
        if (!end)
            break;
        putchar(end);
        rest += n + 1;
    }
    free(text);
    return 0;
}

int info_libvirt_xml(const struct libvirt_save *s, struct error *err)
{
    if (!isatty(STDOUT_FILENO))
        fwrite(s->xml, 1, s->xml_len, stdout);
    else if (print_lines(s, err) < 0)
        return -1;
    return output_flush(err);
}
