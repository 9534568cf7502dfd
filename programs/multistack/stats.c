/* SPDX-License-Identifier: BSD-2-Clause */
/* `multistack stats`: packets and bytes of each NIC queue and each port's ring, and what was
 * dropped and why.
 *
 * The switch gives counters as a flat list of <scope, id, ring, name, value>. Here they become
 * rows, one for each <scope, id, ring>, in the order in which the switch gives them. What a counter
 * is follows from its name: a drop reason and a verdict of the mux stand in reasons.h; all others
 * are printed under their own name, so that a counter of a newer switch is not lost. */
#include "cli.h"
#include "json.h"
#include "multistack.h"
#include "reasons.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ── meanings ── */

struct meaning {
    const char *name, *text;
};

static const struct meaning drop_reasons[] = {
#define MEANING(symbol, name, text) {name, text},
    TX_DROP_REASONS(MEANING) RX_DROP_REASONS(MEANING)};
static const struct meaning mux_verdicts[] = {MUX_VERDICTS(MEANING)};
#undef MEANING
static const struct meaning other_counters[] = {
    {"rx_nic_dropped", "dropped by the NIC or the kernel before the switch saw them"},
    {"tx_limited", "times that a ring had sent all that its rate allows, and waited"},
    {"next_hops_asked", "questions to the kernel about routes and neighbours"},
    {"handed_over", "packets that one worker received for a ring of another"},
    {"handed_over_late", "of those, for a port that had closed meanwhile"},
    {"cpu_ns", "processor time of the worker's thread"},
    {"sleeps", "times that the worker found nothing to do"},
    {"tx_checksum_left", "segments whose checksum was left to the kernel or the device"},
    {"tx_large", "large sends that the kernel or the device took whole, and cut"},
    {"tx_large_later", "times that there was no room for them at once"},
    {"tx_large_dropped", "large sends that were refused, or waited too long"},
    {"tx_large_referred", "large sends out of the port's memory, not copied by the switch"},
    {"busy_polls", "times that the kernel was asked to poll the NIC"},
    {"packet_rx_unusable", "frames that no stack could be given"},
    {"packet_tx_refused", "frames that the kernel will not take"},
    {"wire_tx_large", "large sends that crossed the wire whole"},
    {"wire_rx_large", "large sends that came whole"},
    {"wire_rx_unusable", "of those, what could not be cut as it said"},
    {"wire_lost", "packets that the wire lost, as it was told to"},
    {"wire_duplicated", "packets that it sent twice, as it was told to"},
    {"wire_reordered", "packets that it let others overtake, as it was told to"},
    {"wire_corrupted", "packets that it damaged, as it was told to"},
    {"wire_overflowed", "packets for which there was no room in front of a line so slow"},
#define MEANING(symbol, name, text) {"ports_detached_" name, text},
    DETACH_REASONS(MEANING)
#undef MEANING
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *meaning_of(const struct meaning *meanings, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(meanings[i].name, name) == 0)
            return meanings[i].text;
    return NULL;
}

static const char *drop_meaning(const char *name)
{
    return meaning_of(drop_reasons, COUNT(drop_reasons), name);
}

static const char *mux_meaning(const char *name)
{
    return meaning_of(mux_verdicts, COUNT(mux_verdicts), name);
}

static const char *any_meaning(const char *name)
{
    const char *meaning = drop_meaning(name);

    if (!meaning)
        meaning = mux_meaning(name);
    if (!meaning)
        meaning = meaning_of(other_counters, COUNT(other_counters), name);
    return meaning ? meaning : "";
}

static bool is_traffic(const char *name)
{
    return strcmp(name, "rx_packets") == 0 || strcmp(name, "rx_bytes") == 0 ||
           strcmp(name, "tx_packets") == 0 || strcmp(name, "tx_bytes") == 0;
}

/* ── what was asked ── */

struct snapshot {
    struct records counters, nics, ports;
    uint64_t taken_ns;
};

static void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->counters.data);
    free(snapshot->nics.data);
    free(snapshot->ports.data);
    *snapshot = (struct snapshot){0};
}

/* The switch puts "mux_" before the verdicts, so that the flat list is clear; the words of reasons.h,
 * of JSON and of the manual have no prefix. */
static void name_as_documented(struct control_counter_record *counter)
{
    size_t size = sizeof(counter->name);

    counter->name[size - 1] = '\0';
    if (strncmp(counter->name, "mux_", 4) == 0 && mux_meaning(counter->name + 4)) {
        memmove(counter->name, counter->name + 4, size - 4);
        memset(counter->name + size - 4, 0, 4);
    }
}

static int by_place(const void *left, const void *right)
{
    const struct control_counter_record *a = left, *b = right;

    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    if (a->ring != b->ring)
        return a->ring < b->ring ? -1 : 1;
    return strcmp(a->name, b->name);
}

static bool snapshot_take(const struct request *request, int fd, struct snapshot *snapshot)
{
    struct control_counter_record *counter;
    struct control_port_record *port;
    struct control_nic_record *nic;
    struct timespec now;

    *snapshot = (struct snapshot){0};
    if (!query(request, fd, CONTROL_SUBJECT_NICS, sizeof(*nic), &snapshot->nics) ||
        !query(request, fd, CONTROL_SUBJECT_PORTS, sizeof(*port), &snapshot->ports) ||
        !query(request, fd, CONTROL_SUBJECT_COUNTERS, sizeof(*counter), &snapshot->counters)) {
        snapshot_free(snapshot);
        return false;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    snapshot->taken_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    counter = snapshot->counters.data;
    port = snapshot->ports.data;
    nic = snapshot->nics.data;
    for (size_t i = 0; i < snapshot->counters.count; i++)
        name_as_documented(&counter[i]);
    for (size_t i = 0; i < snapshot->ports.count; i++)
        port[i].name[sizeof(port[i].name) - 1] = '\0';
    for (size_t i = 0; i < snapshot->nics.count; i++)
        nic[i].name[sizeof(nic[i].name) - 1] = '\0';
    if (snapshot->counters.count)
        qsort(counter, snapshot->counters.count, sizeof(*counter), by_place);
    return true;
}

/* A row: the counters of one place, which lie one behind the other. */
struct row {
    const struct control_counter_record *counters;
    size_t count;
};

/* The row that begins at `*at`, which moves behind it. False: there are no more. */
static bool next_row(const struct records *counters, size_t *at, struct row *row)
{
    const struct control_counter_record *all = counters->data;
    size_t end = *at;

    if (*at == counters->count)
        return false;
    while (end < counters->count && all[end].scope == all[*at].scope &&
           all[end].id == all[*at].id && all[end].ring == all[*at].ring)
        end++;
    *row = (struct row){.counters = all + *at, .count = end - *at};
    *at = end;
    return true;
}

static uint64_t value_of(const struct row *row, const char *name)
{
    for (size_t i = 0; i < row->count; i++)
        if (strcmp(row->counters[i].name, name) == 0)
            return row->counters[i].value;
    return 0;
}

static uint64_t drops_of(const struct row *row)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < row->count; i++)
        if (drop_meaning(row->counters[i].name))
            sum += row->counters[i].value;
    return sum;
}

static const struct control_nic_record *find_nic(const struct snapshot *snapshot, uint32_t index)
{
    const struct control_nic_record *nic = snapshot->nics.data;

    for (size_t i = 0; i < snapshot->nics.count; i++)
        if (nic[i].index == index)
            return &nic[i];
    return NULL;
}

static const struct control_port_record *find_port(const struct snapshot *snapshot, uint32_t number)
{
    const struct control_port_record *port = snapshot->ports.data;

    for (size_t i = 0; i < snapshot->ports.count; i++)
        if (port[i].port == number)
            return &port[i];
    return NULL;
}

/* ── JSON ── */

/* Of a NIC they are all verdicts that there are; of the switch and of a binding, of the guard alone. */
static void json_verdicts(struct json *json, const struct row *row)
{
    json_object(json, row->counters->scope == CONTROL_SCOPE_NIC ? "mux" : "guard");
    for (size_t i = 0; i < row->count; i++)
        if (mux_meaning(row->counters[i].name))
            json_number(json, row->counters[i].name, row->counters[i].value);
    json_end(json);
}

static void json_counters(struct json *json, const struct row *row)
{
    bool verdicts = false;

    for (size_t i = 0; i < row->count; i++) {
        const char *name = row->counters[i].name;

        verdicts |= mux_meaning(name) != NULL;
        if (!drop_meaning(name) && !mux_meaning(name))
            json_number(json, name, row->counters[i].value);
    }
    json_object(json, "drops");
    for (size_t i = 0; i < row->count; i++)
        if (drop_meaning(row->counters[i].name))
            json_number(json, row->counters[i].name, row->counters[i].value);
    json_end(json);
    if (verdicts)
        json_verdicts(json, row);
}

/* All rows of one NIC or port as an array of objects, `what` being "queue" or "ring". */
static void json_rows(struct json *json, const struct snapshot *snapshot, uint32_t scope,
                      uint32_t id, const char *list, const char *what)
{
    struct row row;
    size_t at = 0;

    json_array(json, list);
    while (next_row(&snapshot->counters, &at, &row)) {
        if (row.counters->scope != scope || row.counters->id != id)
            continue;
        json_object(json, NULL);
        json_number(json, what, row.counters->ring);
        json_counters(json, &row);
        json_end(json);
    }
    json_end(json);
}

static void json_workers(struct json *json, const struct snapshot *snapshot)
{
    struct row row;
    size_t at = 0;

    json_array(json, "workers");
    while (next_row(&snapshot->counters, &at, &row)) {
        if (row.counters->scope != CONTROL_SCOPE_WORKER)
            continue;
        json_object(json, NULL);
        json_number(json, "worker", row.counters->id);
        for (size_t i = 0; i < row.count; i++)
            json_number(json, row.counters[i].name, row.counters[i].value);
        json_end(json);
    }
    json_end(json);
}

/* Those that have rules of the guard. */
static void json_bindings(struct json *json, const struct snapshot *snapshot)
{
    struct row row;
    size_t at = 0;

    json_array(json, "bindings");
    while (next_row(&snapshot->counters, &at, &row)) {
        if (row.counters->scope != CONTROL_SCOPE_BINDING)
            continue;
        json_object(json, NULL);
        json_number(json, "binding", row.counters->id);
        json_verdicts(json, &row);
        json_end(json);
    }
    json_end(json);
}

static bool print_json(const struct snapshot *snapshot, bool spread)
{
    const struct control_port_record *port = snapshot->ports.data;
    const struct control_nic_record *nic = snapshot->nics.data;
    struct json json = json_begin(stdout, spread);
    struct row row;
    size_t at = 0;

    json_object(&json, NULL);
    json_number(&json, "monotonic_ns", snapshot->taken_ns);
    json_array(&json, "nics");
    for (size_t i = 0; i < snapshot->nics.count; i++) {
        json_object(&json, NULL);
        json_string(&json, "name", nic[i].name);
        json_number(&json, "index", nic[i].index);
        json_rows(&json, snapshot, CONTROL_SCOPE_NIC, nic[i].index, "queues", "queue");
        json_end(&json);
    }
    json_end(&json);
    json_array(&json, "ports");
    for (size_t i = 0; i < snapshot->ports.count; i++) {
        json_object(&json, NULL);
        json_number(&json, "port", port[i].port);
        json_string(&json, "name", port[i].name);
        json_number(&json, "pid", port[i].pid);
        json_rows(&json, snapshot, CONTROL_SCOPE_PORT, port[i].port, "rings", "ring");
        json_end(&json);
    }
    json_end(&json);
    json_object(&json, "switch");
    while (next_row(&snapshot->counters, &at, &row))
        if (row.counters->scope == CONTROL_SCOPE_SWITCH)
            json_counters(&json, &row);
    json_end(&json);
    json_workers(&json, snapshot);
    json_bindings(&json, snapshot);
    json_end(&json);
    return json_finish(&json);
}

/* ── for people ── */

static const char *row_name(const struct snapshot *snapshot, const struct row *row,
                            char text[TABLE_CELL_SIZE])
{
    const struct control_counter_record *first = row->counters;
    char name[CONTROL_NAME_SIZE];

    if (first->scope == CONTROL_SCOPE_NIC) {
        const struct control_nic_record *nic = find_nic(snapshot, first->id);

        snprintf(text, TABLE_CELL_SIZE, "NIC %s queue %u", nic ? text_name(nic->name, name) : "-",
                 first->ring);
    } else if (first->scope == CONTROL_SCOPE_PORT) {
        const struct control_port_record *port = find_port(snapshot, first->id);

        snprintf(text, TABLE_CELL_SIZE, "port %u %s ring %u", first->id,
                 port ? text_name(port->name, name) : "-", first->ring);
    } else if (first->scope == CONTROL_SCOPE_WORKER) {
        snprintf(text, TABLE_CELL_SIZE, "worker %u", first->id);
    } else if (first->scope == CONTROL_SCOPE_BINDING) {
        snprintf(text, TABLE_CELL_SIZE, "binding %u", first->id);
    } else {
        snprintf(text, TABLE_CELL_SIZE, "switch");
    }
    return text;
}

/* What was counted at the same place one snapshot ago; or zeros. */
static uint64_t value_before(const struct snapshot *before, const struct row *row, const char *name)
{
    struct control_counter_record wanted = *row->counters;
    const struct control_counter_record *found;

    if (!before || !before->counters.count)
        return 0;
    memset(wanted.name, 0, sizeof(wanted.name));
    memcpy(wanted.name, name, strlen(name));
    found =
        bsearch(&wanted, before->counters.data, before->counters.count, sizeof(wanted), by_place);
    return found ? found->value : 0;
}

static uint64_t drops_before(const struct snapshot *before, const struct row *row)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < row->count; i++)
        if (drop_meaning(row->counters[i].name))
            sum += value_before(before, row, row->counters[i].name);
    return sum;
}

static uint64_t rate(uint64_t now, uint64_t before, double seconds)
{
    if (seconds <= 0) /* no snapshot before: totals */
        return now;
    return now > before ? (uint64_t)((double)(now - before) / seconds + 0.5) : 0;
}

static bool has_traffic(const struct row *row)
{
    return row->counters->scope == CONTROL_SCOPE_NIC || row->counters->scope == CONTROL_SCOPE_PORT;
}

static void print_traffic(const struct snapshot *snapshot, const struct snapshot *before)
{
    static const char *const totals[] = {"",          ">RX packets", ">RX bytes", ">TX packets",
                                         ">TX bytes", ">dropped",    NULL};
    static const char *const rates[] = {
        "", ">RX packets/s", ">RX bytes/s", ">TX packets/s", ">TX bytes/s", ">dropped/s", NULL};
    double seconds = before ? (double)(snapshot->taken_ns - before->taken_ns) / 1e9 : 0;
    struct table table;
    struct row row;
    size_t at = 0;

    table_begin(&table, before ? rates : totals);
    while (next_row(&snapshot->counters, &at, &row)) {
        static const char *const names[] = {"rx_packets", "rx_bytes", "tx_packets", "tx_bytes"};
        char text[TABLE_CELL_SIZE], number[TEXT_SIZE];

        if (!has_traffic(&row))
            continue;
        table_cell(&table, "%s", row_name(snapshot, &row, text));
        for (size_t i = 0; i < COUNT(names); i++) {
            uint64_t value =
                rate(value_of(&row, names[i]), value_before(before, &row, names[i]), seconds);

            table_cell(&table, "%s",
                       i % 2 ? text_bytes(value, number) : text_number(value, number));
        }
        table_cell(&table, "%s",
                   text_number(rate(drops_of(&row), drops_before(before, &row), seconds), number));
    }
    table_end(&table);
}

/* Drops, verdicts and all else that is not traffic and not zero, each with what it means. */
static void print_reasons(const struct snapshot *snapshot)
{
    static const char *const heads[] = {"", ">count", "what", "", NULL};
    struct table table;
    struct row row;
    size_t at = 0, lines = 0;

    table_begin(&table, heads);
    while (next_row(&snapshot->counters, &at, &row)) {
        for (size_t i = 0; i < row.count; i++) {
            const struct control_counter_record *counter = &row.counters[i];
            char text[TABLE_CELL_SIZE], number[TEXT_SIZE], name[CONTROL_NAME_SIZE];

            if (counter->value == 0 || is_traffic(counter->name))
                continue;
            table_cell(&table, "%s", row_name(snapshot, &row, text));
            table_cell(&table, "%s", text_number(counter->value, number));
            table_cell(&table, "%s", text_name(counter->name, name));
            table_cell(&table, "%s", any_meaning(counter->name));
            lines++;
        }
    }
    if (lines) {
        putchar('\n');
        table_end(&table);
    } else {
        free(table.cells);
    }
}

static bool print(const struct request *request, const struct snapshot *snapshot,
                  const struct snapshot *before)
{
    if (request->json)
        return print_json(snapshot, !request->watch);
    if (request->watch && isatty(STDOUT_FILENO))
        fputs("\033[H\033[J", stdout); /* home, and clear below */
    print_traffic(snapshot, before);
    print_reasons(snapshot);
    if (request->watch && !isatty(STDOUT_FILENO))
        putchar('\n');
    return fflush(stdout) == 0;
}

/* ── --watch ── */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static int watch(const struct request *request, int fd)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct timespec interval = {.tv_sec = (time_t)request->interval_s};
    struct snapshot before = {0}, now;
    bool going = true, first = true;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (going && !stop) {
        if (!snapshot_take(request, fd, &now)) {
            snapshot_free(&before);
            return CLI_FAILURE;
        }
        going = print(request, &now, first ? NULL : &before);
        snapshot_free(&before);
        before = now;
        first = false;
        if (going && !stop)
            nanosleep(&interval, NULL);
    }
    snapshot_free(&before);
    return going ? CLI_OK : CLI_FAILURE;
}

int stats_command(const struct request *request)
{
    struct snapshot snapshot;
    int fd = query_open(request), result = CLI_FAILURE;

    if (fd < 0)
        return CLI_FAILURE;
    if (request->watch) {
        result = watch(request, fd);
    } else if (snapshot_take(request, fd, &snapshot)) {
        result = print(request, &snapshot, NULL) ? CLI_OK : CLI_FAILURE;
        snapshot_free(&snapshot);
    }
    close(fd);
    return result;
}
