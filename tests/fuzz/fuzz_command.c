/* SPDX-License-Identifier: BSD-2-Clause */
/* The operator's command before a switch that was taken over: `multistack status`, `ports`, `bindings`,
 * `stats` and `guard`, whose user may be root, and whose output goes to a terminal or to a program that
 * reads JSON.
 *
 * An input says which command, as text or as JSON; then come the switch's answers to its questions, of
 * which as much as it says is made right. What is printed holds no control character, and JSON is
 * JSON. A thread is the switch. */
#include "fuzz.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control_protocol.h"
#include "multistack.h"

/* ---- the switch */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const uint8_t *answers; /* what is left of them */
static size_t answers_size;
static char path[64];
static int listener;

#define WRONG_SUBJECT 0x01
#define MORE          0x02 /* there is another page */
#define OTHER_SIZE    0x04 /* records are as long as the input says */
#define RAW           0x08 /* the answer is a message of the input's own */
#define REFUSED       0x10
#define HEAD          3 /* bytes in front of an answer's: how, how many, a record's size */

static uint32_t record_size(uint32_t subject)
{
    switch (subject) {
    case CONTROL_SUBJECT_STATUS: return sizeof(struct control_status_record);
    case CONTROL_SUBJECT_NICS: return sizeof(struct control_nic_record);
    case CONTROL_SUBJECT_PORTS: return sizeof(struct control_port_record);
    case CONTROL_SUBJECT_BINDINGS: return sizeof(struct control_binding_record);
    case CONTROL_SUBJECT_GUARD: return sizeof(struct control_guard_record);
    default: return sizeof(struct control_counter_record);
    }
}

/* The next answer of the input, or one without records. Returns its size. */
static size_t make_answer(const struct control_query *question, uint8_t *message)
{
    struct control_records *page = (struct control_records *)message;
    size_t used = answers_size < HEAD ? 0 : answers[1];
    uint8_t how = answers_size < HEAD ? 0 : answers[0];

    *page = (struct control_records){
        .header = {.type = CONTROL_RECORDS, .request = question->header.request},
        .subject = question->subject ^ (how & WRONG_SUBJECT),
        .record_size = how & OTHER_SIZE ? answers[2] : record_size(question->subject),
        .cursor = how & MORE ? 1 : 0,
    };
    page->header.error = how & REFUSED ? 13 : 0;
    if (answers_size >= HEAD) {
        used = used < answers_size - HEAD ? used : answers_size - HEAD;
        if (how & RAW) {
            memcpy(message + sizeof(page->header), answers + HEAD, used);
        } else {
            page->count = page->record_size ? (uint32_t)used / page->record_size : answers[2];
            memcpy(message + sizeof(*page), answers + HEAD, used);
        }
        answers += HEAD + used;
        answers_size -= HEAD + used;
    }
    page->header.size = (uint32_t)(how & RAW ? sizeof(page->header) + used
                                             : sizeof(*page) + page->count * page->record_size);
    return page->header.size;
}

static size_t answer(const uint8_t *question, size_t size, uint8_t *message)
{
    const struct control_header *header = (const struct control_header *)question;

    if (size >= sizeof(*header) && header->type == CONTROL_HELLO) {
        const struct control_welcome welcome = {.header = {.type = CONTROL_WELCOME,
                                                           .size = sizeof(welcome),
                                                           .request = header->request},
                                                .magic = CONTROL_MAGIC,
                                                .version = CONTROL_VERSION,
                                                .features = CONTROL_FEATURES};

        memcpy(message, &welcome, sizeof(welcome));
        return sizeof(welcome);
    }
    assert(size == sizeof(struct control_query));
    return make_answer((const struct control_query *)question, message);
}

static void *be_the_switch(void *nothing)
{
    static _Alignas(8) uint8_t question[CONTROL_MESSAGE_MAX], message[CONTROL_MESSAGE_MAX];

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        ssize_t size;

        while (fd >= 0 && (size = recv(fd, question, sizeof(question), 0)) > 0) {
            pthread_mutex_lock(&lock);
            size = (ssize_t)answer(question, (size_t)size, message);
            pthread_mutex_unlock(&lock);
            if (send(fd, message, (size_t)size, MSG_NOSIGNAL) < 0)
                break;
        }
        close(fd);
    }
    return nothing;
}

static void leave(void)
{
    unlink(path);
}

static void open_switch(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    pthread_t thread;

    snprintf(path, sizeof(path), "/tmp/fuzz-command-%d", (int)getpid());
    memcpy(name.sun_path, path, sizeof(path));
    unlink(path);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert(!bind(listener, (struct sockaddr *)&name, sizeof(name)) && !listen(listener, 8));
    atexit(leave);
    assert(!pthread_create(&thread, NULL, be_the_switch, NULL));
}

/* ---- what is printed */

/* Nothing that a terminal obeys: C0, DEL, C1 as UTF-8 has it. */
static void expect_safe(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        assert(text[i] == '\n' || (uint8_t)text[i] >= ' ');
        assert(text[i] != 0x7f);
        assert((uint8_t)text[i] != 0xc2 || i + 1 == size || (uint8_t)text[i + 1] >= 0xa0);
    }
}

/* Containers are closed as they were opened, and strings end. */
static void expect_json(const char *text, size_t size)
{
    char open[16];
    uint32_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < size; i++) {
        if (in_string) {
            i += text[i] == '\\';
            in_string = i >= size || text[i] != '"' || text[i - 1] == '\\';
        } else if (text[i] == '"') {
            in_string = true;
        } else if (text[i] == '{' || text[i] == '[') {
            assert(depth < sizeof(open));
            open[depth++] = text[i];
        } else if (text[i] == '}' || text[i] == ']') {
            assert(depth);
            depth--;
            assert(open[depth] == (text[i] == '}' ? '{' : '['));
        }
    }
    assert(!depth && !in_string);
}

static void run(uint8_t what, bool json)
{
    static int (*const commands[])(const struct request *) = {
        status_command, ports_command, bindings_command, stats_command, guard_command};
    const struct request request = {.control = path, .json = json};
    FILE *out = stdout, *err = stderr;
    char *text = NULL;
    size_t size = 0;
    int status;

    stdout = open_memstream(&text, &size);
    stderr = stdout; /* what it complains about goes to the same terminal */
    status = commands[what % 5](&request);
    assert(status == 0 || status == 1);
    fclose(stdout);
    stdout = out;
    stderr = err;
    expect_safe(text, size);
    if (json && status == 0)
        expect_json(text, size);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > CONTROL_MESSAGE_MAX)
        return 0;
    if (!*path)
        open_switch();
    pthread_mutex_lock(&lock);
    answers = data + 1;
    answers_size = size - 1;
    pthread_mutex_unlock(&lock);
    run(data[0] & 0x7f, data[0] & 0x80);
    pthread_mutex_lock(&lock);
    answers_size = 0;
    pthread_mutex_unlock(&lock);
    return 0;
}

/* ---- examples */

struct head {
    uint8_t how, size, record_size;
} __attribute__((packed));

#define ANSWER(record)                                                                             \
    {                                                                                              \
        0, sizeof(record), 0                                                                       \
    }

static const struct {
    uint8_t command;
    struct head first;
    struct control_status_record status;
    struct head second;
    struct control_nic_record nic;
} __attribute__((packed)) status = {
    0,
    ANSWER(struct control_status_record),
    {.version = "1.0", .uptime_ns = 1000000000000, .workers = 1, .ports = 1, .absent = 3},
    ANSWER(struct control_nic_record),
    {.name = "eth\n1", .driver = "afxdp", .xdp_mode = "nat\033[1mive", .copy_mode = "copy"},
};

static const struct {
    uint8_t command;
    struct head first;
    struct control_port_record port;
    struct head second;
    struct control_binding_record binding;
} __attribute__((packed)) ports = {
    1,
    ANSWER(struct control_port_record),
    {.name = "\"web\x80", .port = 1, .pid = 7, .rx_size = 65536, .age_ns = 5},
    ANSWER(struct control_binding_record),
    {.address = {{10, 0, 0, 1}, 80, 4, 6}, .binding = 65537, .port = 1, .port_count = 64},
};

static const struct {
    uint8_t command;
    struct head first;
    struct control_nic_record nic;
    struct head second;
    struct control_port_record port;
    struct head third;
    struct control_counter_record counters[3];
} __attribute__((packed)) stats = {
    0x83,
    ANSWER(struct control_nic_record),
    {.name = "eth1", .driver = "wire"},
    ANSWER(struct control_port_record),
    {.name = "web", .port = 1},
    ANSWER(struct control_counter_record[3]),
    {{.name = "rx_packets", .scope = CONTROL_SCOPE_NIC, .value = 7},
     {.name = "mux_claimed", .scope = CONTROL_SCOPE_NIC, .value = 8},
     {.name = "tx_bad_length", .scope = CONTROL_SCOPE_PORT, .id = 1, .value = 9}},
};

static const struct {
    uint8_t command;
    struct head first;
    struct control_guard_record rules[2];
    struct head second;
    struct control_counter_record counter;
} __attribute__((packed)) guard = {
    4,
    ANSWER(struct control_guard_record[2]),
    {{.prefix = {{10}, 4, 8, 0}, .kind = CONTROL_GUARD_BLOCK, .left_ns = 5},
     {.address = {{0}, 80, 6, 6}, .binding = 1, .kind = CONTROL_GUARD_SYN, .rate = 7, .burst = 1}},
    ANSWER(struct control_counter_record),
    {.name = "guard_blocked", .scope = CONTROL_SCOPE_SWITCH, .value = 7},
};

const struct fuzz_example fuzz_examples[] = {
    {&status, sizeof(status)},
    {&ports, sizeof(ports)},
    {&stats, sizeof(stats)},
    {&guard, sizeof(guard)},
    {NULL, 0},
};
