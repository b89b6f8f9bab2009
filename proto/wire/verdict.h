/*
 * verdict.h - what the gateway found out about a frame: one list, used by the spool record,
 * the metrics, the quarantine table and the docs.
 *
 * ACCEPTED alone may be answered with success.  Numbers are stored: never reuse one.
 */
#ifndef PROTO_WIRE_VERDICT_H
#define PROTO_WIRE_VERDICT_H

/*        number  name               meaning */
#define VERDICTS(X)                                                                                \
	X(0, ACCEPTED, "accepted", "structure sound; stored as data")                              \
	X(1, BAD_CHECKSUM, "bad_checksum", "BCC does not match the bytes")                         \
	X(2, TOO_LONG, "too_long", "length field above the limit of its command")                  \
	X(3, BAD_UNIT, "bad_unit", "no known layout consumes the data unit exactly")               \
	X(4, BAD_TIME, "bad_time", "a time that no calendar has (month 99)")                       \
	X(5, ENCRYPTED, "encrypted", "data unit is encrypted and cannot be opened")                \
	X(6, NOT_LOGGED_IN, "not_logged_in", "report before login")                                \
	X(7, VIN_UNKNOWN, "vin_unknown", "VIN is not registered and the policy is reject")         \
	X(8, VIN_MISMATCH, "vin_mismatch", "another VIN than the one that logged in")              \
	X(9, VIN_TAKEN, "vin_taken", "VIN is logged in on another connection")                     \
	X(10, UNKNOWN_COMMAND, "unknown_command", "command that the protocol does not define")     \
	X(11, NOT_A_COMMAND, "not_a_command", "an answer frame sent to us; never answered")        \
	X(12, LOGIN_REFUSED, "login_refused", "platform login with a wrong name or password")      \
	X(13, VIN_MALFORMED, "vin_malformed", "VIN holds characters that no VIN has")              \
	X(14, DECRYPT_FAILED, "decrypt_failed", "a key is known, and the unit does not open")      \
	X(15, SIGNATURE_BAD, "signature_bad",                                                      \
	  "signature does not belong to the bytes and the key")                                    \
	X(16, SIGNATURE_MISSING, "signature_missing",                                              \
	  "policy wants a signature and there is none")                                            \
	X(17, SIGNATURE_KEY, "signature_key", "policy wants a signature and no key is known")      \
	X(18, PLAIN_REFUSED, "plain_refused", "policy wants encryption and the unit is plain")     \
	X(19, TRANSPORT_REFUSED, "transport_refused", "policy wants TLS or a certificate")         \
	X(20, CERTIFICATE_VIN, "certificate_vin",                                                  \
	  "certificate belongs to another VIN, or revoked")                                        \
	X(21, REVOKED, "revoked", "vehicle, terminal or platform is blocked")                      \
	X(22, NOT_THEIRS, "not_theirs", "VIN does not belong to this platform")                    \
	X(23, CHIP_TAKEN, "chip_taken", "activation: security chip belongs to another VIN")        \
	X(24, NOT_ACTIVATED, "not_activated", "activation: switched off by policy")                \
	X(25, THROTTLED, "throttled", "more logins than allowed; try again later")

#define VERDICT_ENUM_(number, name, text, doc) VERDICT_##name = (number),
enum verdict { VERDICTS(VERDICT_ENUM_) VERDICT_COUNT };
#undef VERDICT_ENUM_

/* The stable lower-case name; "unknown" for a number that is not in the list. */
const char *verdict_name(unsigned verdict);
const char *verdict_doc(unsigned verdict);

/*
 * Peculiarities of an accepted frame: a bit set kept with the record and the track row.
 * Numbers are stored: never reuse one.
 */
#define QUIRKS(X)                                                                                  \
	X(0, PLAIN_MARKED_ENCRYPTED, "plain_marked_encrypted", "marked encrypted, reads as plain") \
	X(1, BCD_TIME, "bcd_time", "time sent as BCD digits")                                      \
	X(2, LAYOUT_GUESSED, "layout_guessed", "several layouts fit; the likeliest was taken")     \
	X(3, UNKNOWN_INFO, "unknown_info", "an unknown or custom information type was kept raw")   \
	X(4, UNSIGNED, "unsigned", "protocol wants a signature and the unit has none")             \
	X(5, CLOCK, "clock", "terminal clock far from ours: stored as claimed, not assessed")      \
	X(6, OBD_VIN_DIFFERS, "obd_vin_differs", "VIN of the engine control unit differs")         \
	X(7, SIGNATURE_UNCHECKED, "signature_unchecked", "signed; not verified")                   \
	X(8, LATE, "late", "older than data already held for the vehicle")                         \
	X(9, SIGNATURE_SKIPPED, "signature_skipped", "not in the share that the policy checks")    \
	X(10, ICCID_DIFFERS, "iccid_differs", "login names another SIM than the registry")         \
	X(11, ACTIVATION_PENDING, "activation_pending",                                            \
	  "activation waits for a person's approval")                                              \
	X(12, PADDING_WRONG, "padding_wrong", "opened; the padding is not that of its mode")

#define QUIRK_ENUM_(bit, name, text, doc) QUIRK_##name = 1u << (bit),
enum quirk { QUIRKS(QUIRK_ENUM_) };
#undef QUIRK_ENUM_

/* "unknown" and NULL for a bit that is not in the list. */
const char *quirk_name(unsigned bit);
const char *quirk_doc(unsigned bit);

#endif
