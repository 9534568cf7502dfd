/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared object that packetdrill loads (adapters/packetdrill), played as packetdrill plays it: found
 * by name, fed with packets, asked for packets, in virtual time; a call that blocks in a second thread.
 * argv[1] is the object. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "checksum.h"
#include "interface.h"
#include "wire.h"

#define PORT 8080

static const char *object;

struct drill {
    struct packetdrill_interface calls;
    void *handle;
    uint32_t their_seq; /* the stack's sequence number that we expect next */
};

static void load(struct drill *drill)
{
    void (*init)(const char *flags, struct packetdrill_interface *calls);

    drill->handle = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    if (!drill->handle)
        fail_msg("%s", dlerror());
    *(void **)&init = dlsym(drill->handle, "packetdrill_interface_init");
    assert_non_null(init);
    init(NULL, &drill->calls);
}

static void unload(struct drill *drill)
{
    drill->calls.free(drill->calls.userdata);
    dlclose(drill->handle);
}

static long long time_now(struct drill *drill)
{
    struct timeval time;

    assert_int_equal(drill->calls.gettimeofday(drill->calls.userdata, &time, NULL), 0);
    return time.tv_sec * 1000000LL + time.tv_usec;
}

/* A segment from the peer, without options. */
static void inject(struct drill *drill, uint8_t flags, uint32_t seq, uint32_t ack, const char *text)
{
    uint8_t packet[256] = {0};
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;
    struct wire_tcp *tcp = (struct wire_tcp *)(ip + 1);
    uint16_t length = (uint16_t)(IPV4_HEADER_MIN + 20 + strlen(text)), sum;
    uint32_t source = htonl(0xc0000201), destination = htonl(0xc0a80001);

    *ip = (struct wire_ipv4){
        .version_ihl = 0x45, .total_length = htons(length), .ttl = 64, .protocol = IPPROTO_TCP};
    memcpy(ip->source, &source, 4);
    memcpy(ip->destination, &destination, 4);
    sum = (uint16_t)~checksum_fold(checksum_add(0, packet, IPV4_HEADER_MIN));
    memcpy(&ip->checksum, &sum, 2);
    tcp->source_port = htons(40000);
    tcp->destination_port = htons(PORT);
    tcp->sequence = htonl(seq);
    tcp->acknowledgment = htonl(ack);
    tcp->data_offset = 0x50;
    tcp->flags = flags;
    tcp->window = htons(32000);
    memcpy(tcp + 1, text, strlen(text));
    sum = (uint16_t)~checksum_fold(checksum_add(0, ip->source, 8) + htons(IPPROTO_TCP) +
                                   htons((uint16_t)(length - IPV4_HEADER_MIN)) +
                                   checksum_add(0, tcp, (size_t)(length - IPV4_HEADER_MIN)));
    memcpy(&tcp->checksum, &sum, 2);
    assert_int_equal(drill->calls.netdev_send(drill->calls.userdata, packet, length), 0);
}

/* The next segment of the stack: its flags and the bytes of its data. Returns when it was sent. */
static long long expect(struct drill *drill, uint8_t flags, uint32_t data)
{
    uint8_t packet[2048];
    size_t size = sizeof(packet);
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)packet;
    const struct wire_tcp *tcp = (const struct wire_tcp *)(ip + 1);
    long long when;

    assert_int_equal(drill->calls.netdev_receive(drill->calls.userdata, packet, &size, &when), 0);
    assert_true(size >= 40);
    assert_int_equal(tcp->flags, flags);
    assert_int_equal(size - IPV4_HEADER_MIN - (size_t)(tcp->data_offset >> 4) * 4, data);
    drill->their_seq = ntohl(tcp->sequence) + data + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
    return when;
}

static int listening(struct drill *drill)
{
    void *self = drill->calls.userdata;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = drill->calls.socket(self, AF_INET, SOCK_STREAM, IPPROTO_TCP);

    assert_true(fd >= 0);
    assert_int_equal(drill->calls.bind(self, fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(drill->calls.listen(self, fd, 1), 0);
    return fd;
}

static void handshake(struct drill *drill)
{
    inject(drill, TCP_SYN, 0, 0, "");
    expect(drill, TCP_SYN | TCP_ACK, 0);
    inject(drill, TCP_ACK, 1, drill->their_seq, "");
}

/* What a kernel without Accurate ECN refuses is the stack's setting, and no error. No sysctl is run that could
 * change this machine. */
static void a_script_sets_ecn_as_no_kernel_may_have_it(void **state)
{
    const uint8_t asking = TCP_SYN | TCP_ECE | TCP_CWR;
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int (*run)(const char *), fd;
    struct drill drill;
    void *self;

    (void)state;
    peer.sin_addr.s_addr = htonl(0xc0000201);
    load(&drill);
    self = drill.calls.userdata;
    *(void **)&run = dlsym(drill.handle, "system");
    assert_non_null(run);
    assert_int_equal(run("sysctl -q net.ipv4.tcp_ecn=none"), 0);
    assert_int_equal(run("true net.ipv4.tcp_ecn=0; true net.ipv4.tcp_ecn=3"), 0);
    fd = drill.calls.socket(self, AF_INET, SOCK_STREAM, IPPROTO_TCP);
    assert_int_equal(drill.calls.fcntl(self, fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(drill.calls.connect(self, fd, (struct sockaddr *)&peer, sizeof(peer)), -1);
    expect(&drill, asking, 0);
    assert_int_equal(run("true net.ipv4.tcp_ecn=5"), 0); /* from here on accepted, not asked for */
    fd = drill.calls.socket(self, AF_INET, SOCK_STREAM, IPPROTO_TCP);
    assert_int_equal(drill.calls.fcntl(self, fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(drill.calls.connect(self, fd, (struct sockaddr *)&peer, sizeof(peer)), -1);
    expect(&drill, TCP_SYN, 0);
    assert_int_equal(run("true net.ipv4.tcp_ecn=2"), 0); /* the kernel's again, for the next */
    unload(&drill);
}

static void a_script_in_virtual_time(void **state)
{
    struct drill drill;
    void *self;
    int server, fd;
    long long sent, again;
    char buffer[16];

    (void)state;
    load(&drill);
    self = drill.calls.userdata;
    server = listening(&drill);
    handshake(&drill);
    fd = drill.calls.accept(self, server, NULL, NULL);
    assert_true(fd >= 0);
    inject(&drill, TCP_ACK | TCP_PSH, 1, drill.their_seq, "hello");
    expect(&drill, TCP_ACK, 0);
    assert_int_equal(drill.calls.read(self, fd, buffer, sizeof(buffer)), 5);
    sent = time_now(&drill);
    assert_int_equal(drill.calls.write(self, fd, "answer", 6), 6);
    expect(&drill, TCP_ACK | TCP_PSH, 6);
    /* nobody acknowledges: it is sent again, a virtual second or less later, in no time */
    again = expect(&drill, TCP_ACK | TCP_PSH, 6);
    assert_in_range(again - sent, 190000, 1100000);
    assert_int_equal(drill.calls.usleep(self, 5000), 0);
    assert_in_range(time_now(&drill) - again, 5000, 5100);
    assert_int_equal(drill.calls.close(self, fd), 0);
    assert_int_equal(drill.calls.read(self, fd, buffer, 1), -1);
    assert_int_equal(errno, EBADF);
    unload(&drill);
}

struct blocked {
    struct drill *drill;
    int thread; /* its number, when it runs */
    int listener, accepted;
    long long at;
};

static void *accept_one(void *argument)
{
    struct blocked *blocked = argument;

    __atomic_store_n(&blocked->thread, gettid(), __ATOMIC_RELEASE);
    blocked->accepted =
        blocked->drill->calls.accept(blocked->drill->calls.userdata, blocked->listener, NULL, NULL);
    blocked->at = time_now(blocked->drill);
    return NULL;
}

/* Until a thread sleeps: in its call, for it does nothing else. packetdrill waits in the same way. */
static void wait_until_asleep(const int *thread)
{
    char path[64], state = '?';
    int number;

    while (!(number = __atomic_load_n(thread, __ATOMIC_ACQUIRE)))
        sched_yield();
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", number);
    while (state != 'S') {
        FILE *file = fopen(path, "re");

        assert_non_null(file);
        assert_int_equal(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
        fclose(file);
        sched_yield();
    }
}

static void a_call_that_blocks_returns_at_its_time(void **state)
{
    struct drill drill;
    struct blocked blocked = {.drill = &drill, .accepted = -1};
    pthread_t thread;
    long long connected;

    (void)state;
    load(&drill);
    blocked.listener = listening(&drill);
    assert_int_equal(pthread_create(&thread, NULL, accept_one, &blocked), 0);
    wait_until_asleep(&blocked.thread);
    drill.calls.usleep(drill.calls.userdata, 100000);
    handshake(&drill);
    connected = time_now(&drill);
    drill.calls.usleep(drill.calls.userdata, 1000000); /* not before it has come back */
    pthread_join(thread, NULL);
    assert_true(blocked.accepted >= 0);
    assert_in_range(blocked.at, connected - 10, connected + 10);
    unload(&drill);
}

/* Commands of scripts that ask for the kernel's counters are told UTCP's: what changed since the last. */
static void nstat_tells_of_this_stack(void **state)
{
    struct drill drill;
    int (*run)(const char *command);

    (void)state;
    load(&drill);
    *(void **)&run = dlsym(drill.handle, "system");
    assert_non_null(run);
    listening(&drill);
    assert_int_equal(run("nstat >/dev/null"), 0);
    handshake(&drill);
    assert_int_equal(run("nstat | grep -qx 'TcpPassiveOpens 1 0.0'"), 0);
    assert_int_not_equal(run("nstat | grep -q TcpPassiveOpens"), 0);
    assert_int_equal(run("test -d /"), 0);
    unload(&drill);
}

/* A script may say any number. */
static void calls_with_impossible_counts_fail(void **state)
{
    struct drill drill;
    char byte;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 100000};

    (void)state;
    load(&drill);
    for (int fd = -1, last = listening(&drill); fd <= last; fd++) {
        assert_int_equal(drill.calls.readv(drill.calls.userdata, fd, &piece, -1), -1);
        assert_int_equal(errno, EINVAL);
        assert_int_equal(drill.calls.writev(drill.calls.userdata, fd, &piece, 100000), -1);
        assert_int_equal(errno, EINVAL);
        assert_int_equal(drill.calls.recvmsg(drill.calls.userdata, fd, &message, 0), -1);
        assert_int_equal(errno, EMSGSIZE);
        assert_int_equal(drill.calls.sendmsg(drill.calls.userdata, fd, &message, 0), -1);
        assert_int_equal(errno, EMSGSIZE);
    }
    unload(&drill);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_script_in_virtual_time),
        cmocka_unit_test(a_script_sets_ecn_as_no_kernel_may_have_it),
        cmocka_unit_test(a_call_that_blocks_returns_at_its_time),
        cmocka_unit_test(nstat_tells_of_this_stack),
        cmocka_unit_test(calls_with_impossible_counts_fail),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: test_packetdrill OBJECT\n");
        return 2;
    }
    object = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
