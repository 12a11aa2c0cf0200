/*
 * stream/stream_format.h: every constant of the main stream's framing.
 * Format: QEMU's migration stream, version 3 (QEMU migration/savevm.c, migration/migration.h);
 * facts restated, the golden bytes in tests/golden/ decide. All integers are big-endian.
 */
#pragma once

#define STREAM_MAGIC       0x5145564dU /* "QEVM" */
#define STREAM_VERSION     3U
#define STREAM_VERSION_OLD 2U

/* The byte that starts each element. */
enum stream_element {
    STREAM_EOF = 0x00,
    STREAM_SECTION_START = 0x01,
    STREAM_SECTION_PART = 0x02,
    STREAM_SECTION_END = 0x03,
    STREAM_SECTION_FULL = 0x04,
    STREAM_SUBSECTION = 0x05,
    STREAM_DESCRIPTION = 0x06,
    STREAM_CONFIGURATION = 0x07,
    STREAM_COMMAND = 0x08,
    STREAM_FOOTER = 0x7e,
};

#define STREAM_FOOTER_LEN 5   /* the byte and the section id */
#define STREAM_NAME_MAX   255 /* a str8 */

/* Commands, source to destination. */
enum stream_command {
    COMMAND_OPEN_RETURN_PATH = 1,
    COMMAND_PING = 2,
    COMMAND_POSTCOPY_ADVISE = 3,
    COMMAND_POSTCOPY_LISTEN = 4,
    COMMAND_POSTCOPY_RUN = 5,
    COMMAND_POSTCOPY_RAM_DISCARD = 6,
    COMMAND_PACKAGED = 7,
    COMMAND_ENABLE_COLO = 8,
    COMMAND_POSTCOPY_RESUME = 9,
    COMMAND_RECV_BITMAP = 10,
    COMMAND_SWITCHOVER_START = 11,
    /* Ours, to a destination that has accepted SWITCHOVER_OFFER: */
    COMMAND_SWITCHOVER_RUN = 64,      /* the guest is yours */
    COMMAND_SWITCHOVER_DROP = 65,     /* it stays here: forget it */
    COMMAND_SWITCHOVER_MEASURED = 66, /* to MEASURE_ONLY: I would stop the guest now; figures */
};

/*
 * A source asks for the confirmed switch-over by SWITCHOVER_OFFER as the number of its first PING.
 * A destination that knows it answers SWITCHOVER_ACCEPTED; any other sends the number back
 * unchanged.
 */
#define SWITCHOVER_OFFER    0x524a0001U
#define SWITCHOVER_ACCEPTED 0x524a8001U

/*
 * The number of a source's second PING. A destination that only measures answers MEASURE_ONLY: it
 * will refuse the guest, so the source need not stop it.
 */
#define MEASURE_OFFER 0x524a0002U
#define MEASURE_ONLY  0x524a8002U

/* Messages on the return path, destination to source. */
enum return_message {
    RETURN_SHUT = 1,
    RETURN_PONG = 2,
    RETURN_REQ_PAGES_ID = 3,
    RETURN_REQ_PAGES = 4,
    RETURN_RECV_BITMAP = 5,
    RETURN_RESUME_ACK = 6,
    RETURN_SWITCHOVER_ACK = 7,
    /* Ours, after SWITCHOVER_ACCEPTED: */
    RETURN_SWITCHOVER_READY = 64, /* everything has come and is checked: may the guest run? */
    RETURN_SWITCHOVER_ALIVE = 65, /* the destination is still working */
};

/* The most bytes of device sections, of a description, and of a package that we accept; more is
 * refused. */
#define STREAM_DEVICES_MAX     (UINT64_C(128) << 20)
#define STREAM_DESCRIPTION_MAX (UINT64_C(16) << 20)
#define STREAM_PACKAGE_MAX     (16U << 20)
