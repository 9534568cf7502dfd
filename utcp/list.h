/* SPDX-License-Identifier: BSD-2-Clause */
/* A list whose links lie in its members: a ring of links with the list's own link as its head. A
 * member that is on no list is linked to itself, so that leaving twice is harmless. */
#ifndef UTCP_LIST_H
#define UTCP_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *previous;
};

#define list_member(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

#define list_for_each_safe(link, after, head)                                                      \
    for (struct list *link = (head)->next, *after = link->next; link != (head);                    \
         link = after, after = link->next)

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *list, struct list *link)
{
    link->next = list;
    link->previous = list->previous;
    link->previous->next = link;
    list->previous = link;
}

static inline void list_remove(struct list *link)
{
    /* The analyzer does not follow that a removed element is out of reach of its neighbours.
     * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    link->next->previous = link->previous;
    link->previous->next = link->next;
    list_init(link);
}

#endif
