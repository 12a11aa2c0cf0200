/*
 * base/kernel_file.h: the small text files in which the kernel tells about itself.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The text of the file, cut to room - 1; "" if the file does not exist. */
void kernel_file_read(const char *path, char *ret, size_t room);
/* The number after `key` at the start of a line, as in "MemFree:   12 kB"; 0: no such line. */
uint64_t kernel_file_number(const char *text, const char *key);
