/* Names of the switches of base/rules.h. */
#ifndef CAIRN_TESTS_SIM_RULES_H
#define CAIRN_TESTS_SIM_RULES_H

#include <stdint.h>

#include "base/rules.h"

const char *rule_name(enum broken_rule rule);
const char *rule_what(enum broken_rule rule);
/* BROKEN_COUNT if there is none of this name. */
enum broken_rule rule_of(const char *name);

#endif
