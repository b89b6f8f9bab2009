/*
 * keys.c - haulgate-keys: makes, takes in, renews and ends the keys of the gateway and of the
 * terminals, their certificates, and the accounts of platforms.  See docs/keys.md.
 *
 * Secrets come from files or stdin and leave as files of mode 0600; never by arguments, never on
 * stdout, and no core dump has them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <openssl/crypto.h>

#include "tools/cli/keys.h"

static const struct argument_option options[] = {
	{ "config", "FILE", "take keys.dir from the configuration" },
	{ "dir", "DIR", "folder of the gateway's own keys" },
	{ "conninfo", "TEXT", "libpq connection string; without it: PGHOST, PGDATABASE, ..." },
	{ "actor", "NAME", "who does this, for audit_log; default: the login name" },
	{ "no-database", NULL, "write no line of audit_log: the database is not there yet" },
	{ "algorithm", "NAME", "sm2, rsa, p256, sm4 or aes128" },
	{ "mode", "NAME", "how units are encrypted: docs/protocol.md, \"Encrypted units\"" },
	{ "chip", "ID", "the security chip that holds the key; also the SM2 user id" },
	{ "file", "FILE", "read it from here; default: stdin" },
	{ "out", "FILE", "write the private or secret key here, mode 0600; never overwrites" },
	{ "uri", "URI",
	  "the pair is in a token (PKCS#11); its PIN comes from --file, never in the URI" },
	{ "valid-from", "TIME", "2026-11-16 or 2026-11-16T08:00:00+08:00; default: now" },
	{ "valid-to", "TIME", "default: without an end" },
	{ "overlap", "DAYS", "how long the key that is replaced stays good; default 30" },
	{ "reason", "TEXT", "why; it stays with the row" },
	{ "replace", NULL, "the vehicle's other signing keys end: the terminal was changed" },
	{ "beside", NULL, "the vehicle's other signing keys stay good" },
	{ "state", "STATE", "only these: pending, active, revoked" },
	{ "login", "LOGIN", "name at login, 1 to 12 characters" },
	{ "sources", "LIST", "addresses it may come from: 192.0.2.0/24,2001:db8::/32" },
	{ "no-tls", NULL, "may log in without TLS" },
	{ "add", NULL, "the vehicles are its from now on" },
	{ "remove", NULL, "the vehicles are its no more" },
	{ 0 },
};

static const struct argument_command commands[] = {
	{ "init", "", "no-database", 0, 0, keys_init,
	  "makes the folder, the wrapping key, an SM2 and an RSA pair; leaves what is there" },
	{ "create gateway", "", "algorithm uri file", 0, 0, keys_create_gateway,
	  "another pair of the gateway; terminals encrypt to its public half" },
	{ "create terminal", "VIN", "algorithm mode chip out valid-from valid-to", 1, 1,
	  keys_create_terminal,
	  "a key for a terminal: the private or secret half goes to --out, for its maker" },
	{ "import", "VIN", "algorithm mode chip file valid-from valid-to", 1, 1, keys_import,
	  "takes a terminal's public key (PEM, hex X || Y, certificate), or a symmetric key" },
	{ "import list", "FILE", "valid-from valid-to", 1, 1, keys_import_list,
	  "takes many public keys: a CSV or XLSX with vin, public_key and chip_id; all or none" },
	{ "mode", "VIN", "algorithm mode valid-from valid-to", 1, 1, keys_mode,
	  "how a terminal encrypts to the gateway's pair of that algorithm" },
	{ "list", "[VIN]", "state", 0, 1, keys_list, "keys of terminals, or of one" },
	{ "show", "KEY", "", 1, 1, keys_show, "all about one key, but no secret" },
	{ "rotate gateway", "", "algorithm uri file", 0, 0, keys_rotate_gateway,
	  "a new pair; the old ones still open units until they are revoked" },
	{ "rotate terminal", "VIN", "algorithm file out overlap", 1, 1, keys_rotate_terminal,
	  "a new key: made here (--out), or the terminal's new public one (--file)" },
	{ "rotate wrapping", "", "", 0, 0, keys_rotate_wrapping,
	  "a new wrapping key; all secrets are wrapped again; the old one stays until finish" },
	{ "finish", "", "", 0, 0, keys_finish,
	  "removes wrapping keys that nothing is wrapped with any more" },
	{ "revoke", "KEY|NAME", "reason", 1, 1, keys_revoke,
	  "ends a terminal's key, with its sessions, or a pair of the gateway" },
	{ "approve", "KEY", "replace beside reason", 1, 1, keys_approve,
	  "makes a pending activation good" },
	{ "reject", "KEY", "reason", 1, 1, keys_reject, "refuses a pending activation" },
	{ "export gateway", "", "", 0, 0, keys_export_gateway,
	  "public halves of the gateway's pairs for makers, PEM and hex" },
	{ "export terminal", "VIN", "", 1, 1, keys_export_terminal,
	  "public keys of a terminal with the times they were good for, as JSON" },
	{ "certificate add", "VIN", "file", 1, 1, keys_certificate_add,
	  "takes a terminal's certificate, whose SAN is URI:urn:vin:VIN" },
	{ "certificate revoke", "ID", "reason", 1, 1, keys_certificate_revoke, "ends one" },
	{ "certificate list", "[VIN]", "", 0, 1, keys_certificate_list, "certificates" },
	{ "platform add", "NAME", "login file sources no-tls", 1, 1, keys_platform_add,
	  "an account for a platform that reports to us; the password comes from --file or stdin" },
	{ "platform password", "LOGIN", "file", 1, 1, keys_platform_password, "a new password" },
	{ "platform block", "LOGIN", "reason", 1, 1, keys_platform_block, "lets it in no more" },
	{ "platform unblock", "LOGIN", "", 1, 1, keys_platform_unblock, "lets it in again" },
	{ "platform list", "", "", 0, 0, keys_platform_list, "accounts" },
	{ "platform vehicles", "LOGIN [VIN ...]", "add remove file", 1, 10000,
	  keys_platform_vehicles,
	  "the vehicles it may report; --add or --remove those named here or in --file" },
	{ 0 },
};

static const struct argument_program program = {
	.name = "haulgate-keys",
	.intro = "Keys of the gateway and of terminals, certificates, and accounts of platforms.\n"
		 "Every change is a line of audit_log, and reaches running gateways within a "
		 "second.\n",
	.outro = "\nRun it as the gateway's user: keys.dir must be its own.  docs/keys.md tells "
		 "the first day,\na new maker, a leaked key, the yearly rotation.\n"
		 "Exit: 0 done, 1 failed or refused, 2 wrong arguments.\n",
	.options = options,
	.common = "config dir conninfo actor",
	.commands = commands,
};

int keys_database(struct keys *k, const struct arguments *a)
{
	return session_open(&k->session, program.name, argument(a, "conninfo"),
			    argument(a, "actor"), &k->err);
}

int keys_folder(struct keys *k, const struct arguments *a, bool make)
{
	const char *path = argument(a, "dir"), *file = argument(a, "config");
	struct config *config = NULL;
	int rc;

	if (path == NULL && file != NULL) {
		if ((rc = config_load(file, &config, &k->err)) != 0)
			return rc;
		path = config->keys_dir;
	}
	rc = keys_dir_open(&k->dir, path, make, &k->err);
	config_free(config);
	return rc;
}

int keys_in_doubt(struct keys *k, const char *format, ...)
{
	const struct error cause = k->err;
	char text[1200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_set(&k->err, cause.code, "%.390s; %s", cause.text, text);
}

int main(int argc, char **argv)
{
	const struct rlimit none = { 0 };
	struct keys k = { .dir.fd = -1 };
	int code;

	umask(077);
	if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
		perror("haulgate-keys: cannot forbid core dumps");
		return ARGUMENT_FAILED;
	}
	/* Locked memory for BIO_s_secmem(); where there is none it is ordinary memory, wiped. */
	CRYPTO_secure_malloc_init(65536, 64);
	code = arguments_run(&program, argc, argv, &k);
	if (code < 0) {
		fprintf(stderr, "haulgate-keys: %s\n", k.err.text);
		code = ARGUMENT_FAILED;
	}
	session_close(&k.session);
	keys_dir_close(&k.dir);
	return fflush(stdout) == 0 ? code : ARGUMENT_FAILED;
}
