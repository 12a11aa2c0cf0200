/*
 * base/error.h: what went wrong, as one object that every layer adds its own context to.
 *
 * Libraries fill the caller's error and return -1; only programs print. `err` is never NULL and
 * nothing here allocates. An error belongs to one thread at a time. Whatever goes into a text comes
 * out printable (base/printable.h): it may be a peer's, a file's or a user's.
 */
#pragma once

#include <stddef.h>

#include "base/macros.h"

enum err_kind {
    ERR_NONE,
    ERR_USAGE,     /* the user asked for something that cannot be */
    ERR_SYSTEM,    /* the kernel or a library refused; `sys` says why */
    ERR_PEER,      /* the other end, or a file, holds or sent what it must not */
    ERR_CANCELLED, /* somebody asked us to stop */
    ERR_REPORT,    /* what was to be done is done; what tells of it has failed */
};

/*
 * What the user may say otherwise, where something can be done about it. A library does not know
 * how its program is told: no text names an option. Each program has a table from these to its own
 * words: tools/remedy.c to options, control/remedy.c to what a monitor sets.
 */
enum remedy {
    REMEDY_NONE,
    /* limits of waiting */
    REMEDY_ANSWER_TIMEOUT,
    REMEDY_CONNECT_TIMEOUT,
    REMEDY_STALL_TIMEOUT,
    /* what both ends must agree on */
    REMEDY_MACHINE_TYPE,
    REMEDY_NO_MULTIFD,    /* the number of channels was said to be 0 */
    REMEDY_OR_NO_MULTIFD, /* besides what the text says */
    REMEDY_OR_NO_COMPRESSION,
    REMEDY_COPY_OR_TCP,   /* no zero copy, or another transport */
    REMEDY_COPY_OR_URING, /* no zero copy, or another engine */
    /* TLS */
    REMEDY_TLS_CREDENTIALS,  /* certificates or keys */
    REMEDY_TLS_ONE_KIND,     /* certificates or keys, not both */
    REMEDY_TLS_BOTH_OR_NONE, /* at the peer too, or not here */
    REMEDY_TLS_PSK,
    REMEDY_TLS_USERNAME,
    REMEDY_TLS_HOSTNAME,
    REMEDY_TLS_HOSTNAME_OR_IP, /* or the address in the certificate */
    REMEDY_TLS_HOSTNAME_THERE, /* at the peer */
    REMEDY_TLS_AUTHZ,
    REMEDY_TLS_AUTHZ_THERE, /* at the peer */
    /* the guest */
    REMEDY_SAME_ACCELERATOR,
    REMEDY_SAME_MEMORY,
    REMEDY_SAME_BACKEND,
    REMEDY_SHARED_BACKEND,
    REMEDY_WAITING_VM, /* load it into a VM */
    REMEDY_CPR,        /* the address where memory is handed over */
    /* the rest */
    REMEDY_FORCE, /* replace what is there */
    REMEDY_PROGRESS,
    REMEDY_N,
};

struct error {
    enum err_kind kind;
    int sys; /* errno, or 0 */
    enum remedy remedy;
    size_t remedy_at; /* the place in the text where its words belong */
    char text[512];   /* what a person reads: one line, cut if longer */
};

/* All of these return -1, so that a failing path is one statement. */
int err_set(struct error *err, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);
/* Takes errno as it is at the call and puts its text behind the message. */
int err_sys(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* The same for a thread that could not be started: its EAGAIN is a limit's. */
int err_thread(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Puts context in front of an error that is already set: "channel 3: …". */
int err_in(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Puts more text behind an error that is already set; no separator is added. */
int err_add(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* err_set() and err_remedy() as one statement. */
int err_set_with(struct error *err, enum err_kind kind, enum remedy remedy, const char *fmt, ...)
    PRINTF(4, 5);
/* Gives an error that is already set its remedy; its words belong after the text as it is now. */
int err_remedy(struct error *err, enum remedy remedy);

#define ERR_LINE_LEN (sizeof(((struct error *)0)->text) + 96)
/* The whole text, with the remedy's words at their place; "" where a program has none. */
void err_line(const struct error *err, const char *words, char ret[static ERR_LINE_LEN]);

#define ERR_REASON_LEN 256
/*
 * An errno in words. Takes it negated, too. A number that this system has no name for stays a
 * number, and 0 is no "Success" where something failed.
 */
void err_name(int sys, char ret[static ERR_REASON_LEN]);
/* The same of this process: a limit's with its name, and how it is raised. */
void err_reason(int sys, char ret[static ERR_REASON_LEN]);
