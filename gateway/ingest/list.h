/* list.h - a list whose links live in its members: joining and leaving cost nothing. */
#ifndef GATEWAY_INGEST_LIST_H
#define GATEWAY_INGEST_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev; /* a head, or a member that is on no list, points to itself */
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Of a member on no list: nothing happens. */
static inline void list_remove(struct list *l)
{
	l->next->prev = l->prev;
	l->prev->next = l->next;
	list_init(l);
}

/* Leaves the list it was on, joins head's as the last. */
static inline void list_move_last(struct list *head, struct list *l)
{
	list_remove(l);
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* All of from's members move to the empty list to. */
static inline void list_take_all(struct list *to, struct list *from)
{
	list_init(to);
	if (list_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

#define list_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

#endif
