/*
 * guest.S: the guest of the end-to-end tests, a multiboot kernel of one screenful.
 *
 * It works on 48 MiB from 16 MiB up: the first 4096 pages are hot, rewritten in every pass, the
 * others cold, written once. It knows what each page must hold: before it writes a hot page, and
 * on its way over the cold ones, it compares. So a guest that goes on after a migration proves
 * its memory by itself, page by page and without any help from the host.
 *
 * Every fourth page of a pass is all zeros, and which ones moves on with each pass: pages flip
 * between zero and non-zero under the migration's eyes.
 *
 * Port 0xe9 (QEMU's -debugcon) says: '.' for each clean pass, 'X' for a wrong byte, then halts.
 */
        .set    BASE, 16 << 20
        .set    PAGES, 12288
        .set    HOT, 4096

        .text
        .long   0x1badb002, 0, -0x1badb002      # multiboot: magic, flags, checksum

/* eax = the word that fills page esi after pass edx; changes edx. */
        .macro  content
        cmp     $HOT, %esi
        cmovae  %ebp, %edx                      # cold pages stay as in pass 0
        lea     (%esi,%edx), %eax
        and     $3, %eax
        jz      1f
        mov     %edx, %eax
        shl     $16, %eax
        lea     0x5a000001(%eax,%esi), %eax
1:
        .endm

        .macro  page                            # edi, ecx = address and words of page esi
        mov     %esi, %edi
        shl     $12, %edi
        add     $BASE, %edi
        mov     $1024, %ecx
        .endm

/*
 * QEMU (7.2 and 10.0 alike, MTTCG) loses a dirty page now and then: when it collects dirty pages
 * just between a vCPU's marking a page and its marking the TLB entry as "need not tell again", it
 * hears no more of that page. One in forty migrations between two QEMUs ended with such a page on a
 * busy machine. So a page is told of before it changes, by stores that change nothing, and again
 * when it is full: each time through a new TLB entry. The former is for the guest that is stopped
 * within a page. That one can still be lost, more rarely: what was sent is an older state of the page
 * that esi names when the guest stands still. A case that finds just this is run again (lib/table.py).
 * A change of CR0.WP empties the TLB; paging is off, so it has no other effect.
 */
        .macro  flush
        mov     %cr0, %edx
        xor     $1 << 16, %edx
        mov     %edx, %cr0
        .endm

        .macro  before
        orl     $0, (%edi)
        flush
        orl     $0, (%edi)
        .endm

        .macro  again
        flush
        mov     %eax, -4(%edi)
        .endm

        .macro  say     what
        mov     $\what, %al
        outb    %al, $0xe9
        .endm

        .global _start
_start:
        cld
        xor     %ebp, %ebp                      # always 0
        xor     %ebx, %ebx                      # the pass
pass:
        xor     %esi, %esi                      # the page
next:
        test    %ebx, %ebx
        jz      write                           # nothing is there yet in pass 0
        lea     -1(%ebx), %edx
        content
        page
        repe scasl
        jne     wrong
        cmp     $HOT, %esi
        jae     done
write:
        mov     %ebx, %edx
        content
        page
        before
        rep stosl
        again
done:
        inc     %esi
        cmp     $PAGES, %esi
        jb      next
        say     '.'
        inc     %ebx
        jmp     pass

wrong:
        say     'X'
halt:
        cli
        hlt
        jmp     halt
