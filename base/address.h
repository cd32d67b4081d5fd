/* HOST:PORT addresses and comma-separated lists of them.
 *
 * HOST is a name, an IPv4 address or an IPv6 address in brackets. */
#ifndef CAIRN_BASE_ADDRESS_H
#define CAIRN_BASE_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { ADDRESS_HOST_MAX = 255, ADDRESS_TEXT_MAX = 264, ADDRESS_LIST_MAX = 256 };

struct address {
    char host[ADDRESS_HOST_MAX + 1]; /* without brackets */
    uint16_t port;                   /* 1 to 65535 */
};

struct address_list {
    size_t count;
    struct address items[ADDRESS_LIST_MAX];
};

/* CAIRN_EINVAL with a message that names the text and what is wrong with it. */
int address_parse(const char *text, struct address *address, struct error *error);
int address_list_parse(const char *text, struct address_list *list, struct error *error);
/* Writes HOST:PORT (IPv6 in brackets) with its NUL; returns `out`. */
const char *address_format(const struct address *address, char out[ADDRESS_TEXT_MAX]);
int address_equal(const struct address *left, const struct address *right);

#endif
