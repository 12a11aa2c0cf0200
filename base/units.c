#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/macros.h"

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

/* --- for people ------------------------------------------------------------------------------ */

static const char *const decimal_units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
static const char *const binary_units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

/* Three digits that count; a limit is where the text with one decimal more would be rounded up. */
static void three_digits(double value, const char *unit, char ret[static UNIT_TEXT_LEN])
{
    snprintf(ret, UNIT_TEXT_LEN, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit);
}

static void decimal_text(uint64_t number, const char *suffix, char ret[static UNIT_TEXT_LEN])
{
    double value = (double)number;
    size_t i = 0;

    while (value >= 999.5) {
        value /= 1000;
        i++;
    }
    if (i == 0)
        snprintf(ret, UNIT_TEXT_LEN, "%" PRIu64 " %s", number, decimal_units[0]);
    else
        three_digits(value, decimal_units[i], ret);
    strcat(ret, suffix);
}

const char *size_text(uint64_t bytes, char ret[static UNIT_TEXT_LEN])
{
    decimal_text(bytes, "", ret);
    return ret;
}

const char *rate_text(uint64_t bytes_per_s, char ret[static UNIT_TEXT_LEN])
{
    decimal_text(bytes_per_s, "/s", ret);
    return ret;
}

const char *rate_over_text(uint64_t bytes, uint64_t ms, char ret[static UNIT_TEXT_LEN])
{
    double rate = (double)bytes * 1000 / (double)MAX(ms, UINT64_C(1));

    return rate_text(rate < 1.8e19 ? (uint64_t)(rate + 0.5) : UINT64_MAX, ret);
}

/* Most memories are whole numbers of some unit, and read best without decimals. */
const char *memory_text(uint64_t bytes, char ret[static UNIT_TEXT_LEN])
{
    double value = (double)bytes;
    uint64_t unit = 1;
    size_t i = 0;

    while (value >= 1024) {
        value /= 1024;
        unit *= 1024;
        i++;
    }
    if (bytes % unit == 0)
        snprintf(ret, UNIT_TEXT_LEN, "%" PRIu64 " %s", bytes / unit, binary_units[i]);
    else
        three_digits(value, binary_units[i], ret);
    return ret;
}

const char *time_text(uint64_t ms, char ret[static UNIT_TEXT_LEN])
{
    uint64_t s = ms / 1000 + (ms % 1000 >= 500);

    if (ms < 1000)
        snprintf(ret, UNIT_TEXT_LEN, "%" PRIu64 " ms", ms);
    else if (ms < 59950)
        three_digits((double)ms / 1000, "s", ret);
    else if (s % 60 == 0)
        snprintf(ret, UNIT_TEXT_LEN, "%" PRIu64 " min", s / 60);
    else
        snprintf(ret, UNIT_TEXT_LEN, "%" PRIu64 " min %u s", s / 60, (unsigned)(s % 60));
    return ret;
}

const char *short_time_text(uint64_t us, char ret[static UNIT_TEXT_LEN])
{
    if (us == 0 || us >= 999500)
        return time_text(us / 1000 + (us % 1000 >= 500), ret);
    if (us < 1000)
        snprintf(ret, UNIT_TEXT_LEN, "0.%03u ms", (unsigned)us);
    else
        three_digits((double)us / 1000, "ms", ret);
    return ret;
}

const char *count_text(uint64_t n, const char *noun, char ret[static COUNT_TEXT_LEN])
{
    snprintf(ret, COUNT_TEXT_LEN, "%" PRIu64 " %.40s%s", n, noun, n == 1 ? "" : "s");
    return ret;
}
