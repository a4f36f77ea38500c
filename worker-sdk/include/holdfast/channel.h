/* The bytes between the Holdfast supervisor and a worker: one list, used by both sides and described for other
 * languages in PROTOCOL.md. This header has constants and layouts only; applications want <holdfast/worker.h>.
 *
 * The channel is a SOCK_SEQPACKET Unix socket pair: one message is one frame. Numbers are little-endian. A frame is a
 * hf_frame_header and what its type says. A receiver ignores frame types that it does not know and bytes beyond what it
 * knows of a frame or record: that is how the protocol grows without a new version. */
#ifndef HOLDFAST_CHANNEL_H
#define HOLDFAST_CHANNEL_H

#include <stdint.h>

#define HF_PROTOCOL_VERSION 1u

/* The environment of a worker. */
#define HF_ENV_CHANNEL "HOLDFAST_CHANNEL"       /* number of the worker's channel descriptor */
#define HF_ENV_PAGE "HOLDFAST_PAGE"             /* number of the counter page's descriptor (a sealed memfd) */
#define HF_ENV_SLOT "HOLDFAST_SLOT"             /* this worker's slot, from 0 */
#define HF_ENV_SLOTS "HOLDFAST_SLOTS"           /* number of slots of the pool when the worker was started */
#define HF_ENV_GENERATION "HOLDFAST_GENERATION" /* generation of program and configuration */
#define HF_ENV_POOL "HOLDFAST_POOL"             /* name of the pool */
#define HF_ENV_HEARTBEAT "HOLDFAST_HEARTBEAT"   /* milliseconds of silence after which it counts as hung; 0: never */
#define HF_ENV_LISTENERS "HOLDFAST_LISTENERS"   /* NAME=ADDRESS,... in index order ('%', ',' and '=' in %XX) */
#define HF_ENV_SOCKETS "HOLDFAST_SOCKETS"       /* descriptor,... in the order of the listeners; "-": the channel's */

#define HF_MAX_BATCH 64u   /* connections in one CONNECTIONS frame; the kernel's limit is 253 (SCM_MAX_FD) */
#define HF_MAX_FRAME 8192u /* bytes of one frame */

/* Supervisor to worker. */
#define HF_FRAME_CONNECTIONS 1u /* `count` records, and as many descriptors (SCM_RIGHTS) in the same order */
#define HF_FRAME_DRAIN 2u       /* hf_frame_drain: finish what you have, take nothing new, then leave */
/* Worker to supervisor. */
#define HF_FRAME_HELLO 64u     /* hf_frame_hello: first frame of a worker */
#define HF_FRAME_READY 65u     /* the worker can serve */
#define HF_FRAME_TAKEN 66u     /* hf_frame_number: taken up since the last TAKEN; with the page only when asked */
#define HF_FRAME_CLOSED 67u    /* hf_frame_number: closed since the last CLOSED; only from workers without the page */
#define HF_FRAME_HEARTBEAT 68u /* the worker's loop runs; only from workers without the page */
#define HF_FRAME_LOST 69u      /* hf_frame_number: descriptors that the kernel dropped at the limit of the worker */
#define HF_FRAME_DRAINED 70u   /* the worker has nothing left and will exit */
#define HF_FRAME_ACCEPTED \
  71u /* hf_frame_number: accepted since the last ACCEPTED; only from workers without the page */

struct hf_frame_header { /* 8 bytes */
  uint16_t type;
  uint16_t count;  /* records in a CONNECTIONS frame, else 0 */
  uint32_t length; /* of the whole frame, this header included; must equal the message's length */
};

struct hf_frame_drain { /* 24 bytes */
  struct hf_frame_header header;
  uint64_t deadline_ns; /* CLOCK_MONOTONIC: when the supervisor will end the worker */
  uint64_t spread_ns;   /* the time, from now on, over which it is to close its connections; 0: as soon as it can */
};
#define HF_FRAME_DRAIN_LEAST 16u /* bytes of the frame from a supervisor that knows no spread */

struct hf_frame_hello { /* 24 bytes */
  struct hf_frame_header header;
  uint32_t version; /* highest protocol version that the worker speaks */
  uint32_t flags;   /* HF_HELLO_ */
  uint64_t pid;     /* the worker's own idea; informative */
};
#define HF_HELLO_PAGE 1u    /* the worker counts and beats in the page; else it sends frames in its place */
#define HF_HELLO_SOCKETS 2u /* the worker serves the sockets of HOLDFAST_SOCKETS by itself */

struct hf_frame_number { /* 16 bytes */
  struct hf_frame_header header;
  uint64_t number;
};

#define HF_FAMILY_UNIX 1u
#define HF_FAMILY_IPV4 4u
#define HF_FAMILY_IPV6 6u

struct hf_connection_record { /* 72 bytes, and behind them, up to record_length, struct hf_record_detail ... */
  uint16_t record_length;     /* at least 72, in steps of 8; where the next record starts */
  uint16_t listener;          /* index into HOLDFAST_LISTENERS */
  uint16_t family;            /* HF_FAMILY_ of both addresses: of the client as it is placed and logged */
  uint16_t bucket;            /* the bucket that placed it */
  uint64_t id;                /* number of the connection, unique in the life of the supervisor */
  uint64_t accepted_ns;       /* CLOCK_MONOTONIC when it was accepted */
  uint8_t remote[16];         /* IPv6 bytes as on the wire; IPv4 as ::ffff:a.b.c.d; zeros for Unix */
  uint8_t local[16];
  uint16_t remote_port; /* host value, little-endian like every number here */
  uint16_t local_port;
  uint32_t flags;    /* HF_RECORD_; other bits are the supervisor's own */
  uint64_t reserved; /* the supervisor's own */
};
#define HF_RECORD_PROXIED 2u /* the addresses are those that a proxy told by the PROXY protocol */

/* What the proxy told beside them; a value follows, and then the next one. A type of 0 is the end. */
struct hf_record_detail { /* 4 bytes */
  uint16_t type;          /* enum hf_detail_type of worker.h: the types of the PROXY protocol, version 2 */
  uint16_t length;        /* of the value */
};

#define HF_CONNECTION_CHECK 1u /* no client's: the supervisor asks whether the worker is well */

/* The counter page: 4096 bytes, shared, sealed against shrinking and growing. Fields are 8-byte little-endian words,
 * written with atomic stores by one side only. The supervisor reads numbers from it and nothing else: no offset, length
 * or index. */
#define HF_PAGE_SIZE 4096u
#define HF_PAGE_MAGIC 0x656761707366u /* "fspage" */

struct hf_page {
  /* written by the supervisor */
  uint64_t magic;      /* HF_PAGE_MAGIC */
  uint64_t version;    /* HF_PROTOCOL_VERSION */
  uint64_t want_taken; /* not 0: send a TAKEN frame after taking up connections: the supervisor waits for room */
  uint64_t pad0[5];
  /* written by the worker; on a cache line of their own */
  uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the last heartbeat */
  uint64_t taken;        /* connections received from the channel by workers on this page, ever */
  uint64_t closed;       /* of taken and accepted together, closed or released */
  uint64_t lost;         /* descriptors that the kernel dropped (MSG_CTRUNC) */
  uint64_t accepted;     /* connections accepted by workers on this page from their own sockets, ever */
  uint64_t ready;        /* not 0: READY was sent, or is about to be: for a supervisor that has not heard it itself */
  uint64_t pad1[2];
};

#endif
