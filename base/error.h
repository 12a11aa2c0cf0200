/*
 * base/error.h: what went wrong, as one object. Every layer adds its own context to it.
 *
 * Libraries fill the caller's error and return -1; only programs print. `err` is never NULL and
 * nothing here allocates. An error belongs to one thread at a time. Every text is made printable
 * (base/printable.h), because parts of it may come from a peer, a file or a user.
 */
#pragma once

#include <stddef.h>

#include "base/macros.h"

enum err_kind {
    ERR_NONE,
    ERR_USAGE,     /* the user asked for something impossible */
    ERR_SYSTEM,    /* the kernel or a library refused; `sys` says why */
    ERR_PEER,      /* the peer sent, or a file contains, something invalid */
    ERR_CANCELLED, /* somebody asked us to stop */
    ERR_REPORT,    /* the work is done, but printing its result failed */
};

/*
 * What the user can change to avoid the error. A library does not know how users control its
 * program, so no error text names an option. Each program has a table that turns a remedy into its
 * own words: tools/remedy.c names options, control/qmp_error.c names what a monitor client can set.
 */
enum remedy {
    REMEDY_NONE,
    /* timeouts */
    REMEDY_ANSWER_TIMEOUT,
    REMEDY_CONNECT_TIMEOUT,
    REMEDY_STALL_TIMEOUT,
    /* what both ends must agree on */
    REMEDY_MACHINE_TYPE,
    REMEDY_NO_MULTIFD,    /* the setting that has switched multifd off */
    REMEDY_OR_NO_MULTIFD, /* or switch multifd off, instead of what the text suggests */
    REMEDY_OR_NO_COMPRESSION,
    REMEDY_COPY_OR_TCP,   /* no zero copy, or another transport */
    REMEDY_COPY_OR_URING, /* no zero copy, or another engine */
    /* TLS */
    REMEDY_TLS_CREDENTIALS,  /* certificates or keys */
    REMEDY_TLS_ONE_KIND,     /* certificates or keys, not both */
    REMEDY_TLS_BOTH_OR_NONE, /* TLS at the peer too, or not here */
    REMEDY_TLS_PSK,
    REMEDY_TLS_USERNAME,
    REMEDY_TLS_HOSTNAME,
    REMEDY_TLS_HOSTNAME_OR_IP, /* the hostname, or the IP address in the certificate */
    REMEDY_TLS_HOSTNAME_THERE, /* at the peer */
    REMEDY_TLS_AUTHZ,
    REMEDY_TLS_AUTHZ_THERE, /* at the peer */
    /* the guest */
    REMEDY_SAME_ACCELERATOR,
    REMEDY_SAME_MEMORY,
    REMEDY_SAME_BACKEND,
    REMEDY_SHARED_BACKEND,
    REMEDY_CPR, /* the address at which cpr-transfer hands memory over */
    /* two VMs that are driven by their monitors */
    REMEDY_LISTEN, /* a host at which the destination listens */
    REMEDY_NO_LISTEN,
    REMEDY_URI,        /* the address at which the destination listens */
    REMEDY_SET_BOTH,   /* a setting, which both ends are then told */
    REMEDY_TIME_LIMIT, /* after which the migration is cancelled */
    REMEDY_ROUND_LIMIT,
    /* the rest */
    REMEDY_CONVERT, /* make a mapped-ram snapshot of it */
    REMEDY_FORCE,   /* replace what is there */
    REMEDY_GUEST,   /* a program that runs a guest */
    REMEDY_SETTING_NAMES,
    REMEDY_PROGRESS,
    REMEDY_CHECKSUMS, /* go on without them */
    REMEDY_N,
};

struct error {
    enum err_kind kind;
    int sys; /* errno, or 0 */
    enum remedy remedy;
    size_t remedy_at; /* the offset in the text where the remedy's words belong */
    char text[512];   /* what a person reads: one line, cut if longer */
};

/* All of these return -1, so that a failing path is one statement. */
int err_set(struct error *err, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);
/* Appends the text of errno, as errno is at the call. */
int err_sys(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* The same for a thread that could not be started: there EAGAIN means that a limit is reached. */
int err_thread(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Puts context in front of an error that is already set: "channel 3: …". */
int err_in(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Appends text to an error that is already set; no separator is added. */
int err_add(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* err_set() and err_remedy() as one statement. */
int err_set_with(struct error *err, enum err_kind kind, enum remedy remedy, const char *fmt, ...)
    PRINTF(4, 5);
/* Sets the remedy of an error that is already set. Its words belong after the present text. */
int err_remedy(struct error *err, enum remedy remedy);

#define ERR_LINE_LEN (sizeof(((struct error *)0)->text) + 96)
/* The whole text, with the remedy's `words` at their place; "" if a program has no words for it. */
void err_line(const struct error *err, const char *words, char ret[static ERR_LINE_LEN]);

#define ERR_REASON_LEN 256
/*
 * The text of an errno; `sys` may be negated. If the system has no text for the number, the result
 * names the number. 0 yields "no reason given", not "Success", because something failed.
 */
void err_name(int sys, char ret[static ERR_REASON_LEN]);
/* The same for an error in this process: if a limit is the cause, adds its name and how to raise
 * it. */
void err_reason(int sys, char ret[static ERR_REASON_LEN]);
