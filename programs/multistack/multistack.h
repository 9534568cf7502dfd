/* SPDX-License-Identifier: BSD-2-Clause */
/* The operator's command: main.c finds the subcommand in a table, query.c asks the switch,
 * status.c, tables.c and stats.c print, guard.c sets rules as well, inspect.c asks the stacks' processes for connections.c to print, table.c lays columns out. */
#ifndef MULTISTACK_COMMAND_H
#define MULTISTACK_COMMAND_H

#include "control_protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the command line asked for. */
struct request {
    const char *control; /* NULL: the default */
    bool json;
    bool watch;
    uint64_t interval_s;
    /* guard */
    const char *binding; /* NULL: none was named */
    bool all;
    uint64_t for_s;        /* 0: for ever */
    char *const *operands; /* behind the command's name */
    size_t operand_count;
};

/* Subcommands. Each returns an exit status. */
int status_command(const struct request *request);
int ports_command(const struct request *request);
int bindings_command(const struct request *request);
int stats_command(const struct request *request);
int connections_command(const struct request *request);
/* With the command line: `capture` stands at argv[at]. */
int capture_command(int argc, char **argv, int at);
int guard_command(const struct request *request);

/* ── query.c ── */

/* Connects and says hello. Returns the descriptor; or -1, and has said why. */
int query_open(const struct request *request);

/* CONTROL_FEATURE_* of the switch that query_open() has reached last. */
uint64_t query_features(void);

/* All records of a subject, in memory of the caller's to free. Fields that the switch does not know
 * are zero, those that we do not know are left out. */
struct records {
    void *data;
    size_t count;
};

/* False: it has said why. `size`: of our struct for a record. */
bool query(const struct request *request, int socket_fd, uint32_t subject, size_t size,
           struct records *records);

/* Connects, asks, closes. */
bool query_once(const struct request *request, uint32_t subject, size_t size,
                struct records *records);

/* ── inspect.c ── */

struct connection_record;

/* What is done with what comes. `port` is the port's record of the switch. */
struct inspector {
    /* A connection, checked as far as a reader must not trip over it. */
    void (*connection)(void *context, const struct control_port_record *port,
                       const struct connection_record *record);
    /* The port's process did not tell all, or nothing. */
    void (*silent)(void *context, const struct control_port_record *port, const char *why);
    void *context;
};

/* Asks the processes of all ports, many at once. False: the switch did not answer, and it has said why. */
bool inspect_all(const struct request *request, const struct inspector *inspector);
/* One message of `size` bytes: gives its connections on. NULL, or what is wrong with it. */
const char *inspect_page(const void *bytes, size_t size, const struct control_port_record *port,
                         const struct inspector *inspector, bool *last);

/* ── table.c ── */

#define TABLE_COLUMNS_MAX 12
#define TABLE_CELL_SIZE   80

struct table {
    size_t columns;
    bool right[TABLE_COLUMNS_MAX]; /* aligned to the right: numbers */
    size_t rows, room;
    char (*cells)[TABLE_CELL_SIZE];
};

/* `heads` ends with NULL; a head that begins with '>' makes a column of numbers. */
void table_begin(struct table *table, const char *const *heads);
/* The next cell, row by row. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees. */
void table_end(struct table *table);

#define TEXT_SIZE 32

/* "1,234,567"; "12.3 MB" (of 1000); "2 d 3 h", "3 min 12 s"; return `text`. */
const char *text_number(uint64_t number, char text[TEXT_SIZE]);
const char *text_bytes(uint64_t bytes, char text[TEXT_SIZE]);
const char *text_duration(uint64_t ns, char text[TEXT_SIZE]);
/* "tcp", "udp", or the number. */
const char *text_protocol(uint8_t protocol, char text[TEXT_SIZE]);
/* A name from the switch, safe for a terminal. */
const char *text_name(const char *name, char text[CONTROL_NAME_SIZE]);

#endif
