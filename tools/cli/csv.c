#include "tools/cli/csv.h"

#include <stddef.h>
#include <string.h>

bool csv_is_formula(const char *text)
{
	static const char *const full_width[] = { "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D",
						  "\xEF\xBC\xA0" };

	if (text[0] != '\0' && strchr("=+-@\t\r\n", text[0]) != NULL)
		return true;
	for (size_t i = 0; i < sizeof(full_width) / sizeof(full_width[0]); i++)
		if (strncmp(text, full_width[i], 3) == 0)
			return true;
	return false;
}
