/*
 * tests/support/temp.h: a folder of the test's own, and the golden files.
 */
#pragma once

#include <limits.h>

#include "base/buf.h"

/* An empty folder under TMPDIR; it is removed with all its contents when the program ends. */
const char *temp_dir(void);
/* A path in it; `ret` is returned. */
char *temp_path(char ret[static PATH_MAX], const char *name);
/* How many entries the folder has. */
size_t temp_entries(void);

/* A file of tests/golden/, such as "v11-main/c0.fwd"; free it with buf_done(). */
struct buf golden(const char *name);
struct buf file_bytes(const char *path);
void file_write(const char *path, const void *bytes, size_t len);
