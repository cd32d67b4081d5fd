/* What the files of the option parser share; nobody else includes it. */
#ifndef CAIRN_BASE_OPTIONS_INTERNAL_H
#define CAIRN_BASE_OPTIONS_INTERNAL_H

#include "base/options.h"

enum { OPTIONS_MAX = 64, OPTIONS_NAME_MAX = 64 };

/* Checks `text` and stores it in the spec's target. `source` names where it came from in errors:
 * `--data` or `CAIRN_DATA`. */
int options_store(const struct option_spec *spec, const char *source, const char *text,
                  struct error *error);
/* `number` as the value of the option would be written: 64M for bytes. */
void options_format_number(const struct option_spec *spec, uint64_t number, char *out, size_t size);
/* The name of the environment variable of an option. */
void options_variable(const struct option_spec *spec, char out[OPTIONS_NAME_MAX]);
/* The option whose name the user may have meant, or NULL. */
const char *options_nearest(const struct option_spec *specs, size_t count, const char *name);
void options_print_help(const struct options_usage *usage, const struct option_spec *specs,
                        size_t count);

#endif
