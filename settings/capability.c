#include "settings/capability.h"

#include <string.h>

#include "base/macros.h"

#define NO_POSTCOPY "there is no postcopy in this build; migrate by precopy"
#define NO_DISKS    "there are no disks here; move them by other means"
#define NO_RDMA     "there is no RDMA in this build; use tcp"

const struct capability_info capabilities[] = {
    [CAP_XBZRLE] = {"xbzrle", "1.2", NULL, SIDE_SOURCE,
                    "differences instead of whole pages, on the main channel",
                    "pages are sent whole in this build; use multifd-compression"},
    [CAP_RDMA_PIN_ALL] = {"rdma-pin-all", "2.0", NULL, SIDE_BOTH,
                          "pin all memory at the start of an RDMA migration", NO_RDMA},
    [CAP_AUTO_CONVERGE] = {"auto-converge", "1.6", NULL, SIDE_SOURCE,
                           "slow all vCPUs down when the migration does not converge", NULL},
    [CAP_ZERO_BLOCKS] = {"zero-blocks", "1.6", "11.0", SIDE_SOURCE,
                         "leftover of block migration, without effect", NO_DISKS},
    [CAP_COMPRESS] = {"compress", "2.4", "9.1", SIDE_BOTH,
                      "zlib page by page in threads of the main channel",
                      "QEMU has removed it; use multifd and multifd-compression"},
    [CAP_EVENTS] = {"events", "2.4", NULL, SIDE_EACH, "MIGRATION and MIGRATION_PASS events", NULL},
    [CAP_POSTCOPY_RAM] = {"postcopy-ram", "2.6", NULL, SIDE_BOTH,
                          "let the guest run at the destination before all memory is there",
                          NO_POSTCOPY},
    [CAP_X_COLO] = {"x-colo", "2.8", NULL, SIDE_BOTH, "continuous replication",
                    "there is no replication in this build"},
    [CAP_RELEASE_RAM] = {"release-ram", "2.9", NULL, SIDE_SOURCE,
                         "drop pages at the source while postcopy sends them", NO_POSTCOPY},
    [CAP_BLOCK] = {"block", "2.10", "9.1", SIDE_SOURCE, "disk contents in the stream", NO_DISKS},
    [CAP_RETURN_PATH] = {"return-path", "2.10", NULL, SIDE_SOURCE,
                         "the destination answers; the source waits for its verdict", NULL},
    [CAP_PAUSE_BEFORE_SWITCHOVER] = {"pause-before-switchover", "2.11", NULL, SIDE_SOURCE,
                                     "stop before the switch-over until migrate-continue", NULL},
    [CAP_DIRTY_BITMAPS] = {"dirty-bitmaps", "2.12", NULL, SIDE_BOTH,
                           "the disks' dirty bitmaps in the stream", NO_DISKS},
    [CAP_POSTCOPY_BLOCKTIME] = {"postcopy-blocktime", "3.0", NULL, SIDE_DESTINATION,
                                "measure how long vCPUs wait for pages", NO_POSTCOPY},
    [CAP_LATE_BLOCK_ACTIVATE] = {"late-block-activate", "3.0", NULL, SIDE_DESTINATION,
                                 "activate disks only when the guest goes on", NO_DISKS},
    [CAP_MULTIFD] = {"multifd", "4.0", NULL, SIDE_BOTH, "pages on connections of their own", NULL},
    [CAP_X_IGNORE_SHARED] = {"x-ignore-shared", "4.0", NULL, SIDE_BOTH,
                             "leave out memory that is shared through a file", NULL},
    [CAP_VALIDATE_UUID] = {"validate-uuid", "4.2", NULL, SIDE_SOURCE,
                           "the machine's UUID in the configuration section", NULL},
    [CAP_BACKGROUND_SNAPSHOT] = {"background-snapshot", "6.0", NULL, SIDE_SOURCE,
                                 "a snapshot of the moment of the start; the guest goes on",
                                 "this build captures paused guests only"},
    [CAP_ZERO_COPY_SEND] = {"zero-copy-send", "7.1", NULL, SIDE_SOURCE,
                            "multifd hands pages to the kernel uncopied (MSG_ZEROCOPY)", NULL},
    [CAP_POSTCOPY_PREEMPT] = {"postcopy-preempt", "7.1", NULL, SIDE_BOTH,
                              "a connection of its own for pages that vCPUs wait for", NO_POSTCOPY},
    [CAP_SWITCHOVER_ACK] = {"switchover-ack", "8.1", NULL, SIDE_BOTH,
                            "stop the guest only when the destination says that it is ready", NULL},
    [CAP_DIRTY_LIMIT] = {"dirty-limit", "8.1", NULL, SIDE_SOURCE,
                         "slow single vCPUs down by their dirty rate", NULL},
    [CAP_MAPPED_RAM] = {"mapped-ram", "9.0", NULL, SIDE_BOTH, "pages at fixed places in a file",
                        NULL},
};
_Static_assert(ARRAY_LEN(capabilities) == CAP_N, "a row for each capability");

static const char *const side_names[] = {
    [SIDE_BOTH] = "both",
    [SIDE_EACH] = "each",
    [SIDE_SOURCE] = "source",
    [SIDE_DESTINATION] = "destination",
};
_Static_assert(ARRAY_LEN(side_names) == SIDE_N, "a name for each side");

const char *side_name(enum side side)
{
    return side_names[side];
}

int capability_find(const char *name)
{
    for (int i = 0; i < CAP_N; i++) {
        if (strcmp(capabilities[i].name, name) == 0)
            return i;
    }
    return -1;
}
