/* SPDX-License-Identifier: BSD-2-Clause */
/* Columns for people. */
#include "multistack.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *next_cell(struct table *table)
{
    if (table->rows == table->room) {
        table->room = table->room ? 2 * table->room : 64;
        table->cells = reallocarray(table->cells, table->room, sizeof(*table->cells));
        if (!table->cells)
            abort();
    }
    return table->cells[table->rows++];
}

void table_begin(struct table *table, const char *const *heads)
{
    *table = (struct table){0};
    for (; heads[table->columns] && table->columns < TABLE_COLUMNS_MAX; table->columns++) {
        const char *head = heads[table->columns];

        table->right[table->columns] = *head == '>';
        snprintf(next_cell(table), TABLE_CELL_SIZE, "%s", head + (*head == '>'));
    }
}

void table_cell(struct table *table, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(next_cell(table), TABLE_CELL_SIZE, format, arguments);
    va_end(arguments);
}

void table_end(struct table *table)
{
    int widths[TABLE_COLUMNS_MAX] = {0};

    for (size_t i = 0; i < table->rows; i++) {
        int width = (int)strlen(table->cells[i]);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->rows; i++) {
        size_t column = i % table->columns;
        bool last = column + 1 == table->columns;

        if (table->right[column])
            printf("%*s", widths[column], table->cells[i]);
        else /* no blanks at the end of a line */
            printf("%-*s", last ? 0 : widths[column], table->cells[i]);
        fputs(last ? "\n" : "  ", stdout);
    }
    free(table->cells);
    *table = (struct table){0};
}

const char *text_number(uint64_t number, char text[TEXT_SIZE])
{
    char digits[TEXT_SIZE];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    char *at = text;

    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return text;
}

const char *text_bytes(uint64_t bytes, char text[TEXT_SIZE])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double amount = (double)bytes / 1000;
    size_t unit = 0;

    if (bytes < 1000) {
        snprintf(text, TEXT_SIZE, "%u B", (unsigned)bytes);
        return text;
    }
    while (amount >= 999.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        amount /= 1000;
        unit++;
    }
    snprintf(text, TEXT_SIZE, "%.1f %s", amount, units[unit]);
    return text;
}

const char *text_duration(uint64_t ns, char text[TEXT_SIZE])
{
    uint64_t s = ns / 1000000000;

    if (s < 60)
        snprintf(text, TEXT_SIZE, "%" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(text, TEXT_SIZE, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, TEXT_SIZE, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
    else
        snprintf(text, TEXT_SIZE, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
    return text;
}

const char *text_protocol(uint8_t protocol, char text[TEXT_SIZE])
{
    if (protocol == IPPROTO_TCP)
        return "tcp";
    if (protocol == IPPROTO_UDP)
        return "udp";
    snprintf(text, TEXT_SIZE, "%u", protocol);
    return text;
}

const char *text_name(const char *name, char text[CONTROL_NAME_SIZE])
{
    size_t i;

    for (i = 0; i + 1 < CONTROL_NAME_SIZE && name[i]; i++)
        text[i] = name[i] < 0x20 || name[i] == 0x7f ? '?' : name[i];
    text[i] = '\0';
    return *text ? text : "-";
}
