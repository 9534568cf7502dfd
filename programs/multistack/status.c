/* SPDX-License-Identifier: BSD-2-Clause */
/* `multistack status`: what runs, and in which mode. */
#include "cli.h"
#include "json.h"
#include "kernel_features.h"
#include "multistack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static const char *mac_text(const uint8_t mac[6], char text[TEXT_SIZE])
{
    snprintf(text, TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
             mac[4], mac[5]);
    return text;
}

/* Texts come NUL-terminated from an honest switch; a broken one must not make us run on. */
static void end_texts(struct control_nic_record *nic)
{
    nic->name[sizeof(nic->name) - 1] = '\0';
    nic->driver[sizeof(nic->driver) - 1] = '\0';
    nic->xdp_mode[sizeof(nic->xdp_mode) - 1] = '\0';
    nic->copy_mode[sizeof(nic->copy_mode) - 1] = '\0';
}

static void json_nic(struct json *json, const struct control_nic_record *nic)
{
    char mac[TEXT_SIZE];

    json_object(json, NULL);
    json_string(json, "name", nic->name);
    json_number(json, "index", nic->index);
    json_number(json, "ifindex", nic->ifindex);
    json_string(json, "driver", nic->driver);
    json_string(json, "xdp_mode", nic->xdp_mode);
    json_string(json, "copy_mode", nic->copy_mode);
    json_number(json, "queues", nic->queues);
    json_number(json, "mtu_bytes", nic->mtu);
    json_string(json, "mac", mac_text(nic->mac, mac));
    json_bool(json, "up", nic->up);
    json_end(json);
}

static void json_absent(struct json *json, uint64_t absent)
{
    json_array(json, "kernel_lacks");
    for (enum kernel_feature i = 0; i < FEATURE_COUNT; i++) {
        if (!(absent & FEATURE_BIT(i)))
            continue;
        json_object(json, NULL);
        json_string(json, "feature", kernel_feature_text(i)->name);
        json_string(json, "since", kernel_feature_text(i)->since);
        json_string(json, "without", kernel_feature_text(i)->without);
        json_end(json);
    }
    json_end(json);
}

static int print_json(const struct control_status_record *status, const struct records *nics)
{
    const struct control_nic_record *nic = nics->data;
    struct json json = json_begin(stdout, true);
    char instance[TEXT_SIZE];

    /* as text: 64 bits are more than many readers of JSON keep */
    snprintf(instance, sizeof(instance), "%016" PRIx64, status->instance);
    json_object(&json, NULL);
    json_string(&json, "version", status->version);
    json_string(&json, "instance", instance);
    json_real(&json, "uptime_s", (double)status->uptime_ns / 1e9);
    json_number(&json, "switch_pid", status->switch_pid);
    json_number(&json, "keeper_pid", status->keeper_pid);
    json_number(&json, "restarts", status->restarts);
    json_number(&json, "workers", status->workers);
    json_number(&json, "ports", status->ports);
    json_number(&json, "bindings", status->bindings);
    json_array(&json, "nics");
    for (size_t i = 0; i < nics->count; i++)
        json_nic(&json, &nic[i]);
    json_end(&json);
    json_absent(&json, status->absent);
    json_end(&json);
    return json_finish(&json) ? CLI_OK : CLI_FAILURE;
}

static void print_absent(uint64_t absent)
{
    const char *before = "  kernel   without ";

    for (enum kernel_feature i = 0; i < FEATURE_COUNT; i++) {
        if (absent & FEATURE_BIT(i)) {
            printf("%s%s", before, kernel_feature_text(i)->name);
            before = ", ";
        }
    }
    if (*before == ',')
        putchar('\n');
}

static int print_text(const struct control_status_record *status, const struct records *nics)
{
    static const char *const heads[] = {"NIC", "driver", "XDP", "packet memory", ">queues", ">MTU",
                                        "MAC", "link",   NULL};
    const struct control_nic_record *nic = nics->data;
    char text[TEXT_SIZE], name[CONTROL_NAME_SIZE];
    struct table table;

    printf("MultiStack %s, up %s\n", text_name(status->version, name),
           text_duration(status->uptime_ns, text));
    printf("  switch   process %u with %u %s", status->switch_pid, status->workers,
           status->workers == 1 ? "worker" : "workers");
    if (status->restarts)
        printf(", restarted %u %s", status->restarts, status->restarts == 1 ? "time" : "times");
    printf("\n  keeper   process %u\n", status->keeper_pid);
    printf("  ports    %u, with %u %s\n", status->ports, status->bindings,
           status->bindings == 1 ? "binding" : "bindings");
    print_absent(status->absent);
    putchar('\n');
    table_begin(&table, heads);
    for (size_t i = 0; i < nics->count; i++) {
        table_cell(&table, "%s", text_name(nic[i].name, name));
        table_cell(&table, "%s", text_name(nic[i].driver, name));
        table_cell(&table, "%s", text_name(nic[i].xdp_mode, name));
        table_cell(&table, "%s", text_name(nic[i].copy_mode, name));
        table_cell(&table, "%u", nic[i].queues);
        table_cell(&table, "%u", nic[i].mtu);
        table_cell(&table, "%s", mac_text(nic[i].mac, text));
        table_cell(&table, "%s", nic[i].up ? "up" : "down");
    }
    table_end(&table);
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILURE;
}

int status_command(const struct request *request)
{
    struct records status = {0}, nics = {0};
    int fd = query_open(request), result = CLI_FAILURE;

    if (fd < 0)
        return CLI_FAILURE;
    if (query(request, fd, CONTROL_SUBJECT_STATUS, sizeof(struct control_status_record), &status) &&
        query(request, fd, CONTROL_SUBJECT_NICS, sizeof(struct control_nic_record), &nics)) {
        struct control_status_record *record = status.data;

        if (status.count == 1) {
            record->version[sizeof(record->version) - 1] = '\0';
            for (size_t i = 0; i < nics.count; i++)
                end_texts((struct control_nic_record *)nics.data + i);
            result = request->json ? print_json(record, &nics) : print_text(record, &nics);
        } else {
            cli_error("the switch gave %zu status records instead of one", status.count);
        }
    }
    free(status.data);
    free(nics.data);
    close(fd);
    return result;
}
