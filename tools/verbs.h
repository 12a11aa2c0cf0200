/*
 * tools/verbs.h: one function per verb. argv is what stands behind it.
 */
#pragma once

#include "base/error.h"

/* 0, or -1 with what the user is told: ERR_USAGE exits with 2, ERR_REPORT with 4, anything else
 * with 1. */
int verb_recv(int argc, char **argv, struct error *err);
int verb_send(int argc, char **argv, struct error *err);
int verb_info(int argc, char **argv, struct error *err);
int verb_probe(int argc, char **argv, struct error *err);
int verb_qmp(int argc, char **argv, struct error *err);
int verb_vm(int argc, char **argv, struct error *err);
int verb_migrate(int argc, char **argv, struct error *err);
