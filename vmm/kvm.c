#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/fd.h"

#define DEVICE        "/dev/kvm"
#define CPUID_ENTRIES 256

static const struct {
    int capability;
    const char *name;
} needed[] = {
    {KVM_CAP_USER_MEMORY, "user memory"},
    {KVM_CAP_EXT_CPUID, "CPUID"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
    {KVM_CAP_GET_TSC_KHZ, "the TSC's rate"},
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
            return err_set(err, ERR_SYSTEM, DEVICE ": this KVM has not got %s", needed[i].name);
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

static int make_vm(struct kvm *k, int system, struct error *err)
{
    int run_bytes = kvm_ioctl(system, KVM_GET_VCPU_MMAP_SIZE, NULL, "size of a vCPU's page", err);

    if (run_bytes < 0)
        return -1;
    int max = ioctl(system, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    k->run_bytes = (size_t)run_bytes;
    k->max_vcpus = max > 0 ? (unsigned)max : 1;
    k->vm = kvm_ioctl(system, KVM_CREATE_VM, NULL, "new VM", err);
    return k->vm < 0 ? -1 : 0;
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

void kvm_done(struct kvm *k)
{
    if (k->run_bytes) /* else none was made, whatever `vm` says */
        fd_close(&k->vm);
    free(k->cpuid);
    *k = (struct kvm){.vm = -1};
}

int kvm_add_memory(struct kvm *k, unsigned slot, uint64_t guest_address, void *host, uint64_t len,
                   struct error *err)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .guest_phys_addr = guest_address,
        .memory_size = len,
        .userspace_addr = (uintptr_t)host,
    };

    return kvm_ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &region, "guest memory", err);
}

int kvm_add_vcpu(struct kvm *k, unsigned index, int *ret_fd, struct error *err)
{
    if (index >= k->max_vcpus)
        return err_set(err, ERR_SYSTEM, "KVM: at most %u vCPUs on this host", k->max_vcpus);
    AUTO_FD int fd = ioctl(k->vm, KVM_CREATE_VCPU, (unsigned long)index);
    if (fd < 0)
        return err_sys(err, "KVM: new vCPU");
    if (kvm_ioctl(fd, KVM_SET_CPUID2, k->cpuid, "a vCPU's CPUID", err) < 0)
        return -1;
    *ret_fd = fd_take(&fd);
    return 0;
}
