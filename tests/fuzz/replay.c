/* Runs a target over the files of a folder, whole and cut: the corpus as an ordinary test. */
#include <dirent.h>
#include <string.h>

#include "base/buf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/temp.h"

/* Runs every file whole, at a hundred cuts, and with a hundred bytes changed: the
 * same ones each time. */
static void replay(struct buf *b)
{
    size_t step = b->len / 100 + 1;

    LLVMFuzzerTestOneInput(b->data, b->len);
    for (size_t len = 0; len < b->len; len += step)
        LLVMFuzzerTestOneInput(b->data, len);
    for (size_t at = 0; at < b->len; at += step) {
        uint8_t saved = b->data[at];

        b->data[at] ^= (uint8_t)(1U << at % 8);
        LLVMFuzzerTestOneInput(b->data, b->len);
        b->data[at] = 0xff;
        LLVMFuzzerTestOneInput(b->data, b->len);
        b->data[at] = saved;
    }
}

int main(int argc, char **argv)
{
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *e;
    unsigned n = 0;

    if (!d) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    while ((e = readdir(d))) {
        char path[PATH_MAX];

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
        struct buf b = file_bytes(path);
        replay(&b);
        buf_done(&b);
        n++;
    }
    closedir(d);
    printf("%u files\n", n);
    return n == 0;
}
