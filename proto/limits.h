/* Limits of every message and file; FORMATS.md and the .x files repeat the numbers. */
#ifndef CAIRN_PROTO_LIMITS_H
#define CAIRN_PROTO_LIMITS_H

enum {
    CAIRN_KEY_LIMIT = 480, /* LMDB's 511 less room for prefixes */
    CAIRN_VALUE_LIMIT = 1 << 20,
    CAIRN_MESSAGE_LIMIT = 512,
    CAIRN_ADDRESS_LIMIT = 263,
    CAIRN_MAP_LIMIT = 8 << 20,
    CAIRN_PACKED_LIMIT = 4096, /* one configuration */
    CAIRN_RECORDS_LIMIT = 4 << 20,
    CAIRN_SERVERS_LIMIT = 256,
    CAIRN_PARTITIONS_LIMIT = 16384,
    CAIRN_REPLICAS_LIMIT = 8,
    CAIRN_SCAN_PAIRS_LIMIT = 4096,    /* pairs in one SCAN reply */
    CAIRN_SCAN_BYTES_LIMIT = 2 << 20, /* keys and values in one SCAN reply; one pair always fits */
    CAIRN_RECORD_LIMIT = 12 << 20,    /* one RPC record, all fragments together */
};

#endif
