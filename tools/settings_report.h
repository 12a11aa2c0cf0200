/*
 * tools/settings_report.h: the gate's tables, for people and for programs.
 */
#pragma once

#include <stdio.h>

#include <jansson.h>

/* Every capability and parameter. */
void settings_print(FILE *to);
/* All whose names have this part, without rules. Returns how many. */
size_t settings_print_like(const char *part, FILE *to);
/* One of them, with the rules about it. -1: no setting has that name. */
int settings_print_one(const char *name, FILE *to);
/* Every rule, a line each. */
void rules_print(FILE *to);
/*
 * All of it: {"capabilities": […], "parameters": […], "defaults": […], "rules": […]}. Numbers of 64
 * bits are strings, since not every JSON reader can hold them.
 */
json_t *rules_json(void);
