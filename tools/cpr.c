#include "tools/cpr.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/words.h"
#include "migration/cpr_channel.h"
#include "tools/interrupt.h"
#include "tools/line.h"
#include "tools/linger.h"

/* They prove that the list has not changed since it was written, and tell it from other memfds. */
#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

/* --- from what ran here before --------------------------------------------------------------- */

/* Accepts a number only as we write it, and no standard descriptor. */
static int parse_descriptor(const char *text, int *ret)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (text[0] < '1' || text[0] > '9' || *end || n <= STDERR_FILENO || n > INT32_MAX)
        return -1;
    *ret = (int)n;
    return 0;
}

/* Reads the list from our memfd. */
static int read_list(int fd, uint8_t bytes[static CPR_STATE_MAX], size_t *ret_len,
                     struct error *err)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;

    if (fcntl(fd, F_GETFD) < 0)
        return err_sys(err, "descriptor %d", fd);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return err_set(err, ERR_PEER, "descriptor %d: not a memfd with a list of descriptors", fd);
    if (fstat(fd, &st) < 0)
        return err_sys(err, "descriptor %d", fd);
    if (st.st_size > CPR_STATE_MAX)
        return err_set(err, ERR_PEER, "a list of %llu bytes, expected at most %d",
                       (unsigned long long)st.st_size, CPR_STATE_MAX);
    ssize_t n = pread(fd, bytes, (size_t)st.st_size, 0);
    if (n < 0)
        return err_sys(err, "descriptor %d: read", fd);
    *ret_len = (size_t)n;
    return 0;
}

static bool is_open_before(const struct cpr_state *s, size_t i)
{
    for (size_t other = 0; other < i; other++) {
        if (s->entries[other].fd == s->entries[i].fd)
            return true;
    }
    return false;
}

/* Checks that each descriptor is open and is used once. They close at exec from now on. */
static int adopt(const struct cpr_state *s, int list, struct error *err)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct cpr_entry *e = &s->entries[i];

        if (e->fd <= STDERR_FILENO || e->fd == list || is_open_before(s, i))
            return err_set(err, ERR_PEER, "'%s': descriptor %d, which is something else", e->name,
                           e->fd);
        if (fcntl(e->fd, F_SETFD, FD_CLOEXEC) < 0)
            return err_sys(err, "'%s': descriptor %d", e->name, e->fd);
    }
    return 0;
}

static int read_state(int fd, struct cpr_state *ret, struct error *err)
{
    uint8_t bytes[CPR_STATE_MAX];
    size_t len = 0;

    if (read_list(fd, bytes, &len, err) < 0)
        return -1;
    int complete = cpr_state_decode(bytes, len, CPR_NUMBERED, ret, err);
    if (complete == 0)
        return err_set(err, ERR_PEER, "the list is cut off after %zu bytes", len);
    return complete < 0 ? -1 : adopt(ret, fd, err);
}

int cpr_inherit(struct cpr *ret, struct error *err)
{
    const char *text = getenv(CPR_ENVIRONMENT);
    int list;

    if (!text)
        return 0;
    if (parse_descriptor(text, &list) < 0)
        return err_set(err, ERR_PEER, CPR_ENVIRONMENT "='%.40s': expected a descriptor's number",
                       text);
    unsetenv(CPR_ENVIRONMENT);
    linger_reap();
    int rc = read_state(list, &ret->state, err);
    if (rc == 0)
        close(list);
    else
        ret->state.n = 0; /* do not close them: they may be something else */
    ret->mode = rc == 0 ? MODE_CPR_EXEC : MODE_NORMAL;
    return rc < 0 ? err_in(err, CPR_ENVIRONMENT) : 0;
}

/* --- from another process -------------------------------------------------------------------- */

static void on_signal(void *arg)
{
    cancel_request(arg);
}

static int receive(struct listener *l, uint64_t stall_timeout_ms, struct cpr *ret,
                   struct error *err)
{
    struct cancel cancel;
    const struct transport_config config = {.stall_timeout_ms = stall_timeout_ms,
                                            .cancel = &cancel};

    if (cancel_init(&cancel, err) < 0)
        return -1;
    int rc = interrupt_start(on_signal, &cancel, err);
    if (rc == 0) {
        rc = cpr_channel_receive(l, &config, &ret->state, &ret->source, err);
        interrupt_stop();
    }
    cancel_done(&cancel);
    return rc;
}

int cpr_await(const char *at, uint64_t stall_timeout_ms, struct cpr *ret, struct error *err)
{
    static const struct cancel never = {.fd = -1};
    const struct transport_config config = {.cancel = &never}; /* a path needs no lookup */
    struct listener listener;
    struct address address;

    if (address_parse_of(at, ADDRESS_SET(ADDRESS_UNIX), &address, err) < 0)
        return err_in(err, "--cpr: descriptors travel by unix:PATH only");
    if (transport_listen(&address, &config, &listener, err) < 0)
        return err_in(err, "--cpr");
    line_print(stdout, "cpr %s", listener.text);
    int rc = receive(&listener, stall_timeout_ms, ret, err);
    listener_done(&listener);
    if (rc < 0) {
        ret->state.n = 0;
        return err_in(err, "--cpr");
    }
    ret->mode = MODE_CPR_TRANSFER;
    return 0;
}

void cpr_listening(struct cpr *c)
{
    fd_close(&c->source);
}

/* --- both ------------------------------------------------------------------------------------ */

int cpr_all_taken(const struct cpr *c, struct error *err)
{
    const char *left = cpr_state_left(&c->state);

    if (left)
        return err_set(err, ERR_PEER,
                       "memory '%s' was handed over, and there is no block of that name here",
                       left);
    return 0;
}

void cpr_done(struct cpr *c)
{
    cpr_state_close(&c->state);
    fd_close(&c->source);
}

/* --- to the next program --------------------------------------------------------------------- */

static int list_memory(const struct ram_map *ram, struct cpr_state *ret, struct error *err)
{
    ret->n = 0;
    for (size_t i = 0; i < ram->n; i++) {
        const struct ram_block *b = &ram->blocks[i];

        if (b->migratable && b->memory_fd >= 0 &&
            cpr_state_add(ret, b->name, b->memory_fd, err) < 0)
            return -1;
    }
    return 0;
}

static int write_list(int fd, const struct cpr_state *s, struct error *err)
{
    struct buf bytes = {0};
    int rc = cpr_state_encode_numbered(s, &bytes, err);

    if (rc == 0 && fd_pwrite_all(fd, bytes.data, bytes.len, 0) < 0)
        rc = err_sys(err, "write the list of descriptors");
    if (rc == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        rc = err_sys(err, "seal the list of descriptors");
    buf_done(&bytes);
    return rc;
}

/* For all that stays open: the list, and the descriptors on it. */
static int set_close_on_exec(const struct cpr_state *s, int list, bool on, struct error *err)
{
    int rc = fcntl(list, F_SETFD, on ? FD_CLOEXEC : 0);

    for (size_t i = 0; i < s->n; i++)
        rc |= fcntl(s->entries[i].fd, F_SETFD, on ? FD_CLOEXEC : 0);
    return rc < 0 ? err_sys(err, "keep descriptors open") : 0;
}

/* A copy of this program's environment with `more`, which is borrowed. The caller frees it. */
static char **environment_with(char *more)
{
    size_t n = 0, len = strlen(CPR_ENVIRONMENT "=");

    while (environ[n])
        n++;
    char **all = calloc(n + 2, sizeof(*all)), **at = all;
    for (size_t i = 0; all && i < n; i++) {
        if (strncmp(environ[i], CPR_ENVIRONMENT "=", len) != 0)
            *at++ = environ[i];
    }
    if (all)
        *at = more;
    return all;
}

/* Returns on failure, with errno. Not execvpe(): it gives a file that is no program to a shell. */
static void exec_in_folder(const char *folder, size_t len, char **words, char **environment)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%.*s%s%s", (int)len, folder, len ? "/" : "", words[0]) >=
        (int)sizeof(path))
        errno = ENAMETOOLONG;
    else
        execve(path, words, environment);
}

/* The same; a name without '/' is searched for in PATH. If the search fails, an error other than
 * the program's absence, such as EACCES, is the one that is reported. */
static void exec_by_name(char **words, char **environment)
{
    const char *folder = getenv("PATH");
    int denied = 0;

    if (strchr(words[0], '/')) {
        execve(words[0], words, environment);
        return;
    }
    for (size_t len; folder && *folder; folder += len + (folder[len] == ':')) {
        len = strcspn(folder, ":");
        exec_in_folder(folder, len, words, environment);
        denied = errno != ENOENT && errno != ENOTDIR ? errno : denied;
    }
    errno = denied ? denied : ENOENT;
}

/* A program inherits the thread's signal mask, and this thread blocks every signal. */
static int replace(char **words, char **environment, struct error *err)
{
    sigset_t own;

    fflush(stdout);
    struct lingerer *lingerer = linger_start();
    pthread_sigmask(SIG_SETMASK, NULL, &own);
    interrupt_unblock();
    exec_by_name(words, environment);
    err_sys(err, "run %.100s", words[0]);
    pthread_sigmask(SIG_SETMASK, &own, NULL);
    linger_stop(lingerer);
    return -1;
}

static int run(char **words, const struct cpr_state *s, int list, struct error *err)
{
    char variable[sizeof(CPR_ENVIRONMENT) + 16];
    struct error ignored;

    snprintf(variable, sizeof(variable), CPR_ENVIRONMENT "=%d", list);
    char **environment = environment_with(variable);
    int rc = environment ? 0 : err_sys(err, "memory for an environment");
    if (rc == 0)
        rc = set_close_on_exec(s, list, false, err);
    if (rc == 0)
        rc = replace(words, environment, err);
    (void)!set_close_on_exec(s, list, true, &ignored);
    free(environment);
    return rc;
}

static int hand_on(char **words, const struct ram_map *ram, struct error *err)
{
    AUTO_FD int list = memfd_create("ramjet-cpr-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct cpr_state state;

    if (list < 0)
        return err_sys(err, "memfd");
    if (list_memory(ram, &state, err) < 0 || write_list(list, &state, err) < 0)
        return -1;
    return run(words, &state, list, err);
}

int cpr_exec(const char *command, const struct ram_map *ram, struct error *err)
{
    char **words;

    if (words_split(command, &words, err) < 0)
        return err_in(err, "cpr-exec-command");
    int rc = words[0] ? hand_on(words, ram, err) : err_set(err, ERR_USAGE, "no program is named");
    words_free(words);
    return rc < 0 ? err_in(err, "cpr-exec-command") : 0;
}
