/* What the files of the SDK share. The parts: environment.c (who we are), channel.c (frames in and out), standalone.c
 * (listening without a supervisor), descriptors.c (the reserve), worker.c (the calls of worker.h that tie them
 * together), address.c and error.c. */
#pragma once

#include <holdfast/channel.h>
#include <holdfast/worker.h>
#include <stdbool.h>
#include <stdint.h>

/* The kernel passes at most this many descriptors with one message (SCM_MAX_FD). */
enum { HF_MAX_DESCRIPTORS = 253 };
/* Standalone listeners; a worker that wants more wants the supervisor. */
enum { HF_MAX_STANDALONE = 16 };

/* What the SDK does with its channel or its standalone listeners. The descriptor that is not read is taken out of the
 * epoll set, so that hf_fd does not spin. */
enum intake {
  INTAKE_READING,
  INTAKE_STARVED, /* too few free descriptors: a message read now could lose some; ends when releases or a count at the
                     next beat say so */
  INTAKE_STOPPED, /* draining, and the next frame brings connections: they are the supervisor's to read back */
  INTAKE_ENDED    /* the supervisor is gone */
};

/* Frames that wait to be sent. They are kept until the channel takes them, in this order. */
enum unsent { UNSENT_HELLO = 1, UNSENT_READY = 2, UNSENT_DRAINED = 4 };

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

  int standalone[HF_MAX_STANDALONE];
  union hf_address standalone_address[HF_MAX_STANDALONE];
  size_t standalone_count;
  size_t standalone_next;
  uint64_t accepted;

  uint64_t period_ns;    /* of the timer */
  uint64_t next_beat_ns; /* when the timer fires next */

  _Atomic int intake; /* enum intake; other threads read it */
  bool draining;
  bool hello_is_out;
  bool ready;
  bool blocked;    /* the channel was full: wait for EPOLLOUT */
  bool pause;      /* the kernel was short of something: leave the intake alone until the next beat */
  bool rest;       /* the last batch was short, so the channel is probably empty: look again only when hf_fd says so */
  uint32_t unsent; /* enum unsent */
  uint64_t unsent_taken;
  uint64_t unsent_lost;
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
  int descriptors[HF_MAX_DESCRIPTORS];
  _Alignas(8) unsigned char frame[HF_MAX_FRAME];
};

/* error.c */
void hf_set_error(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* address.c: "host:port" to a socket address. Returns its length, 0 with the error text set. */
socklen_t hf_parse_address(const char* text, struct sockaddr_storage* address);

/* environment.c: fills info and the descriptors of `worker` from the environment; 0 or a negative errno with the error
 * text set. */
int hf_read_environment(struct hf_worker* worker);

/* standalone.c */
int hf_listen(struct hf_worker* worker, const struct hf_options* options);
enum hf_event_type hf_accept(struct hf_worker* worker, struct hf_event* event);
void hf_stop_listening(struct hf_worker* worker);

/* channel.c */
enum hf_event_type hf_receive(struct hf_worker* worker, struct hf_event* event);
enum hf_event_type hf_give_out(struct hf_worker* worker, struct hf_event* event);
void hf_flush(struct hf_worker* worker);
void hf_send_heartbeat(struct hf_worker* worker);

/* descriptors.c */
bool hf_has_room(const struct hf_worker* worker);
void hf_count_descriptors(struct hf_worker* worker);
/* The highest number that a new descriptor got: everything below it is in use. */
void hf_note_descriptor(struct hf_worker* worker, int highest);

/* worker.c: the epoll set follows `intake` and `blocked`. */
void hf_set_intake(struct hf_worker* worker, enum intake intake);
void hf_watch_intake(struct hf_worker* worker);
uint64_t hf_now_ns(void);
