/* Tells a person what nothing explains. */
#ifndef CAIRN_FUZZ_FINDINGS_H
#define CAIRN_FUZZ_FINDINGS_H

#include "base/error.h"
#include "fuzz/output.h"
#include "fuzz/plan.h"
#include "fuzz/watch.h"

/* Says what the finding is, with the operation that nothing explains marked. `foreign`: the text of
 * a value that no call wrote. CAIRN_ENOMEM. */
int findings_say(struct output *output, const struct plan *plan, const struct finding *finding,
                 const char *foreign, struct error *error);

#endif
