#include "proto/wire/markdown.h"

#include "proto/wire/info.h"
#include "proto/wire/verdict.h"

static const char *family_name(enum info_family family)
{
	switch (family) {
	case INFO_EMISSION:
		return "GB 17691, HJ 1239";
	case INFO_EV_2016:
		return "GB/T 32960-2016";
	default:
		return "GB/T 32960-2025";
	}
}

static void put_scale(const struct field *f, FILE *out)
{
	if (f->kind == FIELD_NUMBER && f->bias != 0)
		fprintf(out, "%g, %+g", f->scale, f->bias);
	else if (f->kind == FIELD_NUMBER)
		fprintf(out, "%g", f->scale);
	else
		fputs(f->kind == FIELD_CODE	? "code"
		      : f->kind == FIELD_BITS	? "bits"
		      : f->kind == FIELD_BYTES	? "bytes"
		      : f->kind == FIELD_PADDED ? "text, padded with 0"
						: "text",
		      out);
}

/* The largest value; what lies above it is absent. */
static void put_max(const struct field *f, FILE *out)
{
	if (f->kind == FIELD_NUMBER || f->kind == FIELD_CODE)
		fprintf(out, "%.12g", f->max * f->scale + f->bias);
}

static void put_fields(const struct info *info, FILE *out)
{
	fputs("| byte | field | bytes | scale, offset | max | unit | standard's name | meaning |\n"
	      "|---|---|---|---|---|---|---|---|\n",
	      out);
	for (size_t i = 0; i < info->field_count; i++) {
		const struct field *f = &info->fields[i];

		fprintf(out, "| %u | `%s` | %u | ", f->offset, f->name, f->size);
		put_scale(f, out);
		fputs(" | ", out);
		put_max(f, out);
		fprintf(out, " | %s | %s | %s |\n", f->unit, f->label, f->doc);
	}
}

void info_markdown(FILE *out)
{
	for (size_t i = 0; info_all[i] != NULL; i++) {
		const struct info *info = info_all[i];

		fprintf(out, "### `%s`: %02X of %s (%s)\n\n%s; %zu bytes%s.\n\n", info->name,
			info->type, family_name(info->family), info->label, info->doc,
			info->fixed_size, info->size != NULL ? " and a list" : "");
		put_fields(info, out);
		fputs("\n", out);
	}
}

void verdict_markdown(FILE *out)
{
	fputs("| number | verdict | meaning |\n|---|---|---|\n", out);
	for (unsigned i = 0; i < VERDICT_COUNT; i++)
		fprintf(out, "| %u | `%s` | %s |\n", i, verdict_name(i), verdict_doc(i));
	fputs("\n", out);
}

void quirk_markdown(FILE *out)
{
	fputs("| bit | quirk | meaning |\n|---|---|---|\n", out);
	for (unsigned bit = 0; quirk_doc(bit) != NULL; bit++)
		fprintf(out, "| %u | `%s` | %s |\n", bit, quirk_name(bit), quirk_doc(bit));
	fputs("\n", out);
}
