#include "drive/outcome.h"

#include <string.h>
#include <strings.h>

#include "base/json_read.h"
#include "base/macros.h"
#include "drive/monitor.h"

/* By query-migrate's `status`. */
static const struct {
    const char *status;
    enum outcome outcome;
} endings[] = {
    {"completed", OUTCOME_COMPLETED},
    {"failed", OUTCOME_FAILED},
    {"cancelled", OUTCOME_CANCELLED},
};

enum outcome outcome_of(const json_t *migration)
{
    char status[MONITOR_WORD_MAX];

    json_word(migration, "status", "", status, sizeof(status));
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (strcmp(status, endings[i].status) == 0)
            return endings[i].outcome;
    }
    return OUTCOME_UNDER_WAY;
}

bool outcome_is_status(const json_t *migration, const char *status)
{
    const char *found = json_string_value(json_object_get(migration, "status"));

    return found && strcmp(found, status) == 0;
}

const char *outcome_reason(const json_t *migration, char *ret, size_t size)
{
    json_word(migration, "error-desc", "", ret, size);
    return ret;
}

/* What an end sees of a failure at the other, in QEMU's words and in ours; QEMU 7.2 may give none.
 */
static const char *const echoes[] = {
    "broken pipe",        "connection reset",  "connection refused", "closed the connection",
    "input/output error", "channel error",     "unexpected end",     "end of file",
    "return path",        "sibling indicated", "the peer refused",   "the destination has failed",
};

bool outcome_is_echo(const char *reason)
{
    for (size_t i = 0; i < ARRAY_LEN(echoes); i++) {
        if (strcasestr(reason, echoes[i]))
            return true;
    }
    return !reason[0];
}
