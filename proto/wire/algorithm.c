#include "proto/wire/algorithm.h"

#include <string.h>

static const char *const algorithm_texts[ALGORITHM_COUNT] = {
#define ROW(number, name, text, doc) [number] = text,
	ALGORITHMS(ROW)
#undef ROW
};

static const struct {
	const char *text;
	enum algorithm algorithm;
} modes[CIPHER_MODE_COUNT] = {
#define ROW(number, name, text, algorithm, doc) [number] = { text, ALGORITHM_##algorithm },
	CIPHER_MODES(ROW)
#undef ROW
};

enum { BYTE_COUNT = 6 };

/* The one place that knows the bytes: row the protocol, column the byte as sent. */
static const uint8_t encryptions[PROTOCOL_COUNT][BYTE_COUNT] = {
	[PROTOCOL_GB17691] = { [2] = ALGORITHM_RSA,
			       [3] = ALGORITHM_SM2,
			       [4] = ALGORITHM_SM4,
			       [5] = ALGORITHM_AES128 },
	[PROTOCOL_HJ1239] = { [2] = ALGORITHM_SM2,
			      [3] = ALGORITHM_SM4,
			      [4] = ALGORITHM_RSA,
			      [5] = ALGORITHM_AES128 },
	[PROTOCOL_GBT32960_2016] = { [2] = ALGORITHM_RSA, [3] = ALGORITHM_AES128 },
	[PROTOCOL_GBT32960_2025] = { [2] = ALGORITHM_RSA,
				     [3] = ALGORITHM_AES128,
				     [4] = ALGORITHM_SM2,
				     [5] = ALGORITHM_SM4 },
};

const char *algorithm_text(unsigned algorithm)
{
	return algorithm < ALGORITHM_COUNT ? algorithm_texts[algorithm] : "unknown";
}

int algorithm_parse(const char *text)
{
	for (int i = 0; i < ALGORITHM_COUNT; i++)
		if (strcmp(text, algorithm_texts[i]) == 0)
			return i;
	return -1;
}

const char *cipher_mode_text(unsigned mode)
{
	return mode < CIPHER_MODE_COUNT ? modes[mode].text : "unknown";
}

int cipher_mode_parse(const char *text)
{
	for (int i = 0; i < CIPHER_MODE_COUNT; i++)
		if (strcmp(text, modes[i].text) == 0)
			return i;
	return -1;
}

bool cipher_mode_fits(enum algorithm algorithm, enum cipher_mode mode)
{
	const enum algorithm family = algorithm == ALGORITHM_AES128 ? ALGORITHM_SM4 : algorithm;

	if (family != ALGORITHM_SM2 && family != ALGORITHM_RSA && family != ALGORITHM_SM4)
		return false;
	return (unsigned)mode < CIPHER_MODE_COUNT &&
	       (mode == CIPHER_MODE_DEFAULT || modes[mode].algorithm == family);
}

enum algorithm encryption_algorithm(enum protocol protocol, uint8_t encryption)
{
	if ((unsigned)protocol >= PROTOCOL_COUNT || encryption >= BYTE_COUNT)
		return ALGORITHM_NONE;
	return (enum algorithm)encryptions[protocol][encryption];
}

uint8_t encryption_byte(enum protocol protocol, enum algorithm algorithm)
{
	if (algorithm == ALGORITHM_NONE)
		return 0x01;
	if ((unsigned)protocol >= PROTOCOL_COUNT)
		return 0;
	for (unsigned byte = 0; byte < BYTE_COUNT; byte++)
		if (encryptions[protocol][byte] == algorithm)
			return (uint8_t)byte;
	return 0;
}

enum algorithm signature_type_2025(uint8_t type)
{
	static const enum algorithm algorithms[] = { ALGORITHM_NONE, ALGORITHM_SM2, ALGORITHM_RSA,
						     ALGORITHM_P256 };

	return type < sizeof(algorithms) / sizeof(algorithms[0]) ? algorithms[type]
								 : ALGORITHM_NONE;
}
