/* Error codes shared by every module, and an error with a message for a person.
 *
 * Functions return 0 or one of these negative codes. client/cairn.h repeats the codes as the same
 * macros for users of the library; the compiler complains if the two ever differ. */
#ifndef CAIRN_BASE_ERROR_H
#define CAIRN_BASE_ERROR_H

#define CAIRN_OK        0
#define CAIRN_EINVAL    (-1) /* invalid argument or input; nothing was sent or changed */
#define CAIRN_ENOMEM    (-2) /* out of memory, or a configured memory limit was reached */
#define CAIRN_EIO       (-3) /* an input or output call failed */
#define CAIRN_ENOSPC    (-4) /* no room on the disk; not applied */
#define CAIRN_ETIMEDOUT (-5) /* ran out of time; not applied */
#define CAIRN_EUNKNOWN  (-6) /* ran out of time or lost the connection; outcome unknown */
#define CAIRN_EUNAVAILABLE                                                                         \
    (-7)                      /* the server cannot be reached or does not serve now; not applied */
#define CAIRN_ECORRUPT  (-8)  /* stored bytes fail their check */
#define CAIRN_EVERSION  (-9)  /* a format or protocol of a newer major version */
#define CAIRN_EBUSY     (-10) /* somebody else holds it */
#define CAIRN_EPROTO    (-11) /* the peer's message is not valid */
#define CAIRN_ENOTFOUND (-12) /* the key is absent */
#define CAIRN_EMISMATCH (-13) /* the key's version is another; not applied */
#define CAIRN_ETOOBIG   (-14) /* a length exceeds its limit */
#define CAIRN_ECANCELED (-15) /* given up by the caller */
#define CAIRN_ECONFLICT (-16) /* an identity contradicts what is known (cluster, server, store) */
#define CAIRN_EFULL     (-17) /* a bounded table or queue is full; not applied; try later */
#define CAIRN_EFENCED   (-18) /* another configuration or primary is in force; not applied */

enum { ERROR_MESSAGE_MAX = 512 };

/* An error with its message. A zeroed one says "no error". Owned by the caller. */
struct error {
    int code;
    char message[ERROR_MESSAGE_MAX];
};

/* Sets `error` (which may be NULL) and returns `code`, so that it ends a function:
 * `return error_set(error, CAIRN_EIO, "%s: %s", path, strerror(errno));`
 * The message names its subject first, is cut to ERROR_MESSAGE_MAX, and is one line: control bytes
 * become `?`. It may quote `error->message` itself. */
int error_set(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A short English text for a code, never NULL; static storage. */
const char *error_text(int code);

#endif
