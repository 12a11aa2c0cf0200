#include "vmm/dirty_kind.h"

#include <assert.h>
#include <string.h>

#include "vmm/dirty_ring.h"
#include "vmm/dirty_uffd.h"
#include "vmm/kvm.h"

static const struct {
    const char *name;
    int (*usable)(struct error *err);
} kinds[] = {
    [DIRTY_LOG] = {"log", kvm_usable}, /* every KVM has it */
    [DIRTY_RING] = {"ring", dirty_ring_usable},
    [DIRTY_UFFD] = {"uffd", dirty_uffd_usable},
};
static_assert(ARRAY_LEN(kinds) == DIRTY_KINDS, "a row for each kind");

const char *dirty_kind_name(enum dirty_kind kind)
{
    return kinds[kind].name;
}

int dirty_kind_find(const char *name, enum dirty_kind *ret, struct error *err)
{
    for (size_t i = 0; i < DIRTY_KINDS; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        *ret = (enum dirty_kind)i;
        return 0;
    }
    return err_set(err, ERR_USAGE, "dirty source '%s', expected " DIRTY_KIND_SYNTAX, name);
}

int dirty_kind_usable(enum dirty_kind kind, struct error *err)
{
    return kinds[kind].usable(err) < 0 ? -1 : 0;
}
