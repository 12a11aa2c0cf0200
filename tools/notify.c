#include "tools/notify.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"

/* A path, or '@' and a name that is not in the file system. */
static bool is_address(const char *socket)
{
    return (socket[0] == '/' || socket[0] == '@') && socket[1] &&
           strlen(socket) < sizeof(((struct sockaddr_un *)0)->sun_path);
}

static void send_to(const char *socket_name, const char *text)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(socket_name);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(sa.sun_path, socket_name, len);
    if (sa.sun_path[0] == '@')
        sa.sun_path[0] = 0;
    if (fd >= 0)
        (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                      (const struct sockaddr *)&sa,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

void notify(const char *fmt, ...)
{
    const char *socket_name = getenv("NOTIFY_SOCKET");
    char text[512];
    va_list args;

    if (!socket_name || !is_address(socket_name))
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    send_to(socket_name, text);
}
