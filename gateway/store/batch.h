/*
 * batch.h - records of the spool, decoded: what one transaction is made from.
 *
 * An item is one record.  A segment is the part of a report that lies in one vehicle-day.
 * Everything lives in the batch's arena until the batch is cleared; nothing is allocated for a
 * record.
 */
#ifndef GATEWAY_STORE_BATCH_H
#define GATEWAY_STORE_BATCH_H

#include "gateway/identity/identity.h"
#include "gateway/spool/spool.h"
#include "gateway/store/arena.h"
#include "gateway/store/registry.h"

enum { BATCH_ITEMS_MAX = 65536, BATCH_BYTES_MAX = 32 << 20 };

enum item_kind {
	ITEM_NOTHING, /* nothing to store: heartbeats, time requests, platform frames */
	ITEM_REPORT,
	ITEM_EVENT,
	ITEM_REFUSED, /* to quarantine */
};

/* What became of a block; anything but KEEP is not stored again. */
enum fate { FATE_KEEP, FATE_DUPLICATE, FATE_CONFLICT };

/*
 * Who told a sample: through which platform, and what he proved himself with.  Open: neither key
 * nor certificate are known, though there may be one behind the platform, or in a signature that
 * the policy left unchecked.
 */
struct sender {
	uint64_t credential; /* 0: nothing was proved */
	int32_t platform;    /* that delivered it; 0: the terminal itself did */
	bool open;
};

/*
 * The key that an activation brings.  Proved: it signed its own activation; what was accepted
 * before anybody looked stays an event.
 */
struct key_offer {
	bool proved;
	char chip_id[17];
	const uint8_t *public_key;
	size_t public_key_size;
	const char *algorithm; /* terminal_key.algorithm */
	const char *state;     /* that the gateway has answered: active or pending */
};

struct day;

/* The blocks first .. first + count - 1 of an item: one Beijing day. */
struct segment {
	struct item *item;
	uint32_t first, count;
	struct segment *next; /* of the same vehicle-day in this batch, in the order received */
};

struct item {
	enum item_kind kind;
	uint64_t position, next; /* of the record, and behind it */
	int64_t received_ns;
	const uint8_t *raw;
	size_t raw_size;
	char vin[VIN_SIZE + 1]; /* as claimed; "" when there was no header */
	struct vehicle *vehicle;
	struct sender sender;
	const uint8_t *peer; /* address, 16 bytes; NULL: not told */

	/* report */
	unsigned quirks;
	uint8_t protocol, layout;
	int16_t software_version; /* -1 = the header has none */
	struct block *blocks;	  /* ascending at, then type; each pair once */
	uint8_t *fates;		  /* of each block */
	uint8_t *parts;		  /* of each block: track.part of a row that begins with it */
	uint32_t count;
	bool conflict; /* a block of this frame had other content than one stored before */
	bool supplement;
	int64_t sent_at;   /* the unit's own time */
	uint16_t *serials; /* of the unit or its blocks, as they came; no two alike in a row */
	uint32_t serial_count;

	/* Its samples that somebody else has told before: how many, the first, and who. */
	uint32_t replayed;
	int64_t replayed_at;
	struct sender replayed_sender;

	/* event; iccid also of reports' terminals: "" = not told */
	const char *event; /* terminal_event.kind */
	int64_t at;
	int32_t serial;
	const char *detail;	       /* JSON, or NULL */
	const struct key_offer *offer; /* of an activation; else NULL */
	char iccid[ICCID_TEXT_SIZE];

	/* refused */
	const char *reason;
	const char *sqlstate, *message; /* when the database refused it, else NULL */
};

struct batch { /* zeroed = empty */
	struct item *items;
	size_t count, max;
	struct arena arena;
	struct report report; /* scratch of batch_add() */
};

static inline struct sender sender_of(uint64_t credential, int32_t platform, unsigned quirks)
{
	const bool skipped = credential == 0 && (quirks & QUIRK_SIGNATURE_SKIPPED) != 0;

	return (struct sender){ credential, platform,
				skipped || credential_kind_of(credential) == CREDENTIAL_PLATFORM };
}

static inline bool item_assessed(const struct item *item)
{
	return item->kind == ITEM_REPORT && (item->quirks & QUIRK_CLOCK) == 0;
}

/* Decodes the record into the next item, which never fails: what cannot be read is refused. */
void batch_add(struct batch *b, const struct spool_record *record);
bool batch_full(const struct batch *b, size_t frames);
void batch_clear(struct batch *b);
void batch_release(struct batch *b);

/* What became of the key that an activation offers, into its detail. */
void item_outcome(struct batch *b, struct item *item, const char *outcome);

/* Sets kind and reason of an item that the database refused; the texts are copied. */
void item_poison(struct batch *b, struct item *item, const char *sqlstate, const char *message);

#endif
