/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks processes about their stacks. The switch hands each of them one end of a socket pair
 * (CONTROL_INSPECT), and it answers there in pages (connection_list.h), or does not: another user's
 * process, which may hang, lie or go on for ever. So sizes are checked, numbers are limited, and
 * whoever is silent for PATIENCE_MS or talks for longer than TALK_MS is given up. */
#include "cli.h"
#include "connection_list.h"
#include "control_client.h"
#include "multistack.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS   3000 /* the switch's */
#define PATIENCE_MS 2000
#define TALK_MS     60000
#define AT_ONCE     16   /* processes: as many as the switch hands on for one port in a second */
#define RECORD_MAX  8192 /* bytes of one record */
#define STATES      11   /* of enum utcp_state */

struct question {
    const struct control_port_record *port;
    int fd;
    int64_t began_ms, heard_ms;
};

/* ── One message ── */

/* What a reader relies on. */
static bool record_is_sound(struct connection_record *record)
{
    record->congestion[sizeof(record->congestion) - 1] = '\0';
    for (char *at = record->congestion; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    return (record->family == 4 || record->family == 6) && record->state < STATES;
}

const char *inspect_page(const void *bytes, size_t size, const struct control_port_record *port,
                         const struct inspector *inspector, bool *last)
{
    struct connection_page page;
    const uint8_t *at = bytes;

    if (size < sizeof(page))
        return "what it says is too short";
    memcpy(&page, at, sizeof(page));
    if (page.magic != CONNECTION_LIST_MAGIC || page.size != size || page.last > 1)
        return "what it says is no list of connections";
    if (page.record_size > RECORD_MAX ||
        (uint64_t)page.record_size * page.count != size - sizeof(page) ||
        (page.count && page.record_size < offsetof(struct connection_record, numbers)))
        return "its list does not have the size that it says";
    at += sizeof(page);
    for (uint32_t i = 0; i < page.count; i++, at += page.record_size) {
        struct connection_record record;
        size_t known = page.record_size < sizeof(record) ? page.record_size : sizeof(record);

        memset(&record, 0xff, sizeof(record)); /* what it does not tell is not known */
        memcpy(&record, at, known);
        if (!record_is_sound(&record))
            return "its list has connections that cannot be";
        inspector->connection(inspector->context, port, &record);
    }
    *last = page.last;
    return NULL;
}

/* ── A process ── */

/* Takes what there is. NULL: it is not through yet, otherwise why it is, "" in order. */
static const char *listen_to(struct question *question, const struct inspector *inspector)
{
    _Alignas(8) uint8_t bytes[CONNECTION_PAGE_MAX];
    ssize_t size = recv(question->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
    const char *why;
    bool last = false;

    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? NULL : strerror(errno);
    if (size == 0)
        return "it hung up in the middle of its list";
    if ((size_t)size > sizeof(bytes))
        return "what it says is too long";
    question->heard_ms = control_client__now_ms();
    why = inspect_page(bytes, (size_t)size, question->port, inspector, &last);
    if (why)
        return why;
    return last ? "" : NULL;
}

static const char *out_of_time(const struct question *question)
{
    int64_t now = control_client__now_ms();

    if (now - question->heard_ms >= PATIENCE_MS)
        return "its process does not answer";
    return now - question->began_ms >= TALK_MS ? "its process does not come to an end" : NULL;
}

static void finish(struct question *question, const struct inspector *inspector, const char *why)
{
    if (*why)
        inspector->silent(inspector->context, question->port, why);
    close(question->fd);
    question->fd = -1;
}

/* Hears all of them to the end. */
static void hear(struct question *questions, unsigned count, const struct inspector *inspector)
{
    struct pollfd wanted[AT_ONCE];
    unsigned open = count;

    while (open) {
        for (unsigned i = 0; i < count; i++)
            wanted[i] = (struct pollfd){.fd = questions[i].fd, .events = POLLIN};
        poll(wanted, count, 100);
        open = 0;
        for (unsigned i = 0; i < count; i++) {
            const char *why = NULL;

            if (questions[i].fd < 0)
                continue;
            if (wanted[i].revents)
                why = listen_to(&questions[i], inspector);
            if (!why)
                why = out_of_time(&questions[i]);
            if (why)
                finish(&questions[i], inspector, why);
            open += questions[i].fd >= 0;
        }
    }
}

/* ── The switch ── */

static const char *refusal(int error)
{
    switch (error) {
    case -EOPNOTSUPP: return "its program does not tell";
    case -EACCES: return "it is another user's: ask as root";
    case -ENOENT: return "it has just gone";
    case -EAGAIN: return "it is asked too often, or does not read";
    default: return strerror(-error);
    }
}

/* Gives the port's process `fd`. 0, or the switch's error; `*lost`: there will be no other answer. */
static int hand_over(int socket_fd, const struct control_port_record *port, int fd, bool *lost)
{
    static uint32_t request = 1000;
    uint32_t number = ++request;
    struct control_inspect question = {
        .header = {.type = CONTROL_INSPECT, .size = sizeof(question), .request = number},
        .port = port->port,
    };
    int64_t deadline = control_client__now_ms() + ANSWER_MS;
    struct control_message message;
    int error = control_client__send(socket_fd, &question, fd);

    while (!error && (error = control_client__receive(socket_fd, &message)) == -EAGAIN)
        error = control_client__wait(socket_fd, POLLIN, deadline);
    *lost = error != 0;
    if (error)
        return error;
    control_client__close_fds(&message);
    if (message.header.type != CONTROL_INSPECTED || message.header.request != number) {
        *lost = true;
        return -EPROTO;
    }
    return -message.header.error;
}

/* False: the switch is gone. */
static bool ask(const struct request *request, int socket_fd,
                const struct control_port_record *port, const struct inspector *inspector,
                struct question *question)
{
    int64_t until = control_client__now_ms() + PATIENCE_MS;
    int pair[2], error;
    bool lost = false;

    *question = (struct question){.port = port, .fd = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        inspector->silent(inspector->context, port, strerror(errno));
        return true;
    }
    /* others ask, too, and the switch lets only so many */
    while ((error = hand_over(socket_fd, port, pair[1], &lost)) == -EAGAIN && !lost &&
           control_client__now_ms() < until)
        poll(NULL, 0, 100);
    close(pair[1]);
    if (error) {
        close(pair[0]);
        if (lost)
            cli_switch_error(request->control, error);
        else
            inspector->silent(inspector->context, port, refusal(error));
        return !lost;
    }
    question->fd = pair[0];
    question->began_ms = question->heard_ms = control_client__now_ms();
    return true;
}

bool inspect_all(const struct request *request, const struct inspector *inspector)
{
    struct question questions[AT_ONCE];
    struct control_port_record *port;
    struct records ports = {0};
    int socket_fd = query_open(request);
    bool answered;

    if (socket_fd < 0)
        return false;
    answered = query(request, socket_fd, CONTROL_SUBJECT_PORTS, sizeof(struct control_port_record),
                     &ports);
    port = ports.data;
    for (size_t i = 0; answered && i < ports.count;) {
        unsigned count = 0;

        for (; answered && i < ports.count && count < AT_ONCE; i++) {
            port[i].name[sizeof(port[i].name) - 1] = '\0';
            answered = ask(request, socket_fd, &port[i], inspector, &questions[count]);
            count++;
        }
        hear(questions, count, inspector);
    }
    free(ports.data);
    close(socket_fd);
    return answered;
}
