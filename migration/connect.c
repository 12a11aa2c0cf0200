#include "migration/connect.h"

static struct transport_config transport_of(const struct connect_config *config,
                                            struct channel_group *group)
{
    return (struct transport_config){
        .connect_timeout_ms = config->connect_timeout_ms,
        .stall_timeout_ms = config->stall_timeout_ms,
        .cancel = &group->cancel,
    };
}

static int channel_of(const struct connect_config *config, int fd, struct channel_group *group,
                      struct channel **ret, struct error *err)
{
    struct engine_config engine = {.stall_timeout_ms = config->stall_timeout_ms};
    struct channel *c;

    if (config->engine->open(fd, &engine, &c, err) < 0)
        return -1;
    if (channel_group_add(group, c, err) < 0) {
        channel_free(c);
        return -1;
    }
    *ret = c;
    return 0;
}

int connect_dial(const struct connect_config *config, struct channel_group *group,
                 struct channel **ret, struct error *err)
{
    struct transport_config transport = transport_of(config, group);
    int fd;

    if (transport_dial(&config->address, &transport, &fd, err) < 0)
        return -1;
    return channel_of(config, fd, group, ret, err);
}

int connect_accept(const struct connect_config *config, struct listener *listener,
                   struct channel_group *group, struct channel **ret, struct error *err)
{
    struct transport_config transport = transport_of(config, group);
    int fd;

    *ret = NULL;
    if (listener_accept(listener, &transport, &fd, err) < 0)
        return -1;
    return fd < 0 ? 0 : channel_of(config, fd, group, ret, err);
}

void connect_close(struct channel_group *group, struct channel *c)
{
    if (!c)
        return;
    channel_group_remove(group, c);
    channel_free(c);
}
