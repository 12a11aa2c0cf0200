#include "transport/path.h"

#include <linux/sockios.h>
#include <linux/tcp.h> /* not libc's: its struct tcp_info ends early */
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"

#define QUESTION_MIN_S 1U
#define QUESTION_MAX_S 5U
#define ANSWER_NS      (NS_PER_S / 2) /* for an answer to come, and for us to look */

/* The longest pause that we wait for: a kernel before 6.15 doubles it with each retransmission. */
#define PAUSE_MAX_NS (5 * NS_PER_S / 2)

unsigned path_question_s(uint64_t limit_ms)
{
    return (unsigned)MAX(MIN(limit_ms / 1000 / 15, QUESTION_MAX_S), QUESTION_MIN_S);
}

static bool ask(int fd, struct tcp_info *ret)
{
    socklen_t len = sizeof(*ret);

    *ret = (struct tcp_info){0};
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len) == 0 && ret->tcpi_segs_in > 0;
}

static int unacknowledged(int fd)
{
    int bytes = -1;

    return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? -1 : bytes;
}

/* Attempts to read two numbers between which nothing is acknowledged: only then do they match. */
#define TRIES 20

bool path_position(int fd, uint64_t *ret)
{
    struct tcp_info info;

    for (int i = 0; i < TRIES; i++) {
        int before = unacknowledged(fd);

        if (before < 0 || !ask(fd, &info))
            return false;
        if (unacknowledged(fd) != before)
            continue;
        *ret = (uint64_t)info.tcpi_bytes_acked + (uint64_t)before;
        return true;
    }
    return false;
}

static void look(struct path *p, const struct tcp_info *info, bool sending, uint64_t since,
                 uint64_t question_ns)
{
    uint64_t now = clock_ns();

    if (info->tcpi_segs_in != p->segments) {
        p->segments = info->tcpi_segs_in;
        p->heard_ns = now;
    }
    unsigned asked = info->tcpi_retransmits + (unsigned)info->tcpi_probes;
    bool was_lost = p->lost;
    /* The outage goes on: since the last look nothing has moved, and no question was answered. */
    bool goes_on = was_lost && since <= p->since_ns && asked >= p->asked;
    uint64_t silent = MAX(now - p->heard_ns, info->tcpi_probes * question_ns);
    /* Only one direction may be lost: then the peer's questions still arrive, but the answers to
     * ours do not. */
    bool unacknowledged = sending && info->tcpi_retransmits > 0;
    p->lost = unacknowledged || (asked > 0 && silent >= 2 * question_ns);
    p->asked = asked;
    if (!goes_on)
        p->since_ns = unacknowledged ? since : MAX(since, now - silent);
    p->grace_ns = question_ns + ANSWER_NS;
    if (info->tcpi_retransmits > 0)
        p->grace_ns =
            MAX(p->grace_ns, MIN(info->tcpi_rto * (NS_PER_MS / 1000), PAUSE_MAX_NS) + ANSWER_NS);
    if (was_lost && !(goes_on && p->lost))
        p->back_ns = now;
}

enum silence path_judge(struct path *p, int fd, bool sending, uint64_t since, bool idle,
                        uint64_t limit_ns)
{
    uint64_t question_ns = path_question_s(limit_ns / NS_PER_MS) * NS_PER_S;
    struct tcp_info info;

    if (ask(fd, &info))
        look(p, &info, sending, since, question_ns);
    uint64_t now = clock_ns();
    if (p->lost)
        return now - p->since_ns >= limit_ns + p->grace_ns ? SILENCE_OF_PATH : SILENCE_BORNE;
    if (idle || now - since < limit_ns)
        return SILENCE_BORNE;
    /* After an outage the peer has the whole limit again, but at most twice the limit in all. */
    if (now - MAX(since, p->back_ns) < limit_ns && now - since < 2 * limit_ns)
        return SILENCE_BORNE;
    return SILENCE_OF_PEER;
}
