/* Sockets with a path are accessible to their user only, from the moment they exist. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "transport/transport.h"

static const struct cancel never = {.fd = -1};
static const struct transport_config config = {.cancel = &never};

static const char *watched;
static mode_t created; /* its mode when bind(2) returned */

/* Replaces the library's bind(): no program could look earlier. */
int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct stat st;
    int rc = (int)syscall(SYS_bind, fd, sa, len);

    if (rc == 0 && watched && lstat(watched, &st) == 0)
        created = st.st_mode;
    return rc;
}

static const mode_t umasks[] = {0, 022, 077, 0177, 0277, 0777};

static void private_whatever_the_umask(void **state)
{
    char path[PATH_MAX], text[PATH_MAX + 8];
    struct address at;
    struct error err;

    (void)state;
    watched = temp_path(path, "private");
    snprintf(text, sizeof(text), "unix:%s", path);
    OK(address_parse(text, &at, &err), err, text);
    for (size_t i = 0; i < ARRAY_LEN(umasks); i++) {
        struct listener l;
        struct stat st;
        int fd;

        created = 0;
        mode_t before = umask(umasks[i]);
        int rc = transport_listen(&at, &config, &l, &err);
        umask(before);
        OK(rc, err, text);
        CHECK((created & 0777 & ~0600) == 0, "umask %03o: made as %03o", umasks[i], created & 0777);
        CHECK(lstat(path, &st) == 0 && S_ISSOCK(st.st_mode), "umask %03o: no socket", umasks[i]);
        CHECK((st.st_mode & 07777) == 0600, "umask %03o: it is %04o", umasks[i],
              st.st_mode & 07777);
        OK(transport_dial(&at, &config, &fd, &err), err, "dial");
        close(fd);
        listener_done(&l);
        CHECK(lstat(path, &st) < 0, "umask %03o: left behind", umasks[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(private_whatever_the_umask)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
