/* The bytes of the bus between the Holdfast supervisor and a worker; the words for them are in PROTOCOL.md, 10.
 * Applications want <holdfast/bus.h>.
 *
 * The bus has a channel of its own, a SOCK_SEQPACKET Unix socket pair, so that messages never stand in front of
 * connections. Each worker gets a new pair; it ends with the worker. The header of a frame, the order of bytes and what a
 * receiver ignores are those of <holdfast/channel.h>. */
#ifndef HOLDFAST_BUS_CHANNEL_H
#define HOLDFAST_BUS_CHANNEL_H

#include <holdfast/channel.h>
#include <stdint.h>

#define HF_ENV_BUS "HOLDFAST_BUS" /* number of the bus channel's descriptor; may be missing: then there is no bus */

#define HF_BUS_MAX_FRAME 81920u  /* bytes of one frame: room for the largest message that is not passed as a memfd */
#define HF_BUS_MAX_INLINE 65536u /* bytes of a message within a frame; larger ones are passed as a memfd */
#define HF_BUS_MAX_MESSAGE 67108864u   /* bytes of any message */
#define HF_BUS_MAX_NAME 255u           /* bytes of a topic, a pattern, the name of a pool, a key */
#define HF_BUS_MAX_MEMFDS 16u          /* descriptors that come with one frame */
#define HF_BUS_MAX_SUBSCRIPTIONS 1024u /* of one worker */
#define HF_BUS_LONGEST_CALL_MS 86400000u

/* Both ways. */
#define HF_BUS_MESSAGES 128u /* `count` records; with the frame come the descriptors of those that are HF_BUS_LARGE */
/* Worker to supervisor. The first frame of a worker is JOIN; the supervisor is silent before it. */
#define HF_BUS_JOIN 129u        /* hf_bus_join */
#define HF_BUS_SUBSCRIBE 130u   /* hf_bus_subscription and the pattern */
#define HF_BUS_UNSUBSCRIBE 131u /* the same; `after` is 0 */
/* Supervisor to worker. */
#define HF_BUS_WELCOME \
  144u /* hf_bus_welcome: the answer to JOIN; again when the supervisor was killed and another goes on */
#define HF_BUS_DROPPED \
  145u /* hf_frame_number: messages for this worker that were dropped here, since the last DROPPED; 0: some that it has
          subscribed to by `after` are not kept any more */
#define HF_BUS_MEMBERS 146u /* `count` hf_bus_pool: who is there, complete; `more` says that another one follows */

/* Kinds of records. */
#define HF_BUS_PUBLISH 1u /* name: the topic */
#define HF_BUS_SEND 2u    /* name: the pool, and a key: to the one worker that the pool's placement gives */
#define HF_BUS_CALL 3u    /* the same, and an answer is wanted */
#define HF_BUS_REPLY \
  4u /* to a CALL; `status` 0, or a negative errno when there was none. From the supervisor also about
                             a SEND that reached nobody */

#define HF_BUS_LARGE 1u /* flags: the data is in a sealed memfd, the next of those that came with the frame */

struct
    hf_bus_record { /* 48 bytes; then the name, a NUL, the key, a NUL, zeros up to a multiple of 8; then the data, and
                          zeros again */
  uint32_t length;  /* of all that: where the next record starts */
  uint16_t kind;    /* HF_BUS_PUBLISH ... */
  uint16_t flags;   /* HF_BUS_LARGE */
  uint16_t name_length;
  uint16_t key_length;
  uint32_t size;      /* of the data */
  uint32_t publisher; /* the number of the worker that it is from; 0: from outside. Set by the supervisor */
  int32_t status;     /* REPLY: 0 or a negative errno. CALL, worker to supervisor: milliseconds until it is too late */
  uint64_t sequence;  /* of PUBLISH: grows with every message of this supervisor. Set by the supervisor */
  uint64_t call; /* CALL, REPLY, SEND: the sender's own number; in a CALL to the one who answers, the supervisor's */
  uint64_t node; /* the machine that it comes from; 0: this one. Set by the supervisor */
};

struct hf_bus_join { /* 16 bytes */
  struct hf_frame_header header;
  uint32_t version; /* HF_PROTOCOL_VERSION */
  uint32_t flags;   /* 0 today */
};

struct hf_bus_welcome { /* 32 bytes */
  struct hf_frame_header header;
  uint32_t member;   /* this worker's number on the bus, not 0 */
  uint32_t flags;    /* 0 today */
  uint64_t node;     /* of this supervisor */
  uint64_t sequence; /* of the last message that was published */
};

struct hf_bus_subscription { /* 16 bytes, then the pattern */
  struct hf_frame_header header;
  uint64_t after; /* messages that are kept and have a higher sequence are sent again; HF_BUS_ONLY_NEW: none */
};
#define HF_BUS_ONLY_NEW UINT64_MAX

struct
    hf_bus_pool { /* 24 bytes, then the name, a NUL, zeros up to a multiple of 8, then a bit for each slot, the first lowest: it
                        serves; zeros up to a multiple of 8 */
  uint32_t length; /* of all that */
  uint16_t name_length;
  uint16_t slots;
  uint64_t node; /* 0: this one */
  uint32_t more; /* not 0: the list goes on in another frame */
  uint32_t reserved;
};

#endif
