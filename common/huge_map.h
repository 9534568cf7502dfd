/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared memory in huge pages, where the host has them.
 *
 * Memory of 2 MiB and more is mapped at an address that is a multiple of 2 MiB, so that the
 * processor's tables can hold it in entries of that size, in every process that maps it. Whoever
 * makes the memory asks the kernel for huge pages before a page is there (huge_fill()). That is
 * MADV_COLLAPSE (Linux 6.1): it does not depend on shmem_enabled of
 * /sys/kernel/mm/transparent_hugepage, which is "never" unless somebody changed it ("deny" is kept
 * to), and it succeeds only when the pages are huge, so its answer can be told. An older kernel has
 * MADV_HUGEPAGE alone, which means something where shmem_enabled is "advise", and tells nothing.
 *
 * A tail of less than 2 MiB is in ordinary pages. Nothing here fails for want of huge pages. */
#ifndef MULTISTACK_HUGE_MAP_H
#define MULTISTACK_HUGE_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE_SIZE ((size_t)2 << 20)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* As mmap() of all of `fd`, shared, for reading and writing. MAP_FAILED and errno. */
static inline void *huge_map(int fd, size_t size)
{
    const int rights = PROT_READ | PROT_WRITE;
    size_t room = size + HUGE_PAGE_SIZE;
    uintptr_t start, place, end;
    void *reserved, *map;

    if (size < HUGE_PAGE_SIZE)
        return mmap(NULL, size, rights, MAP_SHARED, fd, 0);
    reserved = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED)
        return MAP_FAILED;
    start = (uintptr_t)reserved;
    place = (start + HUGE_PAGE_SIZE - 1) & ~(uintptr_t)(HUGE_PAGE_SIZE - 1);
    map = mmap((void *)place, size, rights, MAP_SHARED | MAP_FIXED, fd, 0);
    if (map == MAP_FAILED) {
        munmap(reserved, room);
        return MAP_FAILED;
    }
    /* what was reserved before and behind it */
    end = (place + size + 4095) & ~(uintptr_t)4095;
    if (place > start)
        munmap(reserved, place - start);
    if (start + room > end)
        munmap((void *)end, start + room - end);
    madvise(map, size, MADV_HUGEPAGE);
    return map;
}

/* Asks for huge pages in a mapping of huge_map() whose file is still empty. How many bytes the kernel
 * says are in huge pages; 0 also where it cannot tell. */
static inline uint64_t huge_fill(void *map, size_t size)
{
    size_t whole = size & ~(HUGE_PAGE_SIZE - 1);

    /* One page each, since the kernel collapses nothing where there is nothing; more would have to
     * be copied. */
    for (size_t at = 0; at < whole; at += HUGE_PAGE_SIZE) {
        if (madvise((uint8_t *)map + at, 4096, MADV_POPULATE_WRITE))
            return 0;
    }
    return whole && !madvise(map, whole, MADV_COLLAPSE) ? whole : 0;
}

#endif
