#include "tools/remedy.h"

#include "base/macros.h"

static const char *const words[] = {
    [REMEDY_NONE] = "",
    [REMEDY_ANSWER_TIMEOUT] = " (--answer-timeout)",
    [REMEDY_CONNECT_TIMEOUT] = " (--connect-timeout)",
    [REMEDY_STALL_TIMEOUT] = " (--stall-timeout)",
    [REMEDY_MACHINE_TYPE] = " (--machine)",
    [REMEDY_NO_MULTIFD] = " (--channels 0)",
    [REMEDY_OR_NO_MULTIFD] = ", or --channels 0",
    [REMEDY_OR_NO_COMPRESSION] = ", or --compress none",
    [REMEDY_COPY_OR_TCP] = ": leave out --zero-copy, or use tcp",
    [REMEDY_COPY_OR_URING] = ": leave out --zero-copy, or add --engine uring",
    [REMEDY_TLS_CREDENTIALS] = " (--tls-creds or --tls-psk)",
    [REMEDY_TLS_ONE_KIND] = ": give --tls-psk or tls-creds, not both",
    [REMEDY_TLS_BOTH_OR_NONE] = ": set tls-creds there, or leave --tls-creds here",
    [REMEDY_TLS_PSK] = "; give --tls-psk too",
    [REMEDY_TLS_USERNAME] = " (--tls-username)",
    [REMEDY_TLS_HOSTNAME] = " (--tls-hostname)",
    [REMEDY_TLS_HOSTNAME_OR_IP] = " (subjectAltName IP:...; else --tls-hostname)",
    [REMEDY_TLS_HOSTNAME_THERE] = " (--tls-hostname there)",
    [REMEDY_TLS_AUTHZ] = " by --tls-authz",
    [REMEDY_TLS_AUTHZ_THERE] = " (--tls-authz there)",
    [REMEDY_SAME_ACCELERATOR] = ": give both machines the same --accel",
    [REMEDY_SAME_MEMORY] = ": give both the same --memory",
    [REMEDY_SAME_BACKEND] = ": give both the same --backend",
    [REMEDY_SHARED_BACKEND] = "; start the VM with --backend memfd, hugetlb or file",
    [REMEDY_CPR] = " (--cpr)",
    [REMEDY_LISTEN] = " (--listen HOST)",
    [REMEDY_NO_LISTEN] = "; leave out --listen",
    [REMEDY_URI] = " (--uri)",
    [REMEDY_SET_BOTH] = "; --set NAME=VALUE sets both",
    [REMEDY_TIME_LIMIT] = " (--timeout)",
    [REMEDY_ROUND_LIMIT] = " (--max-rounds)",
    [REMEDY_CONVERT] = "; ramjet convert to file:PATH, a mapped-ram snapshot, needs no memory",
    [REMEDY_FORCE] = "; --force replaces it",
    [REMEDY_GUEST] = "; use ramjet vm",
    [REMEDY_SETTING_NAMES] = "; see ramjet help settings",
    [REMEDY_PROGRESS] = "; use --progress",
    [REMEDY_CHECKSUMS] = " (--checksums off ignores them)",
};
_Static_assert(ARRAY_LEN(words) == REMEDY_N, "words for each remedy");

advice_words remedy_advice = {
    [ADVICE_SLOW] = "--set auto-converge=on or dirty-limit=on",
    [ADVICE_COMPRESS] = "--compress",
    [ADVICE_BANDWIDTH] = "a higher --max-bandwidth",
    [ADVICE_DOWNTIME] = "--downtime-limit",
};

const char *remedy_words(enum remedy remedy)
{
    return words[remedy];
}

void error_line(const struct error *err, char ret[static ERR_LINE_LEN])
{
    err_line(err, words[err->remedy], ret);
}
