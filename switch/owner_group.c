/* SPDX-License-Identifier: BSD-2-Clause */
/* owner_group.h: where it changes. */
#include "owner_group.h"

#include <errno.h>
#include <stdlib.h>

static_assert(OWNER_MEMBERS_MAX <= UINT8_MAX, "a bucket names a member in a byte");

static uint32_t count_active(const struct owner_group *group)
{
    uint32_t active = 0;

    for (uint32_t i = 0; i < group->count; i++)
        active += group->members[i].state == MEMBER_ACTIVE;
    return active;
}

static uint8_t winner(const struct owner_group *group, uint32_t bucket, const struct hash_key *key)
{
    uint64_t best = 0;
    uint8_t found = 0;
    bool any = false;

    for (uint8_t i = 0; i < group->count; i++) {
        const struct owner_member *member = &group->members[i];
        uint64_t score = hash_words(key, member->seed, bucket, OWNER_SPREAD);

        if (member->state != MEMBER_ACTIVE)
            continue;
        if (!any || score > best || (score == best && member->seed > group->members[found].seed)) {
            best = score;
            found = i;
            any = true;
        }
    }
    return found;
}

/* Brings `sole` and `spread` in line with the members. `spread` has room when it is wanted. */
static void share_out(struct owner_group *group, const struct hash_key *key)
{
    uint32_t active = count_active(group);

    group->sole = (struct owner){.port = NULL};
    if (active < 2) {
        free(group->spread);
        group->spread = NULL;
        for (uint32_t i = 0; i < group->count; i++) {
            if (group->members[i].state == MEMBER_ACTIVE)
                group->sole = owner_of_member(&group->members[i]);
        }
        return;
    }
    for (uint32_t bucket = 0; bucket < OWNER_SPREAD; bucket++)
        group->spread[bucket] = winner(group, bucket, key);
}

/* Room for what another active member would need. */
static int make_spread(struct owner_group *group)
{
    if (!group->spread && count_active(group))
        group->spread = malloc(OWNER_SPREAD);
    else
        return 0;
    return group->spread ? 0 : -ENOMEM;
}

struct owner_group *owner_group_new(const struct owner_member *first, const struct hash_key *key)
{
    struct owner_group *group = calloc(1, sizeof(*group));

    if (group)
        group->members = malloc(sizeof(*first));
    if (!group || !group->members) {
        free(group);
        return NULL;
    }
    group->members[0] = *first;
    group->count = 1;
    share_out(group, key);
    return group;
}

void owner_group_free(struct owner_group *group)
{
    free(group->spread);
    free(group->members);
    free(group);
}

struct owner_member *owner_group_member(const struct owner_group *group, const struct port *port)
{
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->members[i].port == port)
            return &group->members[i];
    }
    return NULL;
}

int owner_group_add(struct owner_group *group, const struct owner_member *member,
                    const struct hash_key *key)
{
    struct owner_member *members;

    if (owner_group_member(group, member->port))
        return -EEXIST;
    if (group->count == OWNER_MEMBERS_MAX)
        return -ENOSPC;
    members = reallocarray(group->members, group->count + 1u, sizeof(*members));
    if (!members)
        return -ENOMEM;
    group->members = members;
    if (member->state == MEMBER_ACTIVE && make_spread(group))
        return -ENOMEM;
    members[group->count++] = *member;
    share_out(group, key);
    return 0;
}

void owner_group_remove(struct owner_group *group, const struct port *port,
                        const struct hash_key *key)
{
    struct owner_member *member = owner_group_member(group, port);

    if (!member)
        return;
    *member = group->members[--group->count];
    share_out(group, key);
}

int owner_group_set_state(struct owner_group *group, const struct port *port,
                          enum member_state state, const struct hash_key *key)
{
    struct owner_member *member = owner_group_member(group, port);

    if (!member || member->state == state)
        return 0;
    if (state == MEMBER_ACTIVE && make_spread(group))
        return -ENOMEM;
    member->state = (uint8_t)state;
    share_out(group, key);
    return 0;
}

bool owner_group_is_plain(const struct owner_group *group)
{
    return group->count == 1 && group->sole.port && !group->members[0].seed &&
           !group->connected_count && !group->overlaid;
}
