/*
 * settings/rules.h: what goes together, and when: every rule between capabilities, parameters and
 * the state of the world, as one table. gate.h finds out what holds, and asks the rules.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "settings/capability.h"

/* What may hold, besides the capabilities that are on. */
enum fact {
    /* About the settings: gate.c computes them. */
    FACT_TLS_CREDS = CAP_N,
    FACT_TLS, /* by tls-creds or by a PSK */
    FACT_TLS_HOSTNAME,
    FACT_TLS_AUTHZ,
    FACT_COMPRESSED,
    FACT_DIRECT_IO,
    FACT_CPR, /* any mode but normal */
    FACT_CPR_TRANSFER,
    FACT_CPR_EXEC,
    FACT_CPR_EXEC_COMMAND,
    FACT_THROTTLE_CROSSED, /* max-cpu-throttle is below cpu-throttle-initial */
    /* About what is being set: gate.c finds them, and the name of the setting. */
    FACT_UNSUPPORTED, /* it asks for something that has no effect here */
    FACT_OTHER_END,   /* it belongs to the other end */
    FACT_NOT_LIVE,    /* a parameter that may not change while a migration runs */
    /* About the world: the caller says which hold. */
    FACT_SOURCE,      /* this program only sends */
    FACT_DESTINATION, /* this program only receives */
    FACT_TLS_PSK,
    FACT_TLS_USERNAME, /* the user of a PSK is named */
    FACT_OUTGOING,     /* an outgoing migration runs: setup … device, postcopy, colo */
    FACT_INCOMING,     /* an incoming migration runs */
    FACT_WAITING,      /* the VM was started to wait for a migration, and none has come */
    FACT_LISTENING,    /* it waits, and has an address already */
    FACT_POSTMIGRATE,
    FACT_RESUME,       /* migrate is asked to resume */
    FACT_BAD_CHANNELS, /* no main channel, or two of one type */
    FACT_CPR_CHANNEL,  /* there is a UNIX channel of type cpr */
    FACT_FILE_ADDRESS,
    FACT_ONE_CONNECTION, /* exec, or a connected descriptor: it cannot be dialled again */
    FACT_UNIX_ADDRESS,
    FACT_RAM_PRIVATE, /* a RAM block that is not shared, or has no descriptor */
    /* What the host lacks. */
    FACT_NO_DIRTY_RING,
    FACT_END,
};
_Static_assert(FACT_END <= 64, "capabilities and facts are the bits of one set");

/* A set holds capabilities and facts. */
#define IN_SET(x) (UINT64_C(1) << (x))

/* "multifd", "tls", …; bit < FACT_END. */
const char *fact_name(unsigned bit);

/* What a program decides on. QEMU reports one class with a free text; these classes are our own. */
enum gate_class {
    GATE_RANGE,     /* out of range, not a power of two, or of another type */
    GATE_UNKNOWN,   /* no such name or value; also a method that is not built */
    GATE_REQUIRES,  /* something else must be set first */
    GATE_CONFLICT,  /* two settings exclude each other */
    GATE_HOST,      /* the kernel, accelerator or memory cannot do it */
    GATE_BUILD,     /* known, but not in this build */
    GATE_BUSY,      /* not while a migration runs */
    GATE_STATE,     /* not in the present state */
    GATE_TRANSPORT, /* the address cannot carry what is set */
    GATE_ADDRESS,   /* malformed address, no main channel, or two of one type */
    GATE_BLOCKED,   /* a device or RAM block forbids migration */
    GATE_PEER,      /* the other end contradicts the settings */
    GATE_IO,        /* connection, TLS or file */
    GATE_CLASS_N,
};

const char *gate_class_name(enum gate_class class);

/* When a rule is checked. */
enum moment {
    AT_VALUE = 1 << 0,        /* while a name or value is read */
    AT_CAPABILITIES = 1 << 1, /* capabilities are set */
    AT_PARAMETERS = 1 << 2,   /* parameters are set */
    AT_MIGRATE = 1 << 3,
    AT_INCOMING = 1 << 4,
    AT_CONNECTING = 1 << 5, /* connections are made */
    AT_RAM_SET = 1 << 6,    /* a RAM block becomes migratable, or is no longer */
};
#define MOMENT_N 7

/* The name of one moment: AT_MIGRATE is "migrate". */
const char *moment_name(enum moment moment);

/*
 * A row applies where all of `when` holds and this very call switches all of `newly` on. It then
 * refuses if one of `needs` is missing or one of `clashes` holds, or if it has neither `needs` nor
 * `clashes`. A row without any of the four stands for a check that is made elsewhere: it only has
 * the class and the sentence of that check.
 */
struct rule {
    const char *id; /* several rows may share one; "R…" are our own rules */
    unsigned moments;
    uint64_t when, newly, needs, clashes;
    enum gate_class class;
    const char *why;           /* shown to the user */
    enum remedy remedy;        /* what follows `why`, in the words of the program */
    const char *since, *until; /* QEMU versions; NULL: from the start, to this day */
    bool lapsed;               /* not enforced here */
    const char *ours;          /* where we differ from QEMU; NULL: nowhere */
};

extern const struct rule rules[];
extern const size_t n_rules;

/* `have`: the capabilities and facts that hold; `newly`: those of them that did not hold before. */
bool rule_refuses(const struct rule *rule, uint64_t have, uint64_t newly);
/* The first row that refuses at any of the moments, or NULL. */
const struct rule *rules_ask(unsigned moments, uint64_t have, uint64_t newly);
/* The first row with this id, which must exist. */
const struct rule *rule_of(const char *id);

/* For a program to decide on; the text for a person is in the error. */
struct refusal {
    enum gate_class class;
    const char *rule; /* its id */
};

/*
 * Refuses by a rule, with ERR_USAGE and the text "SUBJECT: WHY (rule ID)". `subject` may be NULL.
 * Where `why` is NULL, the rule's own sentence and remedy are used. Returns -1.
 */
int rule_say(const struct rule *rule, const char *subject, const char *why, struct refusal *ret,
             struct error *err);
