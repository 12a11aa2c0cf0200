/*
 * tools/verbs.h: one function per verb. argv holds the words after the verb.
 */
#pragma once

#include "base/error.h"
#include "tools/options.h"

/* 0, or -1 with the error for the user. Exit code: 2 for ERR_USAGE, 4 for ERR_REPORT, else 1. */
int verb_recv(int argc, char **argv, struct error *err);
int verb_convert(int argc, char **argv, struct error *err);
int verb_send(int argc, char **argv, struct error *err);
int verb_info(int argc, char **argv, struct error *err);
int verb_probe(int argc, char **argv, struct error *err);
int verb_qmp(int argc, char **argv, struct error *err);
int verb_vm(int argc, char **argv, struct error *err);
int verb_save(int argc, char **argv, struct error *err);
int verb_restore(int argc, char **argv, struct error *err);
int verb_verify(int argc, char **argv, struct error *err);
int verb_migrate(int argc, char **argv, struct error *err);
int verb_completion(int argc, char **argv, struct error *err);

/* Calls each() for every verb, in the order of the help. */
void verbs_each(void (*each)(void *arg, const char *name, const char *summary, enum verb_bit bit),
                void *arg);
