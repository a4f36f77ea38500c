/* The bus: messages between the workers of a Holdfast supervisor, and of several that share a Redis server.
 *
 *   hf_subscribe(worker, "chat.*.said", HF_ONLY_NEW);
 *   hf_publish(worker, "chat.lobby.said", "hello", 5);
 *   ... hf_next gives HF_EVENT_MESSAGE with event.message to every worker that has subscribed, the publisher included
 *
 * Topics are segments divided by dots; in a pattern `*` stands for one segment and `**` for any number. Messages of one
 * publisher reach one subscriber in their order, each at most once. A worker that takes them too slowly loses some, by the
 * policy that the supervisor was configured with, and is told how many (HF_EVENT_LOST).
 *
 * Nothing blocks. What is published is gathered and goes out with the next hf_next that finds nothing, hf_wait or
 * hf_bus_flush, or when a frame is full; until then hf_fd is readable. What is left goes out with hf_close, which waits for
 * that up to three seconds. When the supervisor takes no more, because this worker
 * has used up its credit, the calls return -EAGAIN and nothing is lost: go on when hf_fd is readable again.
 *
 * All of them return 0 or a negative errno, with hf_error_text: -ENOTCONN there is no bus (standalone, or a supervisor
 * without one), -EPIPE it has ended, -EINVAL a malformed name, -ENAMETOOLONG, -EMSGSIZE, -EAGAIN. Nothing was sent then.
 * A worker is on the bus from its first call of anything here on: one that only answers begins with hf_bus_flush, before
 * hf_ready. Until then hf_send and hf_call do not reach it.
 *
 * A large message for which the supervisor has no descriptor left comes back to whoever sent or published it, as
 * HF_EVENT_REPLY with -EMFILE; `call` is 0 if it was published.
 *
 * They belong to the worker's thread. Nothing is allocated for messages of up to 64 KiB; larger ones travel in sealed
 * memory that is mapped while they are looked at. */
#ifndef HOLDFAST_BUS_H
#define HOLDFAST_BUS_H

#include <holdfast/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HF_MAX_TOPIC 255u        /* bytes of a topic, a pattern, a key */
#define HF_MAX_MESSAGE 67108864u /* bytes of a message */

/* To every worker, on every machine, whose subscription matches. A message of more than 64 KiB stays on this machine if its topic
 * is one of the stream (option `bus.stream`); the others count it as missing. */
HF_API int hf_publish(struct hf_worker* worker, const char* topic, const void* data, size_t size);

/* `after`: HF_ONLY_NEW, or the sequence of the last message that was seen: messages that the supervisor keeps (its
 * option `retain`) and that came later are delivered first, however many; 0: all that are kept. If some that came later
 * are not kept any more, perhaps, HF_EVENT_LOST with `lost` 0 says so before them. */
#define HF_ONLY_NEW UINT64_MAX
HF_API int hf_subscribe(struct hf_worker* worker, const char* pattern, uint64_t after);
HF_API int hf_unsubscribe(struct hf_worker* worker, const char* pattern);

/* To the one worker that the placement of `pool` gives for the key: the same as long as the pool has as many slots. Where the
 * pool is one of several machines it may be on another: if that has a version that takes no more than 64 KiB, HF_EVENT_REPLY says
 * -EMSGSIZE for a longer message or answer.
 * `pool` NULL: this worker's own. -ENOENT there is no such pool; -EHOSTUNREACH none of its slots has a worker. A message
 * that was sent and reached nobody all the same comes back as HF_EVENT_REPLY with a negative status. */
HF_API int hf_send(struct hf_worker* worker, const char* pool, const char* key, const void* data, size_t size);

/* The same, and HF_EVENT_REPLY brings the answer, or at the latest after `timeout_ms` the reason why there is none:
 * -ETIMEDOUT, -EHOSTUNREACH, -ENOENT, -ECONNRESET (whoever was asked has ended), -ENOBUFS (he has answered, and there was no room
 * for it in the queue of this worker, which takes its messages too slowly). `*call` is its number there. Answers are never dropped;
 * a worker that has thousands to take up gets -EAGAIN until it has taken some. */
HF_API int hf_call(struct hf_worker* worker, const char* pool, const char* key, const void* data, size_t size,
                   uint32_t timeout_ms, uint64_t* call);
/* Answers an HF_EVENT_CALL: `call` is its message's. One that is too late is dropped. */
HF_API int hf_reply(struct hf_worker* worker, uint64_t call, const void* data, size_t size);

struct hf_member {
  uint64_t node; /* 0: this machine */
  uint32_t slot;
};
/* The slots of a pool that have a serving worker which is on the bus: writes up to `room` of them and returns their
 * number, which may be larger. -EAGAIN until the supervisor has told (HF_EVENT_MEMBERS), which the first call asks for. */
HF_API int hf_members(struct hf_worker* worker, const char* pool, struct hf_member* members, size_t room);

/* Sends what was gathered, as far as it goes: 0 or -EAGAIN. */
HF_API int hf_bus_flush(struct hf_worker* worker);

#ifdef __cplusplus
}
#endif
#endif
