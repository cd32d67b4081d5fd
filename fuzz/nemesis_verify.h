/* Whether all copies are equal. Private to the nemesis. */
#ifndef CAIRN_FUZZ_NEMESIS_VERIFY_H
#define CAIRN_FUZZ_NEMESIS_VERIFY_H

#include "fuzz/nemesis.h"

/* Asks `cairn admin verify` until it says so, for as long as healing may take; done if this version
 * of cairn does not have it. CAIRN_EIO with what differs. */
int nemesis_verify(struct nemesis *nemesis, struct error *error);

#endif
