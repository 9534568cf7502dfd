/* SPDX-License-Identifier: BSD-2-Clause */
/* What the switch makes use of where the kernel has it, and does without where it has not.
 *
 * The keeper looks for each by trying it (switch/kernel_probe.c), never at the kernel's version, and says what
 * it did not find: in its log, and in `multistack status`. One list; from it come the bits, the names
 * and the explanations. Bits and names never change: scripts and other versions read them. */
#ifndef MULTISTACK_KERNEL_FEATURES_H
#define MULTISTACK_KERNEL_FEATURES_H

/* symbol, name, what has it, what it means that it is not there */
#define FEATURES(X)                                                                                \
    X(AFXDP_MULTI_BUFFER, "afxdp_multi_buffer", "Linux 6.6",                                       \
      "frames have to fit into one chunk: none that were merged, no large MTU, and a veth gets "   \
      "native XDP, with which its peer gives up segmentation offload")                             \
    X(AFXDP_TX_CHECKSUM, "afxdp_tx_checksum", "Linux 6.11",                                        \
      "the switch fills in the checksums of segments that need no cutting")                        \
    X(HUGE_PAGES, "huge_pages", "Linux 6.1 with transparent huge pages",                           \
      "shared memory is in ordinary pages, which takes more of the processor's time")              \
    X(GROUPS, "groups", "eBPF ring buffers in socket filters",                                     \
      "stacks receive no multicast and no broadcast")                                              \
    X(PORT_RANGES, "port_ranges", "cgroup2, and eBPF programs at bind(2)",                         \
      "stacks cannot bind ranges of ports")

enum kernel_feature {
#define FEATURE_ENUM(symbol, name, since, without) FEATURE_##symbol,
    FEATURES(FEATURE_ENUM)
#undef FEATURE_ENUM
        FEATURE_COUNT
};

#define FEATURE_BIT(feature) (1ULL << (feature))

struct kernel_feature_text {
    const char *name, *since, *without;
};

static inline const struct kernel_feature_text *kernel_feature_text(enum kernel_feature feature)
{
    static const struct kernel_feature_text texts[] = {
#define FEATURE_TEXT(symbol, name, since, without) {name, since, without},
        FEATURES(FEATURE_TEXT)
#undef FEATURE_TEXT
    };

    return &texts[feature];
}

#endif
