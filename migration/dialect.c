#include "migration/dialect.h"

#include <stdio.h>
#include <string.h>

#include "base/macros.h"

#define VERSION(major, minor) ((major)*100U + (minor))

/* ramjet's own machine types. Both ends are the same program, so everything is used but
 * SWITCHOVER_START, which tells a ramjet nothing. */
static const struct dialect ours = {
    .flush_word = true,
    .zeros_in_packets = true,
    .ack_awaited = true,
    .ack_unasked = true,
    .clean_tls_end = true,
};

/*
 * A machine type without a version ("microvm"), or with one in another form. It is taken to
 * understand all that pages need. Nothing is sent or asked for that would make an old QEMU fail.
 */
static const struct dialect undated = {
    .flush_word = true,
    .zeros_in_packets = true,
    .ack_awaited = true,
};

/* QEMU's: the newest row that is not newer than the machine type applies. */
static const struct {
    unsigned since;
    struct dialect dialect;
} dated[] = {
    /* From here on a source waits only for devices that ask for it, and we have none of them. */
    {VERSION(11, 1),
     {.flush_word = true,
      .zeros_in_packets = true,
      .switchover_start = true,
      .clean_tls_end = true}},
    {VERSION(10, 0),
     {.flush_word = true,
      .zeros_in_packets = true,
      .switchover_start = true,
      .ack_awaited = true,
      .ack_unasked = true,
      .clean_tls_end = true}},
    {VERSION(9, 0),
     {.flush_word = true, .zeros_in_packets = true, .ack_awaited = true, .ack_unasked = true}},
    {VERSION(8, 1), {.flush_word = true, .ack_awaited = true, .ack_unasked = true}},
    /* A source before 8.1 does not know the ack: it is sent only where the user has asked for
     * it. */
    {VERSION(0, 1), {.ack_awaited = true}},
};

/* For "pc-q35-10.0" VERSION(10, 0); 0: the name has no version that we can read. */
static unsigned version_of(const char *machine)
{
    const char *dash = strrchr(machine, '-');
    unsigned major, minor;
    char rest;

    /* NOLINTNEXTLINE(cert-err34-c): two digits fit */
    if (!dash || sscanf(dash + 1, "%2u.%2u%c", &major, &minor, &rest) != 2)
        return 0;
    return VERSION(major, minor);
}

const struct dialect *dialect_of(const char *machine)
{
    unsigned version = version_of(machine);

    if (strncmp(machine, "ramjet-", 7) == 0) /* its versions are our own */
        return &ours;
    for (size_t i = 0; i < ARRAY_LEN(dated); i++) {
        if (version >= dated[i].since)
            return &dated[i].dialect;
    }
    return &undated;
}
