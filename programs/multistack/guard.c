/* SPDX-License-Identifier: BSD-2-Clause */
/* `multistack guard`: rules of the guard, shown and set.
 *
 *   guard [list]                         what there is, and what it refused
 *   guard block|allow PREFIX …           each prefix a rule
 *   guard limit KIND RATE[/BURST]        KIND: syn-source, syn, connections
 *   guard strict | syn-cookies-on | syn-cookies-off
 *   guard remove block|allow PREFIX … | limit KIND | strict | syn-cookies-on | syn-cookies-off
 *   guard flush
 *
 * A command is parsed whole into messages before the first one is sent. It is for the bindings of
 * --binding (a number of `multistack bindings`, or an address and port), or for all with --all, which
 * is a scope of its own and not each of them. */
#include "cli.h"
#include "control_client.h"
#include "json.h"
#include "multistack.h"
#include "reasons.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS   3000
#define SCOPES_MAX  64 /* bindings that share an address and port */
#define PREFIX_SIZE (INET6_ADDRSTRLEN + 4)

static const char *const kind_names[] = {
    [CONTROL_GUARD_BLOCK] = "block",
    [CONTROL_GUARD_ALLOW] = "allow",
    [CONTROL_GUARD_STRICT] = "strict",
    [CONTROL_GUARD_SYN_SOURCE] = "syn-source",
    [CONTROL_GUARD_SYN] = "syn",
    [CONTROL_GUARD_CONNECTIONS] = "connections",
    [CONTROL_GUARD_COOKIES] = "syn-cookies",
    [CONTROL_GUARD_COOKIES_ALWAYS] = "syn-cookies-on",
    [CONTROL_GUARD_COOKIES_NEVER] = "syn-cookies-off",
};

static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == CONTROL_GUARD_KINDS, "a name for each");

/* Set by a word alone. What is missing is the stack's (syn-cookies) or a limit. */
static bool is_word(uint32_t kind)
{
    return kind && (kind < CONTROL_GUARD_SYN_SOURCE || kind > CONTROL_GUARD_COOKIES);
}

static bool is_list(uint32_t kind)
{
    return kind == CONTROL_GUARD_BLOCK || kind == CONTROL_GUARD_ALLOW;
}

/* ── the command line ── */

/* 0: there is no such kind from `first` on. */
static uint32_t find_kind(const char *name, uint32_t first)
{
    for (uint32_t kind = first; kind < CONTROL_GUARD_KINDS; kind++)
        if (!strcmp(kind_names[kind], name))
            return kind;
    return 0;
}

static struct control_prefix parse_prefix(const char *text)
{
    struct control_prefix prefix = {.family = strchr(text, ':') ? 6 : 4};
    uint64_t most = prefix.family == 4 ? 32 : 128, length = most;
    const char *slash = strchr(text, '/');
    char address[INET6_ADDRSTRLEN] = "";

    snprintf(address, sizeof(address), "%.*s", (int)(slash ? (size_t)(slash - text) : strlen(text)),
             text);
    if (inet_pton(prefix.family == 4 ? AF_INET : AF_INET6, address, prefix.bytes) != 1)
        cli_wrong_usage("guard: `%s` is no prefix: ADDRESS or ADDRESS/BITS", text);
    if (slash && !cli_number(slash + 1, 0, most, &length))
        cli_wrong_usage("guard: `%s`: 0 to %u bits", text, (unsigned)most);
    prefix.length = (uint8_t)length;
    for (unsigned bit = prefix.length; bit < 128; bit++)
        if (prefix.bytes[bit / 8] & 0x80 >> bit % 8)
            cli_wrong_usage("guard: `%s` has bits behind its prefix", text);
    return prefix;
}

static void parse_rate(const char *text, struct control_guard *wish)
{
    const char *slash = strchr(text, '/');
    char rate[16] = "";
    uint64_t number, burst = 0;

    snprintf(rate, sizeof(rate), "%.*s", (int)(slash ? (size_t)(slash - text) : strlen(text)),
             text);
    if (!cli_number(rate, 1, CONTROL_GUARD_RATE_MAX, &number) ||
        (slash && !cli_number(slash + 1, 1, CONTROL_GUARD_RATE_MAX, &burst)))
        cli_wrong_usage("guard: `%s` is no RATE[/BURST] of 1 to %u", text, CONTROL_GUARD_RATE_MAX);
    wish->rate = (uint32_t)number;
    wish->burst = (uint32_t)burst;
}

/* The messages that the words ask for, but for their bindings; all equal but for the prefix. Returns how
 * many, at least one; `*prefixes` is the first of the words that are prefixes, or NULL. */
static size_t parse_command(const struct request *request, struct control_guard *wish,
                            char *const **prefixes)
{
    char *const *words = request->operands;
    size_t count = request->operand_count;
    bool remove = !strcmp(words[0], "remove"), limit;

    *prefixes = NULL;
    *wish = (struct control_guard){.action = remove ? CONTROL_GUARD_REMOVE : CONTROL_GUARD_SET,
                                   .duration_ns = request->for_s * 1000000000};
    if (!strcmp(words[0], "flush")) {
        wish->action = CONTROL_GUARD_FLUSH;
        if (count > 1)
            cli_wrong_usage("guard flush: unexpected argument `%s`", words[1]);
        return 1;
    }
    words += remove;
    count -= remove;
    if (!count)
        cli_wrong_usage("guard remove: which rule? block, allow, limit or strict");
    limit = !strcmp(words[0], "limit");
    wish->kind = limit ? 0 : find_kind(words[0], CONTROL_GUARD_BLOCK);
    if (!limit && !is_word(wish->kind))
        cli_wrong_usage("guard: there is no `%s`", words[0]);
    if (is_list(wish->kind)) {
        if (count < 2)
            cli_wrong_usage("guard %s: which sources? ADDRESS or ADDRESS/BITS", words[0]);
        *prefixes = words + 1;
        for (size_t i = 1; i < count; i++)
            parse_prefix(words[i]);
        return count - 1;
    }
    if (limit) {
        if (count < (remove ? 2u : 3u))
            cli_wrong_usage("guard limit: syn-source, syn or connections%s",
                            remove ? "" : ", and RATE[/BURST]");
        wish->kind = find_kind(words[1], CONTROL_GUARD_SYN_SOURCE);
        if (!wish->kind || wish->kind > CONTROL_GUARD_CONNECTIONS)
            cli_wrong_usage("guard limit: there is no limit `%s`", words[1]);
        if (!remove)
            parse_rate(words[2], wish);
    }
    if (count > (limit ? (remove ? 2u : 3u) : 1u))
        cli_wrong_usage("guard %s: unexpected argument `%s`", words[0], words[count - 1]);
    return 1;
}

/* Of a range each port stands for all of them: its rules are one binding's. */
static bool has_port(const struct control_binding_record *binding, in_port_t port)
{
    uint32_t count = binding->port_count ? binding->port_count : 1;

    return (uint32_t)ntohs(port) - ntohs(binding->address.port) < count;
}

static bool address_is(const struct control_binding_record *binding,
                       const struct sockaddr_storage *wanted)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)wanted;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)wanted;
    const struct control_address *bound = &binding->address;

    if (wanted->ss_family == AF_INET)
        return bound->family == 4 && has_port(binding, in->sin_port) &&
               !memcmp(bound->bytes, &in->sin_addr, 4);
    return bound->family == 6 && has_port(binding, in6->sin6_port) &&
           !memcmp(bound->bytes, &in6->sin6_addr, 16);
}

/* The numbers of the bindings that --binding names: `12`, `10.0.0.1:80` (TCP), `udp:10.0.0.1:53`. Returns
 * how many; 0, and it has said why. */
static size_t find_scopes(const struct request *request, int fd, uint32_t scopes[SCOPES_MAX])
{
    const char *text = request->binding, *wrong;
    bool udp = !strncmp(text, "udp:", 4);
    const struct control_binding_record *binding;
    struct sockaddr_storage address;
    struct records bindings;
    socklen_t length;
    uint64_t number;
    size_t count = 0;

    if (cli_number(text, 1, UINT32_MAX, &number)) {
        scopes[0] = (uint32_t)number;
        return 1;
    }
    wrong = cli_endpoint(udp || !strncmp(text, "tcp:", 4) ? text + 4 : text, &address, &length);
    if (wrong)
        cli_wrong_usage("--binding %s: %s", text, wrong);
    if (!query(request, fd, CONTROL_SUBJECT_BINDINGS, sizeof(*binding), &bindings))
        return 0;
    binding = bindings.data;
    for (size_t i = 0; i < bindings.count && count < SCOPES_MAX; i++)
        if (binding[i].address.protocol == (udp ? IPPROTO_UDP : IPPROTO_TCP) &&
            address_is(&binding[i], &address))
            scopes[count++] = binding[i].binding;
    free(bindings.data);
    if (!count) {
        cli_error("%s: nobody has bound it", text);
        cli_hint("`multistack bindings` shows what there is");
    }
    return count;
}

/* ── setting ── */

static int send_wish(int fd, struct control_guard *wish)
{
    struct control_message message;
    int error;

    wish->header = (struct control_header){
        .type = CONTROL_GUARD, .size = sizeof(*wish), .request = wish->header.request + 1};
    error = control_client__send(fd, wish, -1);
    if (!error)
        error = control_client__wait(fd, POLLIN, control_client__now_ms() + ANSWER_MS);
    if (!error)
        error = control_client__receive(fd, &message);
    if (error)
        return error;
    control_client__close_fds(&message);
    if (message.header.type != CONTROL_GUARDED || message.header.request != wish->header.request)
        return -EPROTO;
    return -message.header.error;
}

static int refused(const struct request *request, const struct control_guard *wish, int error)
{
    switch (error) {
    case -EPERM:
        cli_error("guard: not allowed");
        cli_hint(wish->binding
                     ? "rules are for root and for the user whose binding it is"
                     : "rules for all bindings are for root, and for multistackd's admin-group");
        break;
    case -ENOENT:
        cli_error(wish->action == CONTROL_GUARD_REMOVE ? "guard: there is no such rule or binding"
                                                       : "guard: there is no such binding");
        cli_hint("`multistack guard` and `multistack bindings` show what there is");
        break;
    case -EPROTOTYPE: cli_error("guard: limits, strict and cookies are for bindings of TCP"); break;
    case -EINVAL: cli_error("guard: SYN cookies are a binding's: say which by --binding"); break;
    case -ENOSPC:
        cli_error("guard: there are too many rules, of the port, its user or at all");
        break;
    case -EOPNOTSUPP:
        cli_error(wish->kind >= CONTROL_GUARD_COOKIES
                      ? "guard: no NIC of this switch can answer SYNs"
                      : "guard: the binding of a group has no rules");
        break;
    default: cli_switch_error(request->control, error); break;
    }
    return CLI_FAILURE;
}

static int set_command(const struct request *request)
{
    uint32_t scopes[SCOPES_MAX] = {0};
    char *const *prefixes;
    struct control_guard wish;
    size_t scope_count = 1, count = parse_command(request, &wish, &prefixes);
    int fd, error = 0;

    if (!request->binding == !request->all)
        cli_wrong_usage("guard %s: for which binding? --binding, or --all", request->operands[0]);
    if (request->for_s && wish.action != CONTROL_GUARD_SET)
        cli_wrong_usage("guard %s: --for is for rules that are set", request->operands[0]);
    fd = query_open(request);
    if (fd < 0)
        return CLI_FAILURE;
    if (!(query_features() & CONTROL_FEATURE_GUARD))
        error = -EOPNOTSUPP;
    if (!error && request->binding)
        scope_count = find_scopes(request, fd, scopes);
    for (size_t scope = 0; !error && scope < scope_count; scope++) {
        wish.binding = scopes[scope];
        for (size_t i = 0; !error && i < count; i++) {
            if (prefixes)
                wish.prefix = parse_prefix(prefixes[i]);
            error = send_wish(fd, &wish);
        }
    }
    close(fd);
    if (error)
        return refused(request, &wish, error);
    return scope_count ? CLI_OK : CLI_FAILURE;
}

/* ── listing ── */

static const char *kind_text(uint32_t kind)
{
    return kind && kind < CONTROL_GUARD_KINDS ? kind_names[kind]
                                              : "unknown"; /* of a newer switch */
}

static const char *prefix_text(const struct control_prefix *prefix, char text[PREFIX_SIZE])
{
    inet_ntop(prefix->family == 6 ? AF_INET6 : AF_INET, prefix->bytes, text, INET6_ADDRSTRLEN);
    snprintf(text + strlen(text), PREFIX_SIZE - strlen(text), "/%u", prefix->length);
    return text;
}

static const char *guard_meaning(const char *name)
{
    static const struct {
        const char *name, *text;
    } meanings[] = {
#define MEANING(symbol, name, text) {name, text},
        GUARD_VERDICTS(MEANING)
#undef MEANING
    };

    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (!strcmp(meanings[i].name, name))
            return meanings[i].text;
    return NULL;
}

/* Counters of what rules refused, of a binding or of those for all. */
static bool is_count(struct control_counter_record *counter)
{
    counter->name[sizeof(counter->name) - 1] = '\0';
    return (counter->scope == CONTROL_SCOPE_BINDING || counter->scope == CONTROL_SCOPE_SWITCH) &&
           guard_meaning(counter->name);
}

static void json_rule(struct json *json, const struct control_guard_record *rule)
{
    char text[INET6_ADDRSTRLEN], prefix[PREFIX_SIZE], protocol[TEXT_SIZE];

    json_object(json, NULL);
    json_bool(json, "all", !rule->binding);
    if (rule->binding) {
        json_number(json, "binding", rule->binding);
        json_number(json, "port", rule->port);
        json_string(json, "protocol", text_protocol(rule->address.protocol, protocol));
        json_string(json, "local_address",
                    inet_ntop(rule->address.family == 6 ? AF_INET6 : AF_INET, rule->address.bytes,
                              text, sizeof(text)));
        json_number(json, "local_port", ntohs(rule->address.port));
        json_number(json, "port_count", rule->port_count ? rule->port_count : 1);
    }
    json_string(json, "rule", kind_text(rule->kind));
    if (is_list(rule->kind)) {
        json_string(json, "prefix", prefix_text(&rule->prefix, prefix));
    } else if (rule->kind == CONTROL_GUARD_COOKIES) {
        json_bool(json, "asked", rule->rate);
        json_number(json, "left_to_stack", rule->burst);
    } else if (rule->rate) {
        json_number(json, "rate", rule->rate);
        json_number(json, "burst", rule->burst);
    }
    if (rule->left_ns)
        json_real(json, "left_s", (double)rule->left_ns / 1e9);
    else
        json_null(json, "left_s");
    json_end(json);
}

static int list_json(const struct records *rules, const struct records *counters)
{
    const struct control_guard_record *rule = rules->data;
    struct control_counter_record *counter = counters->data;
    struct json json = json_begin(stdout, true);
    bool open = false;

    json_object(&json, NULL);
    json_array(&json, "rules");
    for (size_t i = 0; i < rules->count; i++)
        json_rule(&json, &rule[i]);
    json_end(&json);
    json_array(&json, "packets");
    for (size_t i = 0; i < counters->count; i++) {
        if (!is_count(&counter[i]))
            continue;
        if (!open || counter[i].scope != counter[i - 1].scope ||
            counter[i].id != counter[i - 1].id) {
            if (open)
                json_end(&json);
            json_object(&json, NULL);
            open = true;
            json_bool(&json, "all", counter[i].scope == CONTROL_SCOPE_SWITCH);
            if (counter[i].scope == CONTROL_SCOPE_BINDING)
                json_number(&json, "binding", counter[i].id);
        }
        json_number(&json, counter[i].name, counter[i].value);
    }
    if (open)
        json_end(&json);
    json_end(&json);
    json_end(&json);
    return json_finish(&json) ? CLI_OK : CLI_FAILURE;
}

static void rule_cells(struct table *table, const struct control_guard_record *rule)
{
    char address[INET6_ADDRSTRLEN], prefix[PREFIX_SIZE], text[TEXT_SIZE];
    unsigned first = ntohs(rule->address.port);
    char last[sizeof("-65535")] = "";

    if (rule->port_count > 1)
        snprintf(last, sizeof(last), "-%u", (first + rule->port_count - 1) & UINT16_MAX);
    if (rule->binding) {
        inet_ntop(rule->address.family == 6 ? AF_INET6 : AF_INET, rule->address.bytes, address,
                  sizeof(address));
        table_cell(table, "%u", rule->binding);
        table_cell(table, rule->address.family == 6 ? "%s [%s]:%u%s" : "%s %s:%u%s",
                   text_protocol(rule->address.protocol, text), address, first, last);
    } else {
        table_cell(table, "all");
        table_cell(table, "%s", "");
    }
    table_cell(table, "%s", kind_text(rule->kind));
    if (is_list(rule->kind))
        table_cell(table, "%s", prefix_text(&rule->prefix, prefix));
    else if (rule->kind == CONTROL_GUARD_COOKIES && rule->rate && rule->burst)
        table_cell(table, "the stack asks for them, beyond %u/s", rule->burst);
    else if (rule->kind == CONTROL_GUARD_COOKIES)
        table_cell(table, rule->rate ? "the stack asks for them" : "the stack is ready for them");
    else if (rule->rate)
        table_cell(table, "%u/s, %u at once", rule->rate, rule->burst);
    else
        table_cell(table, "%s", "");
    table_cell(table, "%s", rule->left_ns ? text_duration(rule->left_ns, text) : "");
}

static int list_text(const struct records *rules, const struct records *counters)
{
    static const char *const heads[] = {">binding", "", "rule", "", "ends in", NULL};
    static const char *const count_heads[] = {">binding", ">packets", "what the guard did", "",
                                              NULL};
    const struct control_guard_record *rule = rules->data;
    struct control_counter_record *counter = counters->data;
    struct table table;
    bool any = false;

    if (!rules->count)
        puts("The guard has no rules.");
    table_begin(&table, heads);
    for (size_t i = 0; i < rules->count; i++)
        rule_cells(&table, &rule[i]);
    if (rules->count)
        table_end(&table);
    else
        free(table.cells);
    table_begin(&table, count_heads);
    for (size_t i = 0; i < counters->count; i++) {
        char number[TEXT_SIZE];

        if (!is_count(&counter[i]) || !counter[i].value)
            continue;
        any = true;
        if (counter[i].scope == CONTROL_SCOPE_BINDING)
            table_cell(&table, "%u", counter[i].id);
        else
            table_cell(&table, "all");
        table_cell(&table, "%s", text_number(counter[i].value, number));
        table_cell(&table, "%s", counter[i].name);
        table_cell(&table, "%s", guard_meaning(counter[i].name));
    }
    if (any) {
        puts("");
        table_end(&table);
    } else {
        free(table.cells);
    }
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILURE;
}

static int list_command(const struct request *request)
{
    struct records rules = {0}, counters = {0};
    int fd = query_open(request), result = CLI_FAILURE;

    if (fd < 0)
        return CLI_FAILURE;
    if (query(request, fd, CONTROL_SUBJECT_GUARD, sizeof(struct control_guard_record), &rules) &&
        query(request, fd, CONTROL_SUBJECT_COUNTERS, sizeof(struct control_counter_record),
              &counters))
        result = request->json ? list_json(&rules, &counters) : list_text(&rules, &counters);
    free(rules.data);
    free(counters.data);
    close(fd);
    return result;
}

int guard_command(const struct request *request)
{
    bool list = !request->operand_count || !strcmp(request->operands[0], "list");

    if (!list) {
        if (request->json)
            cli_wrong_usage("guard %s: --json is for the list", request->operands[0]);
        return set_command(request);
    }
    if (request->operand_count > 1)
        cli_wrong_usage("guard list: unexpected argument `%s`", request->operands[1]);
    if (request->binding || request->all || request->for_s)
        cli_wrong_usage("guard list: --binding, --all and --for are for setting rules");
    return list_command(request);
}
