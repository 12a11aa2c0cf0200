/*
 * tools/info_libvirt.h: what `info` says about a libvirt save file, besides its stream.
 */
#pragma once

#include <jansson.h>

#include "capture/libvirt_save.h"

/* Some lines of text. */
void info_libvirt_print(const struct libvirt_save *s);
/* An object. `xml`: with the domain's XML. */
json_t *info_libvirt_json(const struct libvirt_save *s, bool xml);
/* The domain's XML alone: byte for byte into a file or a pipe, made printable on a terminal. */
MUST_USE int info_libvirt_xml(const struct libvirt_save *s, struct error *err);
