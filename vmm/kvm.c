#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/fd.h"

#define DEVICE        "/dev/kvm"
#define CPUID_ENTRIES 256

/* Pages that KVM needs on some hosts, just below 4 GiB, where no guest has memory. */
#define TSS_PAGES         0xfffbd000UL
#define IDENTITY_MAP_PAGE 0xfffbc000UL

/* CPUID leaves: those that have a vCPU's own number, and the one for vector state. */
#define LEAF_FEATURES      1U
#define LEAF_TOPOLOGY      0xbU
#define LEAF_XSAVE         0xdU
#define LEAF_TOPOLOGY_V2   0x1fU
#define FEATURES_APIC_ID   24 /* in EBX, from this bit on */
#define FEATURES_ECX_XSAVE (1U << 26)

/*
 * x87, SSE, AVX and AVX-512. Other state never exists here, so it need not be migrated: the guest
 * would have to enable it, and this process would have to ask the kernel for permission.
 */
#define XCR0_KNOWN UINT64_C(0xe7)

static const struct {
    int capability;
    const char *name;
} needed[] = {
    {KVM_CAP_USER_MEMORY, "user memory"},
    {KVM_CAP_EXT_CPUID, "CPUID"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
    {KVM_CAP_GET_TSC_KHZ, "the TSC's rate"},
    {KVM_CAP_IRQCHIP, "interrupt controllers"},
    {KVM_CAP_MP_STATE, "a vCPU's run state"},
    {KVM_CAP_XSAVE, "XSAVE"},
    {KVM_CAP_XCRS, "extended control registers"},
    {KVM_CAP_VCPU_EVENTS, "a vCPU's events"},
    {KVM_CAP_DEBUGREGS, "debug registers"},
    {KVM_CAP_ADJUST_CLOCK, "the clock"},
};

int kvm_ioctl(int fd, unsigned long request, void *arg, const char *what, struct error *err)
{
    int rc = ioctl(fd, request, arg);

    return rc < 0 ? err_sys(err, "KVM: %s", what) : rc;
}

static int check_system(int system, struct error *err)
{
    int version = kvm_ioctl(system, KVM_GET_API_VERSION, NULL, "API version", err);

    if (version < 0)
        return -1;
    if (version != KVM_API_VERSION)
        return err_set(err, ERR_SYSTEM, DEVICE ": API version %d, expected %d", version,
                       KVM_API_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        if (ioctl(system, KVM_CHECK_EXTENSION, needed[i].capability) <= 0)
            return err_set(err, ERR_SYSTEM, DEVICE ": this KVM lacks %s", needed[i].name);
    }
    return 0;
}

static int read_cpuid(struct kvm *k, int system, struct error *err)
{
    k->cpuid = calloc(1, sizeof(*k->cpuid) + CPUID_ENTRIES * sizeof(k->cpuid->entries[0]));
    if (!k->cpuid)
        return err_sys(err, "memory for CPUID");
    k->cpuid->nent = CPUID_ENTRIES;
    return kvm_ioctl(system, KVM_GET_SUPPORTED_CPUID, k->cpuid, "supported CPUID", err);
}

/* The first entry of a leaf (index 0), or NULL. */
static const struct kvm_cpuid_entry2 *find_leaf(const struct kvm *k, uint32_t function)
{
    for (uint32_t i = 0; i < k->cpuid->nent; i++) {
        if (k->cpuid->entries[i].function == function && k->cpuid->entries[i].index == 0)
            return &k->cpuid->entries[i];
    }
    return NULL;
}

static uint64_t usable_xcr0(const struct kvm *k)
{
    const struct kvm_cpuid_entry2 *features = find_leaf(k, LEAF_FEATURES);
    const struct kvm_cpuid_entry2 *xsave = find_leaf(k, LEAF_XSAVE);

    if (!features || !xsave || !(features->ecx & FEATURES_ECX_XSAVE))
        return 0;
    return ((uint64_t)xsave->edx << 32 | xsave->eax) & XCR0_KNOWN;
}

/* Adds what a VM needs before its first vCPU. */
static int furnish_vm(int vm, struct error *err)
{
    uint64_t identity_map = IDENTITY_MAP_PAGE;

    if (ioctl(vm, KVM_SET_TSS_ADDR, TSS_PAGES) < 0)
        return err_sys(err, "KVM: the TSS's address");
    if (kvm_ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map, "the identity map's address", err) <
        0)
        return -1;
    return kvm_ioctl(vm, KVM_CREATE_IRQCHIP, NULL, "interrupt controllers", err);
}

static int make_vm(struct kvm *k, int system, struct error *err)
{
    int run_bytes = kvm_ioctl(system, KVM_GET_VCPU_MMAP_SIZE, NULL, "size of a vCPU's page", err);

    if (run_bytes < 0)
        return -1;
    int max = ioctl(system, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    k->run_bytes = (size_t)run_bytes;
    k->max_vcpus = max > 0 ? (unsigned)max : 1;
    k->xcr0 = usable_xcr0(k);
    k->vm = kvm_ioctl(system, KVM_CREATE_VM, NULL, "new VM", err);
    return k->vm < 0 ? -1 : furnish_vm(k->vm, err);
}

int kvm_init(struct kvm *k, struct error *err)
{
    *k = (struct kvm){.vm = -1};
    AUTO_FD int system = open(DEVICE, O_RDWR | O_CLOEXEC);

    if (system < 0)
        return err_sys(err, "a guest needs KVM: " DEVICE);
    if (check_system(system, err) < 0 || read_cpuid(k, system, err) < 0 ||
        make_vm(k, system, err) < 0) {
        kvm_done(k);
        return -1;
    }
    return 0;
}

int kvm_usable(struct error *err)
{
    struct kvm kvm;

    if (kvm_init(&kvm, err) < 0)
        return -1;
    kvm_done(&kvm);
    return 0;
}

bool kvm_present(void)
{
    return access(DEVICE, R_OK | W_OK) == 0;
}

void kvm_done(struct kvm *k)
{
    if (k->run_bytes) /* 0: no VM was made, and `vm` may be 0 */
        fd_close(&k->vm);
    free(k->cpuid);
    *k = (struct kvm){.vm = -1};
}

int kvm_set_slot(const struct kvm *k, const struct kvm_slot *slot, uint32_t flags,
                 struct error *err)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot->id,
        .flags = flags,
        .guest_phys_addr = slot->guest_address,
        .memory_size = slot->bytes,
        .userspace_addr = (uintptr_t)slot->host,
    };

    return kvm_ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &region, "guest memory", err);
}

int kvm_extension(const struct kvm *k, int capability)
{
    int rc = ioctl(k->vm, KVM_CHECK_EXTENSION, capability);

    return rc > 0 ? rc : 0;
}

int kvm_enable(const struct kvm *k, uint32_t capability, uint64_t argument, const char *what,
               struct error *err)
{
    struct kvm_enable_cap cap = {.cap = capability, .args = {argument}};

    return kvm_ioctl(k->vm, KVM_ENABLE_CAP, &cap, what, err);
}

/* Sets the vCPU's number, that of its local APIC, in the CPUID table, which one thread at a time
 * uses. */
static void number_cpuid(struct kvm *k, unsigned index)
{
    for (uint32_t i = 0; i < k->cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *e = &k->cpuid->entries[i];

        if (e->function == LEAF_FEATURES)
            e->ebx = (e->ebx & ((1U << FEATURES_APIC_ID) - 1)) | index << FEATURES_APIC_ID;
        else if (e->function == LEAF_TOPOLOGY || e->function == LEAF_TOPOLOGY_V2)
            e->edx = index;
    }
}

int kvm_add_vcpu(struct kvm *k, unsigned index, int *ret_fd, struct error *err)
{
    if (index >= k->max_vcpus)
        return err_set(err, ERR_SYSTEM, "KVM: at most %u vCPUs on this host", k->max_vcpus);
    AUTO_FD int fd = ioctl(k->vm, KVM_CREATE_VCPU, (unsigned long)index);
    if (fd < 0)
        return err_sys(err, "KVM: new vCPU");
    number_cpuid(k, index);
    /* Else all vCPUs but the first would wait for a start-up message from another's local APIC. */
    struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
    if (kvm_ioctl(fd, KVM_SET_CPUID2, k->cpuid, "a vCPU's CPUID", err) < 0 ||
        kvm_ioctl(fd, KVM_SET_MP_STATE, &runnable, "a vCPU's run state", err) < 0)
        return -1;
    *ret_fd = fd_take(&fd);
    return 0;
}
