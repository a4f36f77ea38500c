/* What the files of the SDK share. The parts: environment.c (who we are), channel.c (frames in and out), sockets.c
 * (listeners that this worker serves by itself), standalone.c (making them without a supervisor), descriptors.c (the
 * reserve), bus.c (messages), worker.c (the calls of worker.h that tie them together), address.c and
 * error.c. */
#pragma once

#include <holdfast/channel.h>
#include <holdfast/worker.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* The kernel passes at most this many descriptors with one message (SCM_MAX_FD). */
enum { HF_MAX_DESCRIPTORS = 253 };
/* Standalone listeners; a worker that wants more wants the supervisor. */
enum { HF_MAX_STANDALONE = 16 };

/* What the SDK does with its channel; STARVED holds for listening sockets as well. What is not read is taken out of the
 * epoll set, so that hf_fd does not spin. */
enum intake {
  INTAKE_READING,
  INTAKE_STARVED, /* too few free descriptors: a message read now could lose some; ends when releases or a count at the
                     next beat say so */
  INTAKE_STOPPED, /* draining, and the next frame brings connections: they are the supervisor's to read back */
  INTAKE_ENDED    /* the supervisor is gone */
};

/* What the SDK does with the socket of a listener. */
enum socket_state {
  SOCKET_LEFT,      /* nothing: there is none, the program polls it by itself, or the worker is leaving */
  SOCKET_ACCEPTING, /* unless the intake is starved */
  SOCKET_PAUSED,    /* accept4 failed for a reason that lies in the socket: until the next beat */
  SOCKET_EMPTYING,  /* the worker is leaving: what is queued is still served */
  SOCKET_DATAGRAMS  /* reported when it is readable */
};

/* The socket of a listener that this worker serves by itself: given with HOLDFAST_SOCKETS, or made in standalone
 * mode. */
struct hf_socket {
  int descriptor; /* -1: the listener's connections come through the channel */
  bool is_datagram;
  bool may_have;          /* something to read, as far as this turn knows */
  bool failed;            /* accept4 did, which was told */
  unsigned budget;        /* of accept4 calls, for this turn or for emptying */
  _Atomic int state;      /* enum socket_state; other threads read it */
  union hf_address local; /* as bound */
};

/* What the worker was told to do when its listening sockets are empty: the event is held back until then. */
struct hf_held {
  enum hf_event_type type; /* HF_EVENT_NONE: nothing */
  uint64_t deadline_ns;
};

/* Frames that wait to be sent. They are kept until the channel takes them, in this order. */
enum unsent { UNSENT_HELLO = 1, UNSENT_READY = 2, UNSENT_DRAINED = 4 };

struct hf_bus; /* bus.c */

struct hf_worker {
  struct hf_identity info;
  char* text; /* owns the strings of info and of the listeners */
  struct hf_listener* listeners;

  int epoll;
  int timer;
  int channel; /* -1 in standalone mode */
  int page_descriptor;
  struct hf_page* page; /* shared with the supervisor, or own_page */
  struct hf_page own_page;
  bool has_page;

  int bus_descriptor; /* -1: the supervisor has given none */
  struct hf_bus* bus; /* NULL until the program first uses it: who does not is not slowed down by it */
  bool bus_may_have;
  bool expects_next; /* the program has an event and will ask for the next */

  struct hf_socket* sockets; /* as many as listeners */
  bool has_sockets;          /* at least one of them is there */
  bool sole;                 /* one source and no datagrams: there is no need to ask the kernel which is ready */
  bool may_guess;            /* one socket that accepts, or none, and no datagrams */
  unsigned guesses;          /* turns since the kernel was asked */
  bool guessed;              /* this turn began with a guess, which has not proved right yet */
  bool in_turn;              /* the sources that may have something are marked */
  bool channel_may_have;
  bool may_peek;      /* the channel was not looked at since the last beat, though the intake is starved */
  size_t next_source; /* index of a listener, or their number for the channel */
  struct hf_held held;
  uint64_t id_base;  /* of connections that are accepted here */
  uint32_t accepted; /* their number, the lower half of the id */

  uint64_t period_ns;    /* of the timer */
  uint64_t next_beat_ns; /* when the timer fires next */

  _Atomic int intake; /* enum intake; other threads read it */
  bool draining;
  uint64_t drain_began_ns; /* when the first DRAIN was read */
  uint64_t drain_spread_ns;
  bool hello_is_out;
  bool ready;
  bool blocked;    /* the channel was full: wait for EPOLLOUT */
  bool pause;      /* the kernel was short of something: leave the intake alone until the next beat */
  uint32_t unsent; /* enum unsent */
  uint64_t unsent_taken;
  uint64_t unsent_lost;
  uint64_t unsent_accepted;
  _Atomic uint64_t unsent_closed;

  /* Descriptors of this process in use = others + taken - closed. */
  _Atomic int64_t others;
  _Atomic int64_t taken;
  _Atomic int64_t closed;
  _Atomic int64_t limit;
  int64_t reserve; /* HF_MAX_BATCH and what the program asked for */
  bool may_count;  /* /proc/self/fd was not counted since the last beat */

  /* The batch being given out. */
  uint32_t batch_next;
  uint32_t batch_count;
  uint32_t batch_offset; /* of the next record in frame */
  uint32_t last_record;  /* in frame, of the connection that was given out last; 0: it came without one */
  int descriptors[HF_MAX_DESCRIPTORS];
  _Alignas(8) unsigned char frame[HF_MAX_FRAME];
};

/* error.c */
void hf_set_error(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* address.c: "host:port" to a socket address. Returns its length, 0 with the error text set. */
#define HF_UNIX "unix:"
#define HF_UDP "udp://"
#define HF_INHERITED "fd:" /* before the number of an inherited descriptor */
socklen_t hf_parse_address(const char* text, struct sockaddr_storage* address);
bool hf_is_udp(const char* text);

/* environment.c: fills info and the descriptors of `worker` from the environment; 0 or a negative errno with the error
 * text set. */
int hf_read_environment(struct hf_worker* worker);

/* standalone.c */
int hf_listen(struct hf_worker* worker, const struct hf_options* options);

/* sockets.c */
int hf_make_room_for_sockets(struct hf_worker* worker, size_t count);
/* Takes `descriptor`, which the worker owns from now on even on failure, as the socket of a listener: finds out what it
 * is. `about` says where it comes from. */
int hf_adopt_socket(struct hf_worker* worker, size_t listener, int descriptor, const char* about);
/* From here on the sockets are served. */
void hf_start_sockets(struct hf_worker* worker, uint32_t flags);
void hf_close_sockets(struct hf_worker* worker);
bool hf_wants_socket(const struct hf_worker* worker, size_t listener);
/* It may have something to read: `hf_look_at_socket` finds out. */
void hf_mark_socket(struct hf_worker* worker, size_t listener);
enum hf_event_type hf_look_at_socket(struct hf_worker* worker, size_t listener, struct hf_event* event);
/* Holds `event`, which tells the worker to leave, until the queues are empty; false: there is nothing to wait for. */
bool hf_hold(struct hf_worker* worker, const struct hf_event* event);
enum hf_event_type hf_empty_sockets(struct hf_worker* worker, struct hf_event* event);
void hf_resume_sockets(struct hf_worker* worker);

/* channel.c */
enum hf_event_type hf_receive(struct hf_worker* worker, struct hf_event* event);
enum hf_event_type hf_give_out(struct hf_worker* worker, struct hf_event* event);
void hf_flush(struct hf_worker* worker);
void hf_send_heartbeat(struct hf_worker* worker);

/* bus.c */
void hf_close_bus(struct hf_worker* worker);
/* Whether messages of a frame that was read wait to be given out. */
bool hf_bus_has_more(const struct hf_worker* worker);
enum hf_event_type hf_bus_next(struct hf_worker* worker, struct hf_event* event);
/* Sends what was gathered, if anything: before the program sleeps or looks for something new. */
void hf_bus_send_gathered(struct hf_worker* worker);
/* The channel is writable. `told`: the program hears it at once. */
void hf_bus_on_room(struct hf_worker* worker, bool told);
/* The program may leave hf_next alone now: what is gathered must wake it. */
void hf_bus_watch(struct hf_worker* worker);

/* descriptors.c */
bool hf_has_room(const struct hf_worker* worker);
void hf_count_descriptors(struct hf_worker* worker);
/* The highest number that a new descriptor got: everything below it is in use. */
void hf_note_descriptor(struct hf_worker* worker, int highest);

/* worker.c: the epoll set follows `intake`, `blocked` and the states of the sockets. */
void hf_set_intake(struct hf_worker* worker, enum intake intake);
void hf_watch_intake(struct hf_worker* worker);
void hf_watch_socket(struct hf_worker* worker, size_t listener);
void hf_watch_bus(struct hf_worker* worker, int descriptor, uint32_t events);
uint64_t hf_now_ns(void);
