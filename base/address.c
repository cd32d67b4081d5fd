/* See address.h. */
#include "base/address.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int bad(struct error *error, const char *text, size_t length, const char *why)
{
    return error_set(error, CAIRN_EINVAL, "address \"%.*s\": %s", (int)(length < 80 ? length : 80),
                     text, why);
}

static int parse_port(const char *text, size_t length, uint16_t *port)
{
    uint32_t value = 0;

    if (length == 0 || length > 5)
        return CAIRN_EINVAL;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return CAIRN_EINVAL;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX)
        return CAIRN_EINVAL;
    *port = (uint16_t)value;
    return CAIRN_OK;
}

static int is_host_byte(char c, int in_brackets)
{
    if (isalnum((unsigned char)c) || c == '.' || c == '-' || c == '_')
        return 1;
    return in_brackets && (c == ':' || c == '%');
}

static int parse_part(const char *text, size_t length, struct address *address, struct error *error)
{
    const char *colon = memrchr(text, ':', length);
    const char *host = text;
    size_t host_length;
    int in_brackets = length > 0 && text[0] == '[';

    if (colon == NULL)
        return bad(error, text, length, "not HOST:PORT");
    host_length = (size_t)(colon - text);
    if (in_brackets) {
        if (host_length < 3 || text[host_length - 1] != ']')
            return bad(error, text, length, "not [IPV6]:PORT");
        host = text + 1;
        host_length -= 2;
    }
    if (host_length == 0)
        return bad(error, text, length, "the host is empty");
    if (host_length > ADDRESS_HOST_MAX)
        return bad(error, text, length, "the host is longer than 255 bytes");
    for (size_t i = 0; i < host_length; i++)
        if (!is_host_byte(host[i], in_brackets))
            return bad(error, text, length,
                       "the host has a byte that no name has (an IPv6 address needs brackets)");
    if (parse_port(colon + 1, length - (size_t)(colon + 1 - text), &address->port) != CAIRN_OK)
        return bad(error, text, length, "the port is not a number from 1 to 65535");
    memcpy(address->host, host, host_length);
    address->host[host_length] = '\0';
    return CAIRN_OK;
}

int address_parse(const char *text, struct address *address, struct error *error)
{
    *address = (struct address){.port = 0};
    return parse_part(text, strlen(text), address, error);
}

int address_list_parse(const char *text, struct address_list *list, struct error *error)
{
    list->count = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        int status;

        if (list->count == ADDRESS_LIST_MAX)
            return error_set(error, CAIRN_EINVAL, "address list: more than %d addresses",
                             ADDRESS_LIST_MAX);
        status = parse_part(text, length, &list->items[list->count], error);
        if (status != CAIRN_OK)
            return status;
        list->count++;
        if (text[length] == '\0')
            return CAIRN_OK;
        text += length + 1;
    }
}

const char *address_format(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    if (strchr(address->host, ':') != NULL)
        snprintf(out, ADDRESS_TEXT_MAX, "[%s]:%u", address->host, (unsigned)address->port);
    else
        snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", address->host, (unsigned)address->port);
    return out;
}

int address_equal(const struct address *left, const struct address *right)
{
    return left->port == right->port && strcasecmp(left->host, right->host) == 0;
}
