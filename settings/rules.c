#include "settings/rules.h"

#include <assert.h>
#include <string.h>

#include "base/macros.h"

/* --- names ----------------------------------------------------------------------------------- */

#define FACT(x) [FACT_##x - CAP_N]

static const char *const fact_names[] = {
    FACT(TLS_CREDS) = "tls-creds",
    FACT(TLS) = "tls",
    FACT(TLS_HOSTNAME) = "tls-hostname",
    FACT(TLS_AUTHZ) = "tls-authz",
    FACT(COMPRESSED) = "compressed",
    FACT(DIRECT_IO) = "direct-io",
    FACT(CPR) = "mode-cpr",
    FACT(CPR_TRANSFER) = "mode-cpr-transfer",
    FACT(CPR_EXEC) = "mode-cpr-exec",
    FACT(CPR_EXEC_COMMAND) = "cpr-exec-command",
    FACT(THROTTLE_CROSSED) = "throttle-crossed",
    FACT(UNSUPPORTED) = "sets-unsupported",
    FACT(OTHER_END) = "sets-the-other-end",
    FACT(NOT_LIVE) = "sets-what-is-not-live",
    FACT(SOURCE) = "source",
    FACT(DESTINATION) = "destination",
    FACT(TLS_PSK) = "tls-psk",
    FACT(TLS_USERNAME) = "tls-username",
    FACT(OUTGOING) = "outgoing-runs",
    FACT(INCOMING) = "incoming-runs",
    FACT(WAITING) = "waits-for-incoming",
    FACT(LISTENING) = "listens",
    FACT(POSTMIGRATE) = "postmigrate",
    FACT(RESUME) = "resume",
    FACT(BAD_CHANNELS) = "bad-channel-list",
    FACT(CPR_CHANNEL) = "cpr-channel",
    FACT(FILE_ADDRESS) = "file-address",
    FACT(ONE_CONNECTION) = "one-connection",
    FACT(UNIX_ADDRESS) = "unix-address",
    FACT(RAM_PRIVATE) = "private-ram",
    FACT(NO_DIRTY_RING) = "no-dirty-ring",
};
_Static_assert(ARRAY_LEN(fact_names) == FACT_END - CAP_N, "a name for each fact");

const char *fact_name(unsigned bit)
{
    return bit < CAP_N ? capabilities[bit].name : fact_names[bit - CAP_N];
}

static const char *const class_names[] = {
    [GATE_RANGE] = "RANGE",
    [GATE_UNKNOWN] = "UNKNOWN",
    [GATE_REQUIRES] = "REQUIRES",
    [GATE_CONFLICT] = "CONFLICT",
    [GATE_HOST] = "HOST",
    [GATE_BUILD] = "BUILD",
    [GATE_BUSY] = "BUSY",
    [GATE_STATE] = "STATE",
    [GATE_TRANSPORT] = "TRANSPORT",
    [GATE_ADDRESS] = "ADDRESS",
    [GATE_BLOCKED] = "BLOCKED",
    [GATE_PEER] = "PEER",
    [GATE_IO] = "IO",
};
_Static_assert(ARRAY_LEN(class_names) == GATE_CLASS_N, "a name for each class");

const char *gate_class_name(enum gate_class class)
{
    return class_names[class];
}

static const char *const moment_names[MOMENT_N] = {
    "value",
    "capabilities",
    "parameters",
    "migrate",
    "migrate-incoming",
    "connecting",
    "ram-block-set-migratable",
};

const char *moment_name(enum moment moment)
{
    return moment_names[__builtin_ctz(moment)];
}

/* --- the table ------------------------------------------------------------------------------- */

#define C(x) IN_SET(CAP_##x)
#define F(x) IN_SET(FACT_##x)

#define AT_SET   (AT_CAPABILITIES | AT_PARAMETERS)
#define AT_START (AT_MIGRATE | AT_INCOMING)

#define SNAPSHOT_CLASHES                                                                           \
    (C(POSTCOPY_RAM) | C(DIRTY_BITMAPS) | C(POSTCOPY_BLOCKTIME) | C(LATE_BLOCK_ACTIVATE) |         \
     C(RETURN_PATH) | C(MULTIFD) | C(PAUSE_BEFORE_SWITCHOVER) | C(AUTO_CONVERGE) |                 \
     C(RELEASE_RAM) | C(RDMA_PIN_ALL) | C(XBZRLE) | C(X_COLO) | C(VALIDATE_UUID) |                 \
     C(ZERO_COPY_SEND) | C(COMPRESS))

/*
 * The first row that refuses gives the answer. So the order is: not now; never together; first
 * something else; not on this host; not in this build; not at this end.
 *
 * C…, P…, M… and I… are QEMU's rules under our numbers, most of them tried on a running 7.2 and
 * 11.1; B… are about RAM blocks, and R… are our own. Left out are M20, I3, rules about block
 * devices and Xen, and rules about what nothing here can find out or cause: an RDMA address, a
 * paused postcopy, a device that blocks, memory that the host has lost, a host without userfaultfd
 * or O_DIRECT. Such a rule comes with the code that sets its fact.
 */
const struct rule rules[] = {
    /* --- while a name or value is read --- */
    {"R1", AT_VALUE, .class = GATE_UNKNOWN, .why = "no such setting",
     .remedy = REMEDY_SETTING_NAMES},
    {"P1", AT_VALUE, .class = GATE_RANGE, .why = "a value outside its range, or of another type",
     .ours = "multifd-zstd-level also takes zstd's negative levels"},
    {"P6", AT_VALUE, .class = GATE_UNKNOWN, .why = "no such value, or a method that is not built"},
    {"B1", AT_VALUE, .class = GATE_STATE,
     .why = "a memory backend that is not mapped into the guest is not migratable"},
    {"R2", AT_VALUE, .class = GATE_CONFLICT, .why = "set twice, to different values; set it once",
     .ours = "in one command the order of settings does not matter"},

    /* --- setting: not now --- */
    {"C1", AT_CAPABILITIES, .when = F(OUTGOING), .class = GATE_BUSY,
     .why = "capabilities cannot be set while a migration runs; wait for it or cancel it"},
    {"C1", AT_CAPABILITIES, .when = F(INCOMING), .class = GATE_BUSY,
     .why = "capabilities cannot be set while a migration comes in; wait for its end",
     .ours = "QEMU looks at the outgoing migration only, and lets them flip at a destination"},
    {"R3", AT_PARAMETERS, .when = F(OUTGOING) | F(NOT_LIVE), .class = GATE_BUSY,
     .why = "not while a migration runs; wait for it or cancel it",
     .ours = "QEMU takes any parameter at any time, some of them to its harm"},
    {"R3", AT_PARAMETERS, .when = F(INCOMING) | F(NOT_LIVE), .class = GATE_BUSY,
     .why = "not while a migration comes in; wait for its end",
     .ours = "QEMU takes any parameter at any time, some of them to its harm"},
    {"C9", AT_CAPABILITIES, .when = F(LISTENING), .newly = C(POSTCOPY_PREEMPT), .class = GATE_STATE,
     .why = "postcopy-preempt cannot be switched on once the destination listens; set it before "
            "migrate-incoming",
     .since = "8.1"},
    {"C9", AT_CAPABILITIES, .when = F(LISTENING), .newly = C(MULTIFD), .class = GATE_STATE,
     .why = "multifd cannot be switched on once the destination listens; set it before "
            "migrate-incoming",
     .since = "8.1"},

    /* --- setting: never together --- */
    {"C2", AT_CAPABILITIES, .when = C(MULTIFD), .clashes = C(XBZRLE), .class = GATE_CONFLICT,
     .why = "xbzrle works on the main channel only; switch multifd or xbzrle off", .since = "8.2"},
    {"C3", AT_CAPABILITIES, .when = C(MULTIFD), .clashes = C(COMPRESS), .class = GATE_CONFLICT,
     .why = "compress works on the main channel only; with multifd use multifd-compression",
     .until = "9.0"},
    {"C4", AT_CAPABILITIES, .when = C(MULTIFD), .clashes = C(POSTCOPY_RAM), .class = GATE_CONFLICT,
     .why = "multifd and postcopy-ram exclude each other", .since = "8.1", .until = "10.0",
     .lapsed = true, .ours = "QEMU 10.1 and later take both, and so do we"},
    {"C5", AT_CAPABILITIES, .when = C(POSTCOPY_RAM), .clashes = C(X_IGNORE_SHARED),
     .class = GATE_CONFLICT,
     .why = "postcopy cannot fetch memory that x-ignore-shared leaves out; switch one of them off"},
    {"C8", AT_CAPABILITIES, .when = C(POSTCOPY_PREEMPT), .clashes = C(COMPRESS),
     .class = GATE_CONFLICT,
     .why = "postcopy-preempt cannot send compressed pages; switch compress off", .until = "9.0"},
    {"C11", AT_CAPABILITIES, .when = C(ZERO_COPY_SEND),
     .clashes = C(XBZRLE) | C(COMPRESS) | F(COMPRESSED) | F(TLS), .class = GATE_CONFLICT,
     .why = "zero-copy-send hands pages to the kernel as they are: no xbzrle, no "
            "multifd-compression, no TLS; switch it off, or them"},
    {"P2", AT_PARAMETERS, .when = C(ZERO_COPY_SEND), .clashes = F(COMPRESSED) | F(TLS),
     .class = GATE_CONFLICT,
     .why = "zero-copy-send is on, which hands pages to the kernel as they are: neither "
            "multifd-compression nor TLS goes with it; switch it off first"},
    {"C14", AT_CAPABILITIES, .when = C(DIRTY_LIMIT), .clashes = C(AUTO_CONVERGE),
     .class = GATE_CONFLICT,
     .why = "dirty-limit and auto-converge both slow the guest down; choose one", .since = "8.1"},
    {"C16", AT_CAPABILITIES, .when = C(MAPPED_RAM), .clashes = C(XBZRLE) | C(POSTCOPY_RAM),
     .class = GATE_CONFLICT,
     .why = "mapped-ram gives every page one place in a file: no xbzrle, no postcopy-ram",
     .since = "9.0"},
    {"P3", AT_SET, .when = C(MAPPED_RAM), .clashes = F(COMPRESSED) | F(TLS), .class = GATE_CONFLICT,
     .why = "mapped-ram gives every page its own place and size: neither multifd-compression nor "
            "TLS goes with it",
     .since = "9.0",
     .ours = "reported at once, in either order, and a setting that repairs it passes; QEMU "
             "reports it at the next set-parameters, even at the one that repairs it"},
    {"C20", AT_CAPABILITIES, .when = C(BACKGROUND_SNAPSHOT), .clashes = SNAPSHOT_CLASHES,
     .class = GATE_CONFLICT,
     .why = "background-snapshot goes with events, x-ignore-shared and mapped-ram only; switch the "
            "others off"},
    {"R4", AT_SET, .when = F(TLS_PSK), .clashes = F(TLS_CREDS), .class = GATE_CONFLICT,
     .why = "TLS takes a PSK or certificates", .remedy = REMEDY_TLS_ONE_KIND,
     .ours = "QEMU has both as kinds of one object"},

    /* --- setting: first something else --- */
    {"C7", AT_CAPABILITIES, .when = C(POSTCOPY_PREEMPT), .needs = C(POSTCOPY_RAM),
     .class = GATE_REQUIRES, .why = "postcopy-preempt needs postcopy-ram; switch that on too"},
    {"C10", AT_CAPABILITIES, .when = C(ZERO_COPY_SEND), .needs = C(MULTIFD), .class = GATE_REQUIRES,
     .why = "zero-copy-send needs multifd; switch that on too"},
    {"C13", AT_CAPABILITIES, .when = C(SWITCHOVER_ACK), .needs = C(RETURN_PATH),
     .class = GATE_REQUIRES,
     .why = "switchover-ack comes back on the return path; switch return-path on too",
     .since = "8.1"},
    {"C17", AT_CAPABILITIES, .when = C(X_COLO), .needs = C(RETURN_PATH), .class = GATE_REQUIRES,
     .why = "x-colo needs the return path; switch return-path on too", .since = "11.x"},
    {"P1", AT_PARAMETERS, .when = F(THROTTLE_CROSSED), .class = GATE_RANGE,
     .why = "max-cpu-throttle must not be below cpu-throttle-initial; set both in one command"},

    /* --- setting: not on this host --- */
    {"C15", AT_CAPABILITIES, .when = C(DIRTY_LIMIT) | F(NO_DIRTY_RING), .class = GATE_HOST,
     .why = "dirty-limit needs KVM with its dirty ring", .since = "8.1"},

    /* --- setting: not in this build, not at this end --- */
    {"C18", AT_CAPABILITIES, .newly = C(X_COLO), .class = GATE_BUILD,
     .why = "x-colo: there is no replication in this build"},
    {"C18", AT_CAPABILITIES, .newly = C(BLOCK), .class = GATE_BUILD,
     .why = "block: there is no migration of disks in this build", .until = "9.0"},
    {"R5", AT_SET, .when = F(UNSUPPORTED), .class = GATE_BUILD, .why = "not in this build",
     .ours = "QEMU has all of these"},
    {"R6", AT_SET, .when = F(DESTINATION) | F(OTHER_END), .class = GATE_STATE,
     .why = "set at the source", .ours = "QEMU takes it at a destination, without effect"},
    {"R6", AT_SET, .when = F(SOURCE) | F(OTHER_END), .class = GATE_STATE,
     .why = "set at the destination", .ours = "QEMU takes it at a source, without effect"},

    {"R9", AT_CAPABILITIES, .when = F(SOURCE) | C(PAUSE_BEFORE_SWITCHOVER), .class = GATE_STATE,
     .why = "pause-before-switchover: this program has no monitor for "
            "migrate-continue; use a VM that has one",
     .ours = "every QEMU has a monitor"},
    {"R9", AT_CAPABILITIES, .when = F(SOURCE) | C(EVENTS), .class = GATE_STATE,
     .why = "events: this program has no monitor that would send them", .remedy = REMEDY_PROGRESS,
     .ours = "every QEMU has a monitor"},
    {"R9", AT_CAPABILITIES, .when = F(DESTINATION) | C(EVENTS), .class = GATE_STATE,
     .why = "events: this program has no monitor that would send them", .remedy = REMEDY_PROGRESS,
     .ours = "every QEMU has a monitor"},
    {"R12", AT_PARAMETERS, .when = F(SOURCE), .clashes = F(CPR_TRANSFER) | F(CPR_EXEC),
     .class = GATE_STATE,
     .why = "modes cpr-transfer and cpr-exec keep a running guest's memory where it is, and this "
            "program has no guest",
     .remedy = REMEDY_GUEST, .ours = "every QEMU has a guest"},
    {"R12", AT_PARAMETERS, .when = F(DESTINATION), .clashes = F(CPR_TRANSFER) | F(CPR_EXEC),
     .class = GATE_STATE,
     .why = "modes cpr-transfer and cpr-exec keep a running guest's memory where it is, and this "
            "program has no guest",
     .remedy = REMEDY_GUEST, .ours = "every QEMU has a guest"},

    /* --- migrate and migrate-incoming: not now --- */
    {"M8", AT_MIGRATE, .when = F(OUTGOING), .class = GATE_BUSY,
     .why = "a migration runs already; wait for it or cancel it"},
    {"M9", AT_MIGRATE, .when = F(WAITING), .class = GATE_STATE,
     .why = "this VM waits for a migration itself; there is nothing to send yet"},
    {"M10", AT_MIGRATE, .when = F(POSTMIGRATE), .class = GATE_STATE,
     .why = "this VM was migrated away; cont makes it an ordinary one again"},
    {"M17", AT_MIGRATE, .when = F(RESUME), .class = GATE_STATE,
     .why = "only a paused postcopy can be resumed"},
    {"I2", AT_INCOMING, .when = F(LISTENING), .class = GATE_STATE,
     .why = "this VM listens already; use migrate-incoming only once"},
    {"I1", AT_INCOMING, .needs = F(WAITING), .class = GATE_STATE,
     .why = "this VM was not started to wait for a migration; start it with -incoming defer"},

    /* --- migrate and migrate-incoming: the address --- */
    {"M1", AT_START, .when = F(BAD_CHANNELS), .class = GATE_ADDRESS,
     .why = "expected an address, or a list with exactly one main channel"},
    {"M1", AT_MIGRATE, .when = F(CPR_CHANNEL), .needs = F(CPR_TRANSFER), .class = GATE_ADDRESS,
     .why = "a second channel, of type cpr, is for mode cpr-transfer only"},
    {"M15", AT_MIGRATE, .when = F(CPR_TRANSFER), .needs = F(CPR_CHANNEL), .class = GATE_ADDRESS,
     .why = "mode cpr-transfer needs a second channel, of type cpr, at a UNIX socket",
     .since = "10.0"},
    {"M2", AT_START, .when = C(MAPPED_RAM), .needs = F(FILE_ADDRESS), .class = GATE_TRANSPORT,
     .why = "mapped-ram needs a file that can be written anywhere; use file:PATH", .since = "9.0"},
    {"M3", AT_START, .when = C(MULTIFD), .clashes = F(ONE_CONNECTION), .class = GATE_TRANSPORT,
     .why = "multifd needs many connections, and this address is one: use tcp, unix or "
            "vsock",
     .remedy = REMEDY_OR_NO_MULTIFD},
    {"M3", AT_START, .when = C(POSTCOPY_PREEMPT), .clashes = F(ONE_CONNECTION),
     .class = GATE_TRANSPORT,
     .why = "postcopy-preempt needs a second connection: use tcp, unix or vsock"},
    {"M3", AT_START, .when = C(MULTIFD) | F(FILE_ADDRESS), .needs = C(MAPPED_RAM),
     .class = GATE_TRANSPORT, .why = "multifd into a file needs mapped-ram"},
    {"M3", AT_START, .when = C(POSTCOPY_PREEMPT) | F(FILE_ADDRESS), .class = GATE_TRANSPORT,
     .why = "postcopy-preempt needs a peer, not a file"},
    {"M4", AT_MIGRATE, .when = C(MULTIFD) | F(DIRECT_IO), .needs = F(FILE_ADDRESS),
     .class = GATE_TRANSPORT, .why = "direct-io is for files; use file:PATH, or switch it off",
     .since = "9.1"},
    {"M5", AT_MIGRATE, .when = F(CPR_TRANSFER), .clashes = F(FILE_ADDRESS), .class = GATE_TRANSPORT,
     .why = "mode cpr-transfer needs a peer, not a file", .since = "10.0"},
    {"B7", AT_MIGRATE, .when = F(CPR_EXEC), .needs = F(FILE_ADDRESS), .class = GATE_TRANSPORT,
     .why = "mode cpr-exec has no peer: the state has to be in a file before this program is "
            "replaced; use file:PATH",
     .since = "10.2"},

    /* --- migrate and migrate-incoming: never together, first something else, blocked --- */
    {"M7", AT_MIGRATE, .when = C(MAPPED_RAM), .clashes = F(COMPRESSED) | F(TLS),
     .class = GATE_CONFLICT,
     .why = "mapped-ram goes with neither multifd-compression nor TLS; switch them off",
     .since = "9.0"},
    {"M13", AT_MIGRATE, .when = F(CPR),
     .clashes = C(POSTCOPY_RAM) | C(DIRTY_BITMAPS) | C(BACKGROUND_SNAPSHOT) | C(X_COLO),
     .class = GATE_CONFLICT,
     .why = "a cpr mode goes with none of postcopy-ram, dirty-bitmaps, background-snapshot and "
            "x-colo",
     .since = "8.2"},
    {"M14", AT_MIGRATE, .when = F(CPR_EXEC), .needs = F(CPR_EXEC_COMMAND), .class = GATE_REQUIRES,
     .why = "mode cpr-exec needs cpr-exec-command", .since = "10.2"},
    {"R7", AT_START, .when = F(COMPRESSED), .needs = C(MULTIFD), .class = GATE_REQUIRES,
     .why = "multifd-compression packs what multifd sends; use at least one channel",
     .remedy = REMEDY_OR_NO_COMPRESSION, .ours = "QEMU sends uncompressed, without an error"},
    {"R8", AT_START, .when = F(TLS_AUTHZ), .needs = F(TLS_CREDS), .class = GATE_REQUIRES,
     .why = "tls-authz is about names in certificates; give tls-creds too",
     .ours = "QEMU takes it without effect"},
    {"R8", AT_START, .when = F(TLS_HOSTNAME), .needs = F(TLS_CREDS), .class = GATE_REQUIRES,
     .why = "tls-hostname is a name in a certificate; give tls-creds too",
     .ours = "QEMU takes it without effect"},
    {"R8", AT_START, .when = F(TLS_USERNAME), .needs = F(TLS), .class = GATE_REQUIRES,
     .why = "a user name selects a key in a file of PSKs", .remedy = REMEDY_TLS_PSK,
     .ours = "QEMU takes it without effect"},
    {"R10", AT_START, .when = F(TLS) | F(FILE_ADDRESS), .class = GATE_CONFLICT,
     .why = "a file has no other end that speaks TLS: switch TLS off",
     .ours = "QEMU would start a TLS handshake with the file"},
    {"R11", AT_MIGRATE, .when = F(DIRECT_IO) | F(FILE_ADDRESS), .needs = C(MAPPED_RAM),
     .class = GATE_REQUIRES,
     .why = "direct-io is for pages with places of their own in a file; switch mapped-ram on too",
     .ours = "QEMU takes it without effect; here multifd is not needed for it, either"},
    {"R13", AT_MIGRATE, .when = F(CPR_EXEC), .clashes = C(MAPPED_RAM), .class = GATE_CONFLICT,
     .why = "mode cpr-exec writes no pages, and mapped-ram is places for them; switch it off",
     .ours = "QEMU takes both"},
    {"M16", AT_MIGRATE, .when = F(CPR_TRANSFER) | F(RAM_PRIVATE), .class = GATE_BLOCKED,
     .why = "mode cpr-transfer hands memory over: every block must be shared and have a "
            "descriptor",
     .remedy = REMEDY_SHARED_BACKEND, .since = "10.0"},
    {"M16", AT_MIGRATE, .when = F(CPR_EXEC) | F(RAM_PRIVATE), .class = GATE_BLOCKED,
     .why = "mode cpr-exec keeps memory by its descriptors: every block must be shared and have "
            "one",
     .remedy = REMEDY_SHARED_BACKEND, .since = "10.2"},

    /* --- while connections are made --- */
    {"M18", AT_MIGRATE, .when = C(ZERO_COPY_SEND) | F(UNIX_ADDRESS), .class = GATE_IO,
     .why = "a Unix socket cannot send without copying; use tcp, or leave zero-copy-send off",
     .ours = "QEMU finds out when it has connected"},
    {"M18", AT_MIGRATE, .when = C(ZERO_COPY_SEND) | F(FILE_ADDRESS), .class = GATE_IO,
     .why = "a file has no zero-copy; leave zero-copy-send off; direct-io avoids copies",
     .ours = "QEMU finds out when it has opened it"},
    {"M18", AT_CONNECTING, .class = GATE_IO,
     .why = "the socket has no zero-copy; use another address, or leave zero-copy-send off",
     .ours = "where too little memory may be locked, packets are copied and counted"},
    {"M19", AT_CONNECTING, .class = GATE_IO,
     .why = "credentials that cannot be read, or are for the other end; a name that is not the "
            "certificate's"},

    /* --- a RAM block is to be migratable, or no longer --- */
    {"B9", AT_RAM_SET, .when = F(OUTGOING), .class = GATE_BUSY,
     .why = "the RAM blocks of a migration do not change until it has ended, also while it is "
            "cancelled or fails; wait for its end"},
    {"B9", AT_RAM_SET, .when = F(LISTENING), .class = GATE_BUSY,
     .why = "the RAM blocks of a migration do not change from migrate-incoming on; wait for its "
            "end"},
    {"B10", AT_RAM_SET, .when = F(WAITING), .class = GATE_BUSY,
     .why = "this VM waits for a migration: its RAM blocks stay as they were made, like the "
            "source's; start both with the same migratable="},
};
const size_t n_rules = ARRAY_LEN(rules);

/* --- asking ---------------------------------------------------------------------------------- */

static bool has_all(uint64_t set, uint64_t wanted)
{
    return (set & wanted) == wanted;
}

bool rule_refuses(const struct rule *r, uint64_t have, uint64_t newly)
{
    if (r->lapsed || !(r->when | r->newly | r->needs | r->clashes))
        return false;
    if (!has_all(have, r->when) || !has_all(newly, r->newly))
        return false;
    return !(r->needs | r->clashes) || !has_all(have, r->needs) || (have & r->clashes);
}

const struct rule *rules_ask(unsigned moments, uint64_t have, uint64_t newly)
{
    for (size_t i = 0; i < n_rules; i++) {
        if (rules[i].moments & moments && rule_refuses(&rules[i], have, newly))
            return &rules[i];
    }
    return NULL;
}

const struct rule *rule_of(const char *id)
{
    for (size_t i = 0; i < n_rules; i++) {
        if (strcmp(rules[i].id, id) == 0)
            return &rules[i];
    }
    assert(false && "an id of the table");
    return NULL;
}

int rule_say(const struct rule *rule, const char *subject, const char *why, struct refusal *ret,
             struct error *err)
{
    *ret = (struct refusal){.class = rule->class, .rule = rule->id};
    err_set(err, ERR_USAGE, "%s%s%s", subject ? subject : "", subject ? ": " : "",
            why ? why : rule->why);
    if (!why)
        err_remedy(err, rule->remedy);
    return err_add(err, " (rule %s)", rule->id);
}
