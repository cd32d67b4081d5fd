/* HOST:PORT addresses and lists of them. */
#include "base/address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ASCII only, whatever the locale says. */
static bool is_host_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '.' || byte == '_';
}

static bool all_host_bytes(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_host_byte(text[i]))
            return false;
    return length > 0;
}

static bool parse_port(const char *text, size_t length, uint16_t *port)
{
    uint32_t value = 0;

    if (length == 0 || length > 5)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* One way of writing an IPv6 address, so that equal ones compare equal; a %scope stays as it is. */
static bool parse_ipv6(const char *text, size_t length, char host[ADDRESS_HOST_MAX + 1])
{
    struct in6_addr parsed;
    const char *scope = memchr(text, '%', length);
    const size_t bare = scope == NULL ? length : (size_t)(scope - text);
    size_t used;

    if (length > ADDRESS_HOST_MAX - INET6_ADDRSTRLEN)
        return false;
    memcpy(host, text, bare);
    host[bare] = '\0';
    if (inet_pton(AF_INET6, host, &parsed) != 1)
        return false;
    if (scope != NULL && !all_host_bytes(scope + 1, length - bare - 1))
        return false;
    if (inet_ntop(AF_INET6, &parsed, host, ADDRESS_HOST_MAX + 1) == NULL)
        return false;
    used = strlen(host);
    if (scope != NULL) {
        memcpy(host + used, scope, length - bare);
        host[used + length - bare] = '\0';
    }
    return true;
}

/* The reason why text[0..length) is no address, or NULL if it is one. */
static const char *parse_item(const char *text, size_t length, struct address *address)
{
    const char *colon = memrchr(text, ':', length);
    size_t host_length;

    if (length == 0)
        return "is empty; wanted HOST:PORT";
    if (colon == NULL)
        return "has no port; wanted HOST:PORT";
    if (text[length - 1] == ']')
        return "has no port; wanted [IPV6]:PORT";
    host_length = (size_t)(colon - text);
    if (host_length == 0)
        return "has no host; wanted HOST:PORT";
    if (!parse_port(colon + 1, length - host_length - 1, &address->port))
        return "has a port that is not a number from 1 to 65535";
    if (text[0] == '[') {
        if (colon[-1] != ']' || !parse_ipv6(text + 1, host_length - 2, address->host))
            return "has no valid IPv6 address in its brackets";
        return NULL;
    }
    if (memchr(text, ':', host_length) != NULL)
        return "has several colons; an IPv6 address goes in brackets: [::1]:PORT";
    if (host_length > ADDRESS_HOST_MAX)
        return "has a host of more than 255 bytes";
    if (!all_host_bytes(text, host_length))
        return "has a host with other characters than letters, digits, '.', '-' and '_'";
    memcpy(address->host, text, host_length);
    address->host[host_length] = '\0';
    return NULL;
}

static int parse_or_explain(const char *text, size_t length, struct address *address,
                            struct error *error)
{
    const char *reason;

    *address = (struct address){.port = 0};
    reason = parse_item(text, length, address);
    if (reason == NULL)
        return 0;
    *address = (struct address){.port = 0};
    return error_set(error, CAIRN_EINVAL, "address '%.*s%s' %s", length > 64 ? 64 : (int)length,
                     text, length > 64 ? "..." : "", reason);
}

int address_parse(const char *text, struct address *address, struct error *error)
{
    return parse_or_explain(text, strlen(text), address, error);
}

int address_list_parse(const char *text, struct address_list *list, struct error *error)
{
    list->count = 0;
    for (;;) {
        const size_t length = strcspn(text, ",");
        int status;

        if (list->count == ADDRESS_LIST_MAX) {
            list->count = 0;
            return error_set(error, CAIRN_EINVAL, "list of addresses: more than %d",
                             ADDRESS_LIST_MAX);
        }
        status = parse_or_explain(text, length, &list->items[list->count], error);
        if (status != 0) {
            list->count = 0;
            return status;
        }
        list->count++;
        if (text[length] == '\0')
            return 0;
        text += length + 1;
    }
}

const char *address_format(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    const bool bracket = strchr(address->host, ':') != NULL;

    (void)snprintf(out, ADDRESS_TEXT_MAX, "%s%s%s:%u", bracket ? "[" : "", address->host,
                   bracket ? "]" : "", (unsigned)address->port);
    return out;
}

int address_equal(const struct address *left, const struct address *right)
{
    return left->port == right->port && strcasecmp(left->host, right->host) == 0;
}
