#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KI UINT64_C(1024)

struct unit {
    const char *name;
    double factor;
};

static const struct unit sizes[] = {
    {"", 1},
    {"B", 1},
    {"K", KI},
    {"KiB", KI},
    {"M", KI *KI},
    {"MiB", KI *KI},
    {"G", KI *KI *KI},
    {"GiB", KI *KI *KI},
    {"T", (double)KI *KI *KI *KI},
    {"TiB", (double)KI *KI *KI *KI},
    {NULL, 0},
};

static const struct unit bit_rates[] = {
    {"bit", 1.0 / 8},  {"Kbit", 1e3 / 8},  {"Mbit", 1e6 / 8},
    {"Gbit", 1e9 / 8}, {"Tbit", 1e12 / 8}, {NULL, 0},
};

static const struct unit durations[] = {
    {"ms", 1},
    {"s", 1000},
    {"min", 60000},
    {NULL, 0},
};

static const struct unit *find_unit(const struct unit *units, const char *name)
{
    for (; units->name; units++) {
        if (strcasecmp(units->name, name) == 0)
            return units;
    }
    return NULL;
}

/* A number without a sign; *ret_rest is where it ends. */
static int leading_number(const char *text, double *ret, const char **ret_rest)
{
    char *rest;

    if (!isdigit((unsigned char)text[0]))
        return -1;
    *ret = strtod(text, &rest);
    *ret_rest = rest;
    return 0;
}

static int scale(double number, const struct unit *unit, uint64_t *ret)
{
    double value = number * unit->factor;

    if (!(value < 1.8e19))
        return -1;
    *ret = (uint64_t)(value + 0.5);
    return 0;
}

int parse_size(const char *text, uint64_t *ret, struct error *err)
{
    const struct unit *unit;
    const char *rest;
    double number;

    if (leading_number(text, &number, &rest) < 0 || !(unit = find_unit(sizes, rest)) ||
        scale(number, unit, ret) < 0)
        return err_set(err, ERR_USAGE, "'%.40s': expected a size like 4096, 512M or 2G", text);
    return 0;
}

int parse_rate(const char *text, uint64_t *ret, struct error *err)
{
    const struct unit *unit;
    char name[16] = "";
    const char *rest;
    double number;

    if (leading_number(text, &number, &rest) == 0 && strlen(rest) < sizeof(name)) {
        strcpy(name, rest);
        size_t len = strlen(name);
        if (len >= 2 && strcmp(name + len - 2, "/s") == 0)
            name[len - 2] = 0;
        unit = find_unit(bit_rates, name);
        if (!unit)
            unit = find_unit(sizes, name);
        if (unit && scale(number, unit, ret) == 0)
            return 0;
    }
    return err_set(err, ERR_USAGE, "'%.40s': expected a rate like 200M (bytes/s) or 10Gbit", text);
}

int parse_duration(const char *text, uint64_t bare_ms, uint64_t *ret, struct error *err)
{
    const struct unit bare = {"", (double)bare_ms}, *unit = &bare;
    const char *rest;
    double number;

    if (leading_number(text, &number, &rest) < 0 ||
        (rest[0] && !(unit = find_unit(durations, rest))) || scale(number, unit, ret) < 0)
        return err_set(err, ERR_USAGE, "'%.40s': expected a time like 300ms, 1.5s or 2min", text);
    return 0;
}

int parse_number(const char *text, uint64_t max, uint64_t *ret, struct error *err)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno || value > max)
        return err_set(err, ERR_USAGE, "'%.40s': expected a number from 0 to %llu", text,
                       (unsigned long long)max);
    *ret = value;
    return 0;
}

/* --- lists ----------------------------------------------------------------------------------- */

/* Digits only: strtoul() would accept signs and spaces, too. Moves *at past the digits. */
static int parse_digits(const char **at, unsigned long max, unsigned long *ret)
{
    char *end;

    if (!isdigit((unsigned char)**at))
        return -1;
    *ret = strtoul(*at, &end, 10);
    *at = end;
    return *ret <= max ? 0 : -1;
}

/* "A" or "A-B". */
static int parse_range(const char **at, unsigned long max, unsigned long *ret_first,
                       unsigned long *ret_last)
{
    if (parse_digits(at, max, ret_first) < 0)
        return -1;
    *ret_last = *ret_first;
    if (**at != '-')
        return 0;
    ++*at;
    return parse_digits(at, max, ret_last) < 0 || *ret_last < *ret_first ? -1 : 0;
}

bool parse_list(const char *list, unsigned long max, bool (*take)(void *arg, unsigned long number),
                void *arg)
{
    for (;;) {
        unsigned long number, last;

        if (parse_range(&list, max, &number, &last) < 0)
            return false;
        do {
            if (!take(arg, number))
                return false;
        } while (number++ != last);
        if (*list != ',')
            return *list == 0;
        list++;
    }
}
