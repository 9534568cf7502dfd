/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks the switch, page by page (CONTROL_QUERY). */
#include "cli.h"
#include "control_client.h"
#include "multistack.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS   3000
#define RECORDS_MAX 4000000 /* a switch that never comes to an end is broken */

static int receive(int fd, struct control_message *message)
{
    int64_t deadline = control_client__now_ms() + ANSWER_MS;
    int error;

    while ((error = control_client__receive(fd, message)) == -EAGAIN) {
        error = control_client__wait(fd, POLLIN, deadline);
        if (error)
            return error;
    }
    return error;
}

static uint64_t features;

uint64_t query_features(void)
{
    return features;
}

static int say_hello(int fd)
{
    struct control_message message;
    int error = control_client__hello(fd, 1);

    if (!error)
        error = receive(fd, &message);
    if (!error) {
        error = control_client__check_welcome(&message);
        features = message.welcome.features;
        control_client__close_fds(&message);
    }
    return error;
}

int query_open(const struct request *request)
{
    int fd = control_client__connect(request->control);
    int error = fd >= 0 ? say_hello(fd) : fd;

    if (!error)
        return fd;
    if (fd >= 0)
        close(fd);
    cli_switch_error(request->control, error);
    return -1;
}

/* Takes a page over into our own form. */
static int take_page(const struct control_message *message, uint32_t subject, size_t size,
                     struct records *records)
{
    const struct control_records *page = &message->records;
    size_t known = page->record_size < size ? page->record_size : size;
    uint8_t *data;

    if (message->header.type != CONTROL_RECORDS)
        return -EPROTO;
    if (message->header.error)
        return -message->header.error;
    if (page->subject != subject || records->count + page->count > RECORDS_MAX ||
        (page->count == 0 && page->cursor != 0))
        return -EPROTO;
    data = realloc(records->data, (records->count + page->count + 1) * size);
    if (!data)
        return -ENOMEM;
    records->data = data;
    data += records->count * size;
    memset(data, 0, page->count * size);
    for (uint32_t i = 0; i < page->count; i++)
        memcpy(data + i * size, message->bytes + sizeof(*page) + (size_t)i * page->record_size,
               known);
    records->count += page->count;
    return 0;
}

static int ask(int fd, uint32_t subject, size_t size, struct records *records)
{
    struct control_query question = {
        .header = {.type = CONTROL_QUERY, .size = sizeof(question), .request = 1},
        .subject = subject,
    };
    struct control_message message;
    int error;

    do {
        question.header.request++;
        error = control_client__send(fd, &question, -1);
        if (!error)
            error = receive(fd, &message);
        if (error)
            return error;
        error = message.header.request == question.header.request
                    ? take_page(&message, subject, size, records)
                    : -EPROTO;
        control_client__close_fds(&message);
        if (error)
            return error;
        question.cursor = message.records.cursor;
    } while (question.cursor);
    return 0;
}

bool query(const struct request *request, int socket_fd, uint32_t subject, size_t size,
           struct records *records)
{
    int error;

    *records = (struct records){0};
    error = ask(socket_fd, subject, size, records);
    if (!error)
        return true;
    free(records->data);
    *records = (struct records){0};
    cli_switch_error(request->control, error);
    return false;
}

bool query_once(const struct request *request, uint32_t subject, size_t size,
                struct records *records)
{
    int fd = query_open(request);
    bool answered;

    if (fd < 0)
        return false;
    answered = query(request, fd, subject, size, records);
    close(fd);
    return answered;
}
