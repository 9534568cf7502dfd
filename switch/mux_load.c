/* SPDX-License-Identifier: BSD-2-Clause */
/* mux_load.h: by libbpf's skeleton and bpf_link, or by libxdp's dispatcher. */
#include "mux_load.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "groups.skel.h"
#include "log.h"
#include "mux.skel.h"
#include "xsk_open.h"

#define MUX_SECTION        "xdp.frags"
#define DISPATCHER_PROGRAM "xdp_dispatcher"
#define PROGRAM_MAPS_MAX   32
#define STALE_AFTER_NS     (4 * MUX_HEARTBEAT_TIMEOUT_NS)

/* The libraries explain a failure in many lines before they return it. The last of them is kept and
 * goes with our own message; all of them are debug output. */
static char library_words[256];

static int keep_words(const char *format, va_list arguments)
{
    char line[sizeof(library_words)];

    vsnprintf(line, sizeof(line), format, arguments);
    line[strcspn(line, "\n")] = '\0';
    if (!line[0])
        return 0;
    memcpy(library_words, line, sizeof(line));
    log_debug("%s", line);
    return 0;
}

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list arguments)
{
    return level == LIBBPF_WARN ? keep_words(format, arguments) : 0;
}

static int print_libxdp(enum libxdp_print_level level, const char *format, va_list arguments)
{
    return level == LIBXDP_WARN ? keep_words(format, arguments) : 0;
}

void mux_log_init(void)
{
    libbpf_set_print(print_libbpf);
    libxdp_set_print(print_libxdp);
}

const char *mux_library_reason(void)
{
    return library_words[0] ? library_words : "no further reason";
}

/* By these names both programs have them. */
static const char *const guard_names[MUX_GUARD_MAPS] = {
    [CHANNEL_GUARD_POLICIES] = "guard_policies", [CHANNEL_GUARD_PREFIXES] = "guard_prefixes",
    [CHANNEL_GUARD_BUDGETS] = "guard_budgets",   [CHANNEL_GUARD_COUNTS] = "guard_counts",
    [CHANNEL_GUARD_COOKIES] = "guard_cookies",   [MUX_GUARD_SOURCES] = "guard_sources",
};

static int share_map(int fd, struct bpf_object *program, const char *name)
{
    struct bpf_map *map = bpf_object__find_map_by_name(program, name);

    return map ? bpf_map__reuse_fd(map, fd) : -ENOENT;
}

int mux_share_maps(const struct mux_maps *maps, struct bpf_object *program)
{
    int status;

    if (maps->bindings < 0)
        return 0;
    status = share_map(maps->bindings, program, "mux_bindings");
    if (!status)
        status = share_map(maps->addresses, program, "mux_addresses");
    if (!status)
        status = share_map(maps->shared_fd, program, "mux_shared");
    for (uint32_t i = 0; !status && i < MUX_GUARD_MAPS; i++)
        status = share_map(maps->guard[i], program, guard_names[i]);
    return status;
}

static struct mux_bpf *open_skeleton(const struct mux_maps *maps, const char *device)
{
    struct mux_bpf *skeleton = mux_bpf__open();

    if (!skeleton) {
        log_error("%s: the mux cannot be opened: %s", device, strerror(errno));
        return NULL;
    }
    if (mux_share_maps(maps, skeleton->obj)) {
        log_error("%s: the maps cannot be shared with this NIC: %s", device, mux_library_reason());
        mux_bpf__destroy(skeleton);
        return NULL;
    }
    return skeleton;
}

static void report_load_failure(const char *device, int error)
{
    if (error == EPERM)
        log_error("%s: the kernel refuses the mux: %s; CAP_BPF and CAP_NET_ADMIN are needed, and a "
                  "kernel that is not locked down",
                  device, mux_library_reason());
    else if (error == ENOSYS)
        log_error("%s: this kernel has no bpf(2): it needs CONFIG_BPF_SYSCALL=y", device);
    else
        log_error("%s: the kernel does not load the mux: %s: %s; it needs Linux 5.18 or later",
                  device, strerror(error), mux_library_reason());
}

/* What keeps the host stack from answering on a placeholder: a filter that drops everything. Newer
 * kernels let nobody without CAP_NET_ADMIN attach a classic one to a TCP socket, but whoever holds
 * the descriptor of a loaded one may attach that; the switch does. */
static int load_silencer(struct mux_maps *maps)
{
    const struct bpf_insn drop_all[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT},
    };

    maps->silencer = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "multistack_mute", "GPL", drop_all,
                                   sizeof(drop_all) / sizeof(drop_all[0]), NULL);
    if (maps->silencer < 0)
        log_error("cannot load the socket filter of the placeholders: %s", strerror(errno));
    return maps->silencer < 0 ? -1 : 0;
}

/* The same for placeholders of datagram protocols, which copies what was sent to groups
 * (bpf/groups.bpf.c). Stacks do without groups where the kernel does not take it. */
static void load_groups(struct mux_maps *maps)
{
    struct groups_bpf *skeleton = groups_bpf__open_and_load();

    if (!skeleton) {
        log_warning("stacks receive no multicast and no broadcast: the kernel does not load the "
                    "filter: %s",
                    mux_library_reason());
        return;
    }
    maps->groups_ring = fcntl(bpf_map__fd(skeleton->maps.groups_ring), F_DUPFD_CLOEXEC, 3);
    maps->groups_filter =
        fcntl(bpf_program__fd(skeleton->progs.multistack_groups), F_DUPFD_CLOEXEC, 3);
    groups_bpf__destroy(skeleton);
}

static int adopt_map(const struct bpf_object *program, const char *name)
{
    int fd = bpf_object__find_map_fd_by_name(program, name);

    return fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int mux_adopt_maps(struct mux_maps *maps, const struct bpf_object *program)
{
    bool all;

    if (maps->bindings >= 0)
        return 0;
    maps->bindings = adopt_map(program, "mux_bindings");
    maps->addresses = adopt_map(program, "mux_addresses");
    maps->shared_fd = adopt_map(program, "mux_shared");
    all = maps->bindings >= 0 && maps->addresses >= 0 && maps->shared_fd >= 0;
    for (uint32_t i = 0; all && i < MUX_GUARD_MAPS; i++) {
        maps->guard[i] = adopt_map(program, guard_names[i]);
        all = maps->guard[i] >= 0;
    }
    if (!all) {
        log_error("the maps cannot be kept: %s", strerror(errno));
        mux_close_maps(maps);
        return -1;
    }
    if (load_silencer(maps)) {
        mux_close_maps(maps);
        return -1;
    }
    load_groups(maps);
    maps->shared =
        mmap(NULL, sizeof(*maps->shared), PROT_READ | PROT_WRITE, MAP_SHARED, maps->shared_fd, 0);
    if (maps->shared == MAP_FAILED) {
        maps->shared = NULL;
        log_error("the heartbeat cannot be mapped: %s", strerror(errno));
        mux_close_maps(maps);
        return -1;
    }
    return 0;
}

uint32_t mux_occupant(const struct device *device)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);
    uint32_t id = 0;

    if (!bpf_xdp_query((int)device->link.ifindex, 0, &query)) {
        const uint32_t ids[] = {query.prog_id, query.drv_prog_id, query.skb_prog_id,
                                query.hw_prog_id};

        for (size_t i = 0; i < 4 && !id; i++)
            id = ids[i];
    }
    return id;
}

/* Who is there already? By id and name, so that people know what to unload (hostile.md, H6). */
static void report_occupant(const struct device *device, int error)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info), id = mux_occupant(device);
    const char *name = "name unknown";
    int fd = -1;

    if (id)
        fd = bpf_prog_get_fd_by_id(id);
    if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) && info.name[0])
        name = info.name;
    log_error("%s: an XDP program is there already: id %u, %s (%s); it is left alone. End the "
              "program that attached it, or, where that used libxdp too, say share=yes",
              device->link.name, id, name, strerror(error));
    if (fd >= 0)
        close(fd);
}

struct attachment {
    enum { ATTACH_NATIVE, ATTACH_GENERIC } mode;
    uint32_t flags;
    const char *name;
};

static const struct attachment native = {ATTACH_NATIVE, XDP_FLAGS_DRV_MODE, "native"};
static const struct attachment generic = {ATTACH_GENERIC, XDP_FLAGS_SKB_MODE, "generic"};

/* The modes to try, best first (design.md, section 7): native on hardware. On a veth native XDP
 * makes the peer give up GSO, which costs legacy traffic far more than generic XDP does, as long as
 * the AF_XDP sockets take the unsegmented frames that then arrive. Native XDP of a bond runs on the devices below,
 * by whose queues' names the kernel refuses to put frames into sockets of the bond. */
static size_t choose_modes(const struct device *device, const struct nic_spec *spec,
                           const struct attachment *modes[2])
{
    bool generic_first =
        device->is_veth && spec->copy != COPY_ZEROCOPY && xsk_kernel_has_multi_buffer();

    if (device->is_bond) {
        modes[0] = &generic;
        return 1;
    }
    if (spec->xdp != XDP_AUTO || spec->copy == COPY_ZEROCOPY) {
        modes[0] = spec->xdp == XDP_GENERIC ? &generic : &native;
        return 1;
    }
    modes[0] = generic_first ? &generic : &native;
    modes[1] = generic_first ? &native : &generic;
    return 2;
}

static int attach_link(struct mux_program *mux, const struct device *device, uint32_t flags)
{
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    int fd = bpf_link_create(bpf_program__fd(mux->skeleton->progs.multistack_mux),
                             (int)device->link.ifindex, BPF_XDP, &options);

    if (fd < 0)
        return fd == -1 ? -errno : fd;
    mux->link_fd = fd;
    return 0;
}

/* Holds the loaded program on the device in the first mode that it takes. */
static int attach_loaded(struct mux_program *mux, const struct device *device,
                         const struct nic_spec *spec)
{
    const struct attachment *modes[2];
    size_t mode_count = choose_modes(device, spec, modes);
    const char *name = device->link.name;

    for (size_t i = 0; i < mode_count; i++) {
        int status = attach_link(mux, device, modes[i]->flags);

        if (!status) {
            mux->native = modes[i]->mode == ATTACH_NATIVE;
            return 0;
        }
        /* EEXIST: one in the other mode. */
        if (status == -EBUSY || status == -EEXIST) {
            report_occupant(device, -status);
            return -1;
        }
        log_notice("%s: no %s XDP: %s%s", name, modes[i]->name, strerror(-status),
                   i + 1 < mode_count ? "; falling back" : "");
    }
    log_error("%s: the device takes no XDP program in the mode that was asked for; xdp=auto takes "
              "what there is",
              name);
    return -1;
}

static int attach_alone(struct mux_program *mux, struct mux_maps *maps, const struct device *device,
                        const struct nic_spec *spec)
{
    int status = mux_bpf__load(mux->skeleton);

    if (status) {
        report_load_failure(device->link.name, -status);
        return -1;
    }
    return mux_adopt_maps(maps, mux->skeleton->obj) ? -1 : attach_loaded(mux, device, spec);
}

/* An instance of ours whose switch has not been heard of for long: its heartbeat is in a map of the
 * program. */
static bool program_is_stale(int program_fd)
{
    uint32_t map_ids[PROGRAM_MAPS_MAX] = {0}, size;
    struct bpf_prog_info info = {.nr_map_ids = PROGRAM_MAPS_MAX, .map_ids = (uintptr_t)map_ids};
    struct timespec now;
    bool stale = false;

    size = sizeof(info);
    if (bpf_obj_get_info_by_fd(program_fd, &info, &size) || strcmp(info.name, MUX_PROGRAM_NAME))
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (uint32_t i = 0; i < info.nr_map_ids && i < PROGRAM_MAPS_MAX; i++) {
        struct bpf_map_info map_info = {0};
        struct mux_shared shared = {0};
        uint32_t zero = 0;
        int fd = bpf_map_get_fd_by_id(map_ids[i]);

        if (fd < 0)
            continue;
        size = sizeof(map_info);
        if (!bpf_obj_get_info_by_fd(fd, &map_info, &size) && !strcmp(map_info.name, "mux_shared") &&
            map_info.value_size == sizeof(shared) && !bpf_map_lookup_elem(fd, &zero, &shared)) {
            uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;

            stale = shared.heartbeat_ns + STALE_AFTER_NS < now_ns;
        }
        close(fd);
    }
    return stale;
}

static void detach_stale(const struct device *device)
{
    struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex((int)device->link.ifindex);
    struct xdp_program *program = NULL, *stale = NULL;

    if (libxdp_get_error(multi))
        return; /* nothing is attached, or nothing of libxdp's */
    while (!stale && (program = xdp_multiprog__next_prog(program, multi))) {
        if (program_is_stale(xdp_program__fd(program)))
            stale = program;
    }
    if (stale) {
        log_notice("%s: an instance that ended without detaching left its program %u; detaching it",
                   device->link.name, xdp_program__id(stale));
        xdp_program__detach(stale, (int)device->link.ifindex, xdp_multiprog__attach_mode(multi), 0);
    }
    xdp_multiprog__close(multi);
}

/* Where the kernel refuses dispatchers, libxdp attaches the program alone and by netlink: it shares
 * nothing then, and outlives us. */
static bool is_in_dispatcher(const struct device *device)
{
    struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex((int)device->link.ifindex);
    bool is;

    if (libxdp_get_error(multi))
        return false;
    is = !xdp_multiprog__is_legacy(multi);
    xdp_multiprog__close(multi);
    return is;
}

static int attach_in_mode(struct mux_program *mux, const struct device *device,
                          const struct attachment *mode)
{
    enum xdp_attach_mode libxdp_mode = mode->mode == ATTACH_NATIVE ? XDP_MODE_NATIVE : XDP_MODE_SKB;
    int status = xdp_program__attach(mux->shared, (int)device->link.ifindex, libxdp_mode, 0);

    mux->native = mode->mode == ATTACH_NATIVE;
    if (!status && !is_in_dispatcher(device)) {
        xdp_program__detach(mux->shared, (int)device->link.ifindex, libxdp_mode, 0);
        status = -EOPNOTSUPP;
    }
    if (status)
        log_notice("%s: no %s XDP through libxdp's dispatcher: %s: %s", device->link.name,
                   mode->name, strerror(-status), mux_library_reason());
    return status;
}

static int attach_shared(struct mux_program *mux, struct mux_maps *maps,
                         const struct device *device, const struct nic_spec *spec)
{
    const struct attachment *modes[2];
    size_t mode_count = choose_modes(device, spec, modes);
    const char *name = device->link.name;
    int status = -EOPNOTSUPP;

    detach_stale(device);
    mux->shared = xdp_program__from_bpf_obj(mux->skeleton->obj, MUX_SECTION);
    if (libxdp_get_error(mux->shared)) {
        log_error("%s: libxdp does not take the mux: %s", name, mux_library_reason());
        mux->shared = NULL;
        return -1;
    }
    for (size_t i = 0; i < mode_count && status && status != -EBUSY; i++)
        status = attach_in_mode(mux, device, modes[i]);
    if (!status)
        return mux_adopt_maps(maps, mux->skeleton->obj);
    if (status == -EBUSY || status == -EEXIST)
        report_occupant(device, -status);
    else
        log_error("%s: cannot be shared: libxdp's dispatcher needs bpffs (mount -t bpf bpf "
                  "/sys/fs/bpf), the package libxdp1, and a kernel that lets programs extend "
                  "others; without share=yes the mux has the NIC's XDP hook alone",
                  name);
    xdp_program__close(mux->shared);
    mux->shared = NULL;
    return -1;
}

static int tell_mac(struct mux_program *mux, const struct device *device)
{
    int status;

    /* The other end of a veth takes a frame of native XDP only while it has an XDP program, too, and who
     * sends it hears nothing of its loss. */
    mux->answers = !mux->native || !device->is_veth;
    status = mux_set_mac(mux, device->link.mac);

    if (status)
        log_error("%s: the mux cannot be told the MAC address: %s", device->link.name,
                  strerror(-status));
    return status;
}

int mux_attach(struct mux_program *mux, struct mux_maps *maps, const struct device *device,
               const struct nic_spec *spec)
{
    int status;

    *mux = (struct mux_program){.link_fd = -1, .ifindex = device->link.ifindex};
    library_words[0] = '\0';
    mux->skeleton = open_skeleton(maps, device->link.name);
    if (!mux->skeleton)
        return -1;
    status = spec->share ? attach_shared(mux, maps, device, spec)
                         : attach_alone(mux, maps, device, spec);
    if (!status)
        status = tell_mac(mux, device);
    if (status) {
        mux_detach(mux);
        return -1;
    }
    return 0;
}

int mux_try(struct mux_maps *maps, const char *device)
{
    struct mux_bpf *skeleton = open_skeleton(maps, device);
    int status;

    if (!skeleton)
        return -1;
    status = mux_bpf__load(skeleton);
    if (status)
        report_load_failure(device, -status);
    else
        status = mux_adopt_maps(maps, skeleton->obj);
    mux_bpf__destroy(skeleton);
    return status ? -1 : 0;
}

int mux_attach_again(struct mux_program *mux, struct mux_maps *maps, const struct device *device,
                     const struct nic_spec *spec)
{
    if (spec->share || !mux->skeleton) {
        mux_detach(mux);
        return mux_attach(mux, maps, device, spec);
    }
    if (mux->link_fd >= 0)
        close(mux->link_fd);
    mux->link_fd = -1;
    mux->ifindex = device->link.ifindex;
    return attach_loaded(mux, device, spec) || tell_mac(mux, device) ? -1 : 0;
}

void mux_detach(struct mux_program *mux)
{
    if (mux->shared) {
        int status = xdp_program__detach(mux->shared, (int)mux->ifindex,
                                         mux->native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);

        if (status)
            log_warning("the mux stays in libxdp's dispatcher, where it passes everything: %s",
                        strerror(-status));
        xdp_program__close(mux->shared);
    }
    if (mux->skeleton) {
        if (mux->link_fd >= 0)
            close(mux->link_fd);
        mux_bpf__destroy(mux->skeleton);
    }
    *mux = (struct mux_program){.link_fd = -1};
}

bool mux_is_attached(const struct mux_program *mux)
{
    struct bpf_link_info info = {0};
    uint32_t size = sizeof(info);

    if (mux->link_fd < 0)
        return mux->shared != NULL;
    /* A link that was detached belongs to no device. Where the kernel does not tell, it is there. */
    return bpf_obj_get_info_by_fd(mux->link_fd, &info, &size) || info.xdp.ifindex != 0;
}

int mux_set_mac(struct mux_program *mux, const uint8_t mac[6])
{
    struct mux_nic nic = {0};
    uint32_t zero = 0;

    memcpy(nic.mac, mac, 6);
    if (mux->answers)
        nic.way = mux->native ? MUX_WAY_NATIVE : MUX_WAY_GENERIC;
    return bpf_map_update_elem(bpf_map__fd(mux->skeleton->maps.mux_nic), &zero, &nic, BPF_ANY);
}

int mux_set_socket(struct mux_program *mux, uint32_t queue, int xsk_fd)
{
    return bpf_map_update_elem(bpf_map__fd(mux->skeleton->maps.mux_sockets), &queue, &xsk_fd,
                               BPF_ANY);
}

int mux_verdicts_fd(const struct mux_program *mux)
{
    return bpf_map__fd(mux->skeleton->maps.mux_verdicts);
}

uint32_t mux_verdict_cpus(void)
{
    int cpus = libbpf_num_possible_cpus();

    return cpus > 0 ? (uint32_t)cpus : 0;
}

int mux_set_address(const struct mux_maps *maps, const struct channel_ip *ip, uint32_t ifindex,
                    bool present)
{
    struct mux_addr key = {.family = (uint8_t)ip->family};

    memcpy(key.address, ip->bytes, sizeof(key.address));
    return present ? bpf_map_update_elem(maps->addresses, &key, &ifindex, BPF_ANY)
                   : bpf_map_delete_elem(maps->addresses, &key);
}

void mux_clear_bindings(const struct mux_maps *maps)
{
    struct mux_key key;

    /* Always the first: what is deleted cannot be the place to go on from. */
    while (!bpf_map_get_next_key(maps->bindings, NULL, &key)) {
        if (bpf_map_delete_elem(maps->bindings, &key))
            return;
    }
}

void mux_close_maps(struct mux_maps *maps)
{
    if (maps->shared)
        munmap(maps->shared, sizeof(*maps->shared));
    if (maps->bindings >= 0)
        close(maps->bindings);
    if (maps->addresses >= 0)
        close(maps->addresses);
    if (maps->shared_fd >= 0)
        close(maps->shared_fd);
    if (maps->silencer >= 0)
        close(maps->silencer);
    if (maps->groups_ring >= 0)
        close(maps->groups_ring);
    if (maps->groups_filter >= 0)
        close(maps->groups_filter);
    for (uint32_t i = 0; i < MUX_GUARD_MAPS; i++) {
        if (maps->guard[i] >= 0)
            close(maps->guard[i]);
    }
    *maps = (struct mux_maps)MUX_MAPS_INIT;
}
