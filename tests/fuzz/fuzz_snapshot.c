/* A snapshot file, opened and read to its last page. */
#include <string.h>
#include <unistd.h>

#include "capture/machine_snapshot.h"
#include "ram/digest.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/bytes_channel.h"

#define PAGES_MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct address from;
    char text[64];
    struct machine *m;
    struct error err;
    int fd = bytes_fd(data, len);

    snprintf(text, sizeof(text), "file:/proc/self/fd/%d", fd);
    PROMISE(address_parse(text, &from, &err) == 0);
    if (machine_snapshot_file(&from, PAGES_LOADED, &m, &err) == 0) {
        for (size_t i = 0; i < m->ram.n; i++) {
            struct ram_block *b = &m->ram.blocks[i];
            uint64_t digest;

            /* Present pages can be read, whatever the file contains. */
            for (uint64_t page = 0; page < ram_block_pages(b) && page < PAGES_MAX; page++) {
                if (ram_page_present(b, page))
                    (void)((volatile uint8_t *)b->host)[page * RAM_PAGE_SIZE];
            }
            if (ram_block_pages(b) < PAGES_MAX)
                PROMISE(ram_digest(b, NULL, &digest, &err) == 0);
        }
        machine_free(m);
    } else {
        PROMISE(err.text[0] && !strchr(err.text, '\n'));
    }
    close(fd);
    return 0;
}
