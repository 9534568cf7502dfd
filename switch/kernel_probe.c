/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel_probe.h */
#include "kernel_probe.h"

#include <sys/mman.h>
#include <unistd.h>

#include "huge_map.h"
#include "kernel_features.h"
#include "log.h"
#include "xsk_open.h"

static bool has_huge_pages(void)
{
    int fd = memfd_create("multistack-try", MFD_CLOEXEC);
    void *memory = MAP_FAILED;
    bool has = false;

    if (fd >= 0 && !ftruncate(fd, HUGE_PAGE_SIZE))
        memory = huge_map(fd, HUGE_PAGE_SIZE);
    if (memory != MAP_FAILED) {
        has = huge_fill(memory, HUGE_PAGE_SIZE) != 0;
        munmap(memory, HUGE_PAGE_SIZE);
    }
    if (fd >= 0)
        close(fd);
    return has;
}

uint64_t kernel_probe(bool afxdp)
{
    uint64_t absent = 0;

    if (afxdp && !xsk_kernel_has_multi_buffer())
        absent |= FEATURE_BIT(FEATURE_AFXDP_MULTI_BUFFER);
    if (afxdp && !xsk_kernel_has_tx_metadata())
        absent |= FEATURE_BIT(FEATURE_AFXDP_TX_CHECKSUM);
    if (!has_huge_pages())
        absent |= FEATURE_BIT(FEATURE_HUGE_PAGES);
    return absent;
}

void kernel_report(uint64_t absent)
{
    for (enum kernel_feature i = 0; i < FEATURE_COUNT; i++) {
        const struct kernel_feature_text *text = kernel_feature_text(i);

        if (absent & FEATURE_BIT(i))
            log_notice("this kernel has no %s (%s): %s", text->name, text->since, text->without);
    }
}
