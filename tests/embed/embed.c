/*
 * A VMM with ramjet inside: the example of docs/embed.md, word for word (check.docs compares them),
 * and a guest's memory that leaves one machine and arrives in another.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/target.h"
#include "migration/destination.h"
#include "migration/source.h"
#include "stream/description.h"

/* --- docs/embed.md --------------------------------------------------------------------------- */

static int tiny_load(struct machine *m, const struct device_state *devices, struct error *err)
{
    return 0; /* a destination calls it: there are no devices to load */
}

static void tiny_free(struct machine *m)
{
    ram_map_done(&m->ram);
    device_state_done(&m->devices);
}

static const struct machine_ops tiny_ops = {.load = tiny_load, .free = tiny_free};

static int tiny_init(struct machine *m, struct error *err)
{
    *m = (struct machine){.ops = &tiny_ops};
    strcpy(m->config.machine, "ramjet-tiny");
    if (ram_map_add(&m->ram, "ram", 64 << 20, err) < 0 ||
        ram_block_map_anonymous(&m->ram.blocks[0], err) < 0)
        return -1;
    return description_append(&m->devices.tail, NULL, err); /* stream/description.h */
}

static int leave(struct machine *m, const char *uri, struct error *err)
{
    struct source_config config;
    struct source *source;

    source_config_init(&config);
    config.n_channels = 4;
    config.return_path = true;
    config.live.max_bytes_per_s = 0; /* no limit */
    if (address_parse(uri, &config.connect.address, err) < 0 ||
        source_new(&config, m, &source, err) < 0)
        return -1;
    int rc = source_run(source, err);
    source_free(source);
    return rc;
}

static int arrive(struct machine *m, const char *uri, struct error *err)
{
    const struct ram_set_rules rules = {0};
    struct destination_config config;
    struct destination *destination;
    struct target *target;
    int rc = -1;

    destination_config_init(&config);
    if (address_parse(uri, &config.connect.address, err) < 0 ||
        target_machine_new(m, &rules, &target, err) < 0)
        return -1;
    if (destination_new(&config, target, &destination, err) == 0) {
        rc = destination_run(destination, err);
        destination_free(destination);
    }
    target_free(target);
    return rc;
}

/* --- a move ---------------------------------------------------------------------------------- */

#define PATIENCE_MS 300000

static char uri[100];

struct arrival {
    struct machine machine;
    int rc;
    struct error err;
};

static void *arrive_main(void *arg)
{
    struct arrival *a = arg;

    a->rc = arrive(&a->machine, uri, &a->err);
    return NULL;
}

/* Nothing says when the other end listens: until then each attempt fails. */
static int leave_soon(struct machine *m, struct error *err)
{
    uint64_t deadline = deadline_in_ms(PATIENCE_MS);

    while (leave(m, uri, err) < 0) {
        if (clock_ns() >= deadline)
            return -1;
        sched_yield();
    }
    return 0;
}

static int complain(const char *what, const struct error *err)
{
    printf("%s: %s\n", what, err->text);
    return 1;
}

/* True: all of it is equal. */
static bool move(struct machine *from, struct arrival *to)
{
    pthread_t thread;
    struct error err;

    memset(from->ram.blocks[0].host, 'x', 1 << 20);
    if (pthread_create(&thread, NULL, arrive_main, to) != 0)
        return false;
    int rc = leave_soon(from, &err);
    pthread_join(thread, NULL);
    if (rc < 0 || to->rc < 0)
        return complain("move", rc < 0 ? &err : &to->err) == 0;
    return memcmp(from->ram.blocks[0].host, to->machine.ram.blocks[0].host,
                  from->ram.blocks[0].used_bytes) == 0;
}

int main(void)
{
    char dir[] = "/tmp/embed-XXXXXX";
    struct machine from;
    struct arrival to = {0};
    struct error err;

    if (!mkdtemp(dir))
        return 1;
    snprintf(uri, sizeof(uri), "unix:%s/s", dir);
    if (tiny_init(&from, &err) < 0 || tiny_init(&to.machine, &err) < 0)
        return complain("make a machine", &err);
    bool equal = move(&from, &to);
    printf("%s\n", equal ? "the memory is there" : "the memory is not there");
    tiny_free(&from);
    tiny_free(&to.machine);
    remove(dir);
    return equal ? 0 : 1;
}
