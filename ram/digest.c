#include "ram/digest.h"

#include <xxhash.h>

#include "ram/page_place.h"

static int add_page(XXH64_state_t *hash, struct ram_block *b, uint64_t page, struct error *err)
{
    static const uint8_t zeros[RAM_PAGE_SIZE];
    uint8_t copy[RAM_PAGE_SIZE];
    const uint8_t *bytes = zeros;

    if (!b->present || ram_page_present(b, page)) {
        if (page_place_read(b, page, copy, &bytes, err) < 0)
            return -1;
    }
    XXH64_update(hash, bytes, RAM_PAGE_SIZE);
    return 0;
}

static int check_cancelled(const struct ram_block *b, const struct cancel *cancel,
                           struct error *err)
{
    if (cancel && cancel_requested(cancel))
        return err_set(err, ERR_CANCELLED, "RAM block '%s': its digest was interrupted", b->name);
    return 0;
}

int ram_digest(struct ram_block *b, const struct cancel *cancel, uint64_t *ret, struct error *err)
{
    XXH64_state_t *hash = XXH64_createState();
    int rc = hash ? 0 : err_sys(err, "memory for a digest");

    if (hash)
        XXH64_reset(hash, 0);
    for (uint64_t page = 0; rc == 0 && page < ram_block_pages(b); page++) {
        rc = check_cancelled(b, cancel, err);
        if (rc == 0)
            rc = add_page(hash, b, page, err);
    }
    if (rc == 0)
        *ret = XXH64_digest(hash);
    XXH64_freeState(hash);
    return rc;
}
