/* What tells the copies of a partition apart (W8): a digest over its pairs and sessions, and who is
 * taken to be wrong where digests differ. Pure.
 *
 * The digest does not depend on the order in which rows are added: pairs come from LMDB and from
 * memory tables, which differ between copies while what they hold together is the same. It is a sum
 * of checksums, which cover key, version, modification, expiry and value of a pair. */
#ifndef CAIRN_SERVER_DIGEST_H
#define CAIRN_SERVER_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

struct digest {
    uint64_t sum;
    uint64_t pairs, sessions;
    uint64_t bad; /* rows that could not be read: not in the sum */
};

/* What every copy knows of a session alike. */
struct digest_session {
    uint64_t client, number, used_ms, version;
    uint64_t code, existed, has_old_value;
};

/* `checksum` as in the store's record (value_checksum), verified. */
void digest_add_pair(struct digest *digest, uint64_t checksum);
void digest_add_session(struct digest *digest, const struct digest_session *session);
/* One number for it all, with where in the log it was taken. */
uint64_t digest_value(const struct digest *digest, uint64_t index, uint64_t log_time_ms);

/* One copy's, as it is compared. */
struct digest_copy {
    uint64_t value;
    uint64_t bad;
    bool differs; /* out: this copy is to be installed anew */
};
enum digest_verdict {
    DIGEST_ALIKE,     /* all, and nothing is bad */
    DIGEST_SOME,      /* those marked are wrong */
    DIGEST_UNDECIDED, /* all have bad rows: there is none to take the state from */
};
/* copies[0] is the primary's. Checksums decide where they tell: a copy with bad rows is wrong.
 * Among the others what most of them hold is right, and what the primary holds where that does not
 * tell, since all that clients have read is of that. The primary is marked alone: the next
 * comparison, under another one, tells about the rest. */
enum digest_verdict digest_judge(struct digest_copy *copies, uint32_t count);

#endif
