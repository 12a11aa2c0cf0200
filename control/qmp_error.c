#include "control/qmp_error.h"

#include "base/macros.h"

/* Options that a VM gets at its start have no name at its monitor: they are described. */
static const char *const words[] = {
    [REMEDY_NONE] = "",
    [REMEDY_ANSWER_TIMEOUT] = " (the VM's answer timeout)",
    [REMEDY_CONNECT_TIMEOUT] = " (the VM's connect timeout)",
    [REMEDY_STALL_TIMEOUT] = " (the VM's stall timeout)",
    [REMEDY_MACHINE_TYPE] = " (the VM's machine type)",
    [REMEDY_NO_MULTIFD] = " (multifd off)",
    [REMEDY_OR_NO_MULTIFD] = ", or switch multifd off",
    [REMEDY_OR_NO_COMPRESSION] = ", or multifd-compression none",
    [REMEDY_COPY_OR_TCP] = ": switch zero-copy-send off, or use tcp",
    [REMEDY_COPY_OR_URING] = ": switch zero-copy-send off, or use tcp",
    [REMEDY_TLS_CREDENTIALS] = " (tls-creds)",
    [REMEDY_TLS_ONE_KIND] = ", not both (tls-creds)",
    [REMEDY_TLS_BOTH_OR_NONE] = ": set tls-creds there, or leave it empty here",
    [REMEDY_TLS_PSK] = "; let tls-creds name a folder with such a file",
    [REMEDY_TLS_USERNAME] = "",
    [REMEDY_TLS_HOSTNAME] = " (tls-hostname)",
    [REMEDY_TLS_HOSTNAME_OR_IP] = " (subjectAltName IP:...; else tls-hostname)",
    [REMEDY_TLS_HOSTNAME_THERE] = " (tls-hostname there)",
    [REMEDY_TLS_AUTHZ] = " by tls-authz",
    [REMEDY_TLS_AUTHZ_THERE] = " (tls-authz there)",
    [REMEDY_SAME_ACCELERATOR] = ": start both VMs with the same accelerator",
    [REMEDY_SAME_MEMORY] = ": start both VMs with the same memory",
    [REMEDY_SAME_BACKEND] = ": start both VMs with the same memory backend",
    [REMEDY_SHARED_BACKEND] = "; start the VM with memory backend memfd, hugetlb or file",
    [REMEDY_CPR] = " (a channel of type cpr)",
    [REMEDY_LISTEN] = "",
    [REMEDY_NO_LISTEN] = "",
    [REMEDY_URI] = "",
    [REMEDY_SET_BOTH] = "",
    [REMEDY_TIME_LIMIT] = "",
    [REMEDY_ROUND_LIMIT] = "",
    [REMEDY_CONVERT] = "",
    [REMEDY_FORCE] = "",
    [REMEDY_GUEST] = "",
    [REMEDY_SETTING_NAMES] = "",
    [REMEDY_PROGRESS] = "",
    [REMEDY_CHECKSUMS] = "",
};
_Static_assert(ARRAY_LEN(words) == REMEDY_N, "words for each remedy");

void qmp_error_line(const struct error *err, char ret[static ERR_LINE_LEN])
{
    err_line(err, words[err->remedy], ret);
}
