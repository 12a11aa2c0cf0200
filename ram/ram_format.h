/*
 * ram/ram_format.h: the records of the "ram" section.
 * Format: QEMU, migration/ram.c; facts restated, the golden bytes in tests/golden/ decide.
 *
 * A record starts with a big-endian u64: flags in the low 12 bits, an offset inside a RAM block in
 * the others. Without CONTINUE, the name of a page record's block (str8) follows that word.
 */
#pragma once

#define RAM_SECTION_NAME    "ram"
#define RAM_SECTION_VERSION 4U

#define RAM_RECORD_ZERO     0x002U /* + u8 fill byte, 0 */
#define RAM_RECORD_MEM_SIZE 0x004U /* upper bits: sum of the lengths; the block list follows */
#define RAM_RECORD_PAGE     0x008U /* + one page of bytes */
#define RAM_RECORD_EOS      0x010U /* end of this section's body */
#define RAM_RECORD_CONTINUE 0x020U /* modifies PAGE and ZERO: the block of the record before */
#define RAM_RECORD_XBZRLE   0x040U /* + u8 1, u16 n, n bytes */
#define RAM_RECORD_HOOK     0x080U /* nothing follows */
#define RAM_RECORD_COMPRESS 0x100U /* + u32 n, n bytes; QEMU ≤ 9.0 */
#define RAM_RECORD_FLUSH    0x200U /* wait for SYNC on every multifd channel; QEMU ≥ 8.1 */
#define RAM_RECORD_FLAGS    0xfffU

/* The header of each block in the list of a mapped-ram file, and the alignment of its pages. */
#define MAPPED_RAM_VERSION    1U
#define MAPPED_RAM_HEADER_LEN 28U
#define MAPPED_RAM_ALIGN      (UINT64_C(1) << 20) /* of a block's pages in the file */
