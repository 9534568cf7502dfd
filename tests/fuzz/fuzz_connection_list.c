/* SPDX-License-Identifier: BSD-2-Clause */
/* What a process says of its connections, as `multistack connections` takes it. */
#include "fuzz.h"

#include <assert.h>
#include <string.h>

#include "connection_list.h"
#include "multistack.h"

static const struct control_port_record port = {.name = "fuzz", .port = 1};

static void look_at(void *context, const struct control_port_record *of,
                    const struct connection_record *record)
{
    unsigned *count = context;

    assert(of == &port);
    assert(record->family == 4 || record->family == 6);
    assert(memchr(record->congestion, 0, sizeof(record->congestion)));
    for (const char *at = record->congestion; *at; at++)
        assert(*at >= ' ' && *at <= '~');
    assert(record->state <= 10);
    ++*count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned count = 0;
    struct inspector inspector = {.connection = look_at, .context = &count};
    bool last = false;
    const char *why = inspect_page(data, size, &port, &inspector, &last);

    assert(why == NULL || (*why && !last));
    assert(count <= size / offsetof(struct connection_record, numbers));
    return 0;
}

static const struct {
    struct connection_page page;
    struct connection_record records[2];
} two = {
    .page = {.magic = CONNECTION_LIST_MAGIC,
             .size = sizeof(two),
             .record_size = sizeof(two.records[0]),
             .count = 2,
             .last = 1},
    .records = {{.family = 4, .state = 4, .congestion = "cubic"}, {.family = 6, .state = 10}},
};

static const struct connection_page none = {
    .magic = CONNECTION_LIST_MAGIC, .size = sizeof(none), .last = 1};

const struct fuzz_example fuzz_examples[] = {
    {&two, sizeof(two)},
    {&none, sizeof(none)},
    {NULL, 0},
};
