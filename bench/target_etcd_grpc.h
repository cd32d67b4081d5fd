/* Unary gRPC calls over one HTTP/2 connection, one at a time, without TLS.
 *
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
#ifndef CAIRN_BENCH_TARGET_ETCD_GRPC_H
#define CAIRN_BENCH_TARGET_ETCD_GRPC_H

#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/address.h"
#include "base/error.h"

struct grpc; /* used by one thread */

/* Connects. `*grpc` is NULL on failure. */
int grpc_open(const struct address *address, uint64_t timeout_ms, struct grpc **grpc,
              struct error *error);
void grpc_close(struct grpc *grpc);
/* Calls `path` (/SERVICE/METHOD, static) and awaits the answer, of `type`, which the caller frees
 * by protobuf_c_message_free_unpacked; NULL on failure. Errors name the address; an answer that
 * does not come in time is CAIRN_ETIMEDOUT, and what the server itself reports is given with its
 * text. After an error of the connection all further calls fail. */
int grpc_call(struct grpc *grpc, const char *path, const ProtobufCMessage *request,
              const ProtobufCMessageDescriptor *type, ProtobufCMessage **answer,
              struct error *error);

#endif
