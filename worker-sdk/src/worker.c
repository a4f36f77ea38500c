#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/* What is in the epoll set beside the sockets, which have the indexes of their listeners. */
enum source { SOURCE_CHANNEL = -1, SOURCE_TIMER = -2, SOURCE_BUS = -3 };
/* Sources that one look at the set finds. It begins where the last one ended, so that none is overlooked for ever. */
enum { MAX_READY = 16 };
/* Turns in which the likely source may have had something before the others are looked at as well. */
enum { MAX_GUESSES = 8 };
enum { DEFAULT_RESERVE = 32 }; /* for log files, a resolver, a few upstream connections */

static const uint64_t kLongestPeriod = 1000000000u;
static const uint64_t kShortestPeriod = 10000000u;
static const uint64_t kBeatsInLimit = 4;

static atomic_flag channel_is_taken = ATOMIC_FLAG_INIT;

uint64_t hf_now_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- what hf_fd watches ---- */

static void watch(struct hf_worker* worker, int descriptor, int source, uint32_t events) {
  struct epoll_event wanted = {.events = events, .data.fd = source};
  if (events == 0) {
    (void)epoll_ctl(worker->epoll, EPOLL_CTL_DEL, descriptor, NULL); /* ENOENT: it was not there */
  } else if (epoll_ctl(worker->epoll, EPOLL_CTL_MOD, descriptor, &wanted) < 0 && errno == ENOENT) {
    (void)epoll_ctl(worker->epoll, EPOLL_CTL_ADD, descriptor, &wanted);
  }
}

void hf_watch_intake(struct hf_worker* worker) {
  /* Not reading means out of the set altogether: EPOLLHUP cannot be masked. Frames that wait then go out with the
   * timer. */
  const bool reading = worker->intake == INTAKE_READING;
  if (worker->channel >= 0)
    watch(worker, worker->channel, SOURCE_CHANNEL, reading ? EPOLLIN | (worker->blocked ? (uint32_t)EPOLLOUT : 0) : 0);
}

void hf_watch_bus(struct hf_worker* worker, int descriptor, uint32_t events) {
  watch(worker, descriptor, SOURCE_BUS, events);
}

void hf_watch_socket(struct hf_worker* worker, size_t listener) {
  const int descriptor = worker->sockets[listener].descriptor;
  if (descriptor >= 0) watch(worker, descriptor, (int)listener, hf_wants_socket(worker, listener) ? EPOLLIN : 0);
}

void hf_set_intake(struct hf_worker* worker, enum intake intake) {
  worker->intake = intake;
  hf_watch_intake(worker);
  for (size_t i = 0; i < worker->info.listeners; ++i) hf_watch_socket(worker, i);
}

/* ---- open and close ---- */

static int system_failure(const char* doing) {
  const int failure = errno;
  hf_set_error("open the worker: %s: %s", doing, strerror(failure));
  return -failure;
}

static int open_from_environment(struct hf_worker* worker) {
  if (atomic_flag_test_and_set(&channel_is_taken)) {
    hf_set_error(
        "open the worker: this process has it open already; one object serves the whole process, because there is one "
        "channel");
    return -EBUSY;
  }
  const int status = hf_read_environment(worker);
  /* A supervisor that does not know yet whom it starts has us signalled at its end. We hear of that by the channel, and drain. */
  if (status >= 0) (void)prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
  if (status < 0 && worker->channel < 0) atomic_flag_clear(&channel_is_taken); /* else hf_close does */
  return status;
}

static int open_intake(struct hf_worker* worker, const struct hf_options* options) {
  if (getenv(HF_ENV_CHANNEL) != NULL) return open_from_environment(worker);
  if (options->standalone_count > 0) return hf_listen(worker, options);
  hf_set_error(
      HF_ENV_CHANNEL
      " is not set: start this program with `holdfast run -- PROGRAM`, or give it an address to listen on by itself "
      "(hf_options.standalone)");
  return -ENOENT;
}

static int start_timer(struct hf_worker* worker) {
  const uint64_t limit = worker->info.heartbeat_ns;
  uint64_t period = limit == 0 ? kLongestPeriod : limit / kBeatsInLimit;
  if (period > kLongestPeriod) period = kLongestPeriod;
  if (period < kShortestPeriod) period = kShortestPeriod;
  worker->period_ns = period;
  worker->next_beat_ns = hf_now_ns() + period;
  worker->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (worker->timer < 0) return system_failure("make the heartbeat timer");
  const struct itimerspec when = {
      .it_value = {.tv_sec = (time_t)(worker->next_beat_ns / 1000000000u),
                   .tv_nsec = (long)(worker->next_beat_ns % 1000000000u)},
      .it_interval = {.tv_sec = (time_t)(period / 1000000000u), .tv_nsec = (long)(period % 1000000000u)}};
  if (timerfd_settime(worker->timer, TFD_TIMER_ABSTIME, &when, NULL) < 0)
    return system_failure("set the heartbeat timer");
  struct epoll_event wanted = {.events = EPOLLIN, .data.fd = SOURCE_TIMER};
  if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->timer, &wanted) < 0)
    return system_failure("watch the heartbeat timer");
  return 0;
}

static int check_room(struct hf_worker* worker) {
  hf_count_descriptors(worker);
  if (hf_has_room(worker)) return 0;
  hf_set_error(
      "open the worker: RLIMIT_NOFILE is %lld, too low for %lld open descriptors and a reserve of %lld; raise it "
      "(ulimit -n)",
      (long long)worker->limit, (long long)worker->others, (long long)worker->reserve);
  return -EMFILE;
}

static int set_up(struct hf_worker* worker, const struct hf_options* options) {
  worker->reserve = HF_MAX_BATCH + (options->descriptor_reserve != 0 ? options->descriptor_reserve : DEFAULT_RESERVE);
  int status = open_intake(worker, options);
  if (status < 0) return status;
  worker->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (worker->epoll < 0) return system_failure("make an epoll instance");
  if ((status = start_timer(worker)) < 0) return status;
  if ((status = check_room(worker)) < 0) return status;
  hf_start_sockets(worker, options->flags);
  hf_set_intake(worker, INTAKE_READING);
  /* From here on nothing fails: the supervisor may know us. */
  if (worker->channel >= 0) worker->unsent = UNSENT_HELLO;
  hf_flush(worker);
  hf_heartbeat(worker);
  return 0;
}

int hf_open(const struct hf_options* options, struct hf_worker** worker) {
  struct hf_options wanted = {.size = sizeof wanted};
  *worker = NULL;
  if (options != NULL) {
    if (options->size < sizeof(size_t)) {
      hf_set_error("open the worker: hf_options.size is %zu; set it to sizeof(struct hf_options)", options->size);
      return -EINVAL;
    }
    memcpy(&wanted, options, options->size < sizeof wanted ? options->size : sizeof wanted);
  }
  struct hf_worker* made = calloc(1, sizeof *made);
  if (made == NULL) {
    hf_set_error("open the worker: out of memory");
    return -ENOMEM;
  }
  made->epoll = made->timer = made->channel = made->page_descriptor = made->bus_descriptor = -1;
  made->limit = INT32_MAX;
  const int status = set_up(made, &wanted);
  if (status < 0) {
    hf_close(made);
    return status;
  }
  *worker = made;
  return 0;
}

static void close_if_open(int descriptor) {
  if (descriptor >= 0) (void)close(descriptor);
}

void hf_close(struct hf_worker* worker) {
  if (worker == NULL) return;
  while (worker->batch_next < worker->batch_count) { /* nobody else knows of these */
    (void)close(worker->descriptors[worker->batch_next++]);
    hf_closed(worker, 1);
  }
  hf_close_bus(worker);
  hf_close_sockets(worker);
  close_if_open(worker->timer);
  close_if_open(worker->epoll);
  if (worker->page != NULL && worker->page != &worker->own_page) (void)munmap(worker->page, HF_PAGE_SIZE);
  close_if_open(worker->page_descriptor);
  if (worker->channel >= 0) {
    close_if_open(worker->channel);
    atomic_flag_clear(&channel_is_taken);
  }
  free(worker->listeners);
  free(worker->text);
  free(worker);
}

/* ---- beats ---- */

static void beat(struct hf_worker* worker, uint64_t now) {
  __atomic_store_n(&worker->page->heartbeat_ns, now, __ATOMIC_RELEASE);
}

/* Reads connections again if there is room. A count is made at most once between two beats. */
static void end_starvation(struct hf_worker* worker) {
  if (worker->pause) return;
  if (!hf_has_room(worker) && worker->may_count) hf_count_descriptors(worker);
  hf_set_intake(worker, hf_has_room(worker) ? INTAKE_READING : INTAKE_STARVED);
}

static void starve(struct hf_worker* worker) {
  hf_set_intake(worker, INTAKE_STARVED);
  end_starvation(worker); /* a release of another thread may have missed the line above */
}

/* The supervisor may end while we do not read: then only a look at the channel tells. */
static bool hung_up(const struct hf_worker* worker) {
  struct pollfd channel = {.fd = worker->channel};
  return poll(&channel, 1, 0) == 1 && (channel.revents & POLLHUP) != 0;
}

static void on_timer(struct hf_worker* worker, uint64_t now) {
  uint64_t expirations;
  (void)!read(worker->timer, &expirations, sizeof expirations); /* EAGAIN: read already */
  while (worker->next_beat_ns <= now) worker->next_beat_ns += worker->period_ns;
  worker->may_count = true;
  worker->pause = false;
  if (!worker->has_page && worker->intake != INTAKE_ENDED) hf_send_heartbeat(worker);
  if (worker->intake == INTAKE_STARVED) end_starvation(worker);
  if (worker->intake == INTAKE_STARVED && worker->channel >= 0)
    worker->channel_may_have = worker->may_peek = true; /* a DRAIN, or the end, needs no descriptor */
  hf_resume_sockets(worker);
  if (worker->intake == INTAKE_STOPPED && hung_up(worker)) {
    worker->intake = INTAKE_READING; /* hf_next finds the connections, or the end behind them */
    worker->draining = false;
    hf_watch_intake(worker);
  }
}

void hf_heartbeat(struct hf_worker* worker) {
  beat(worker, hf_now_ns());
  if (!worker->has_page) hf_send_heartbeat(worker);
}

/* ---- events ---- */

/* Marks the sources that are ready. Whether there was one beside the timer. `told`: the program hears of them at once. */
static bool mark_ready(struct hf_worker* worker, const struct epoll_event* ready, int count, bool told) {
  bool any = false;
  for (int i = 0; i < count; ++i) {
    const int source = ready[i].data.fd;
    if (source == SOURCE_TIMER) continue;
    any = true;
    if (source == SOURCE_CHANNEL) {
      worker->channel_may_have = true;
    } else if (source == SOURCE_BUS) {
      worker->bus_may_have = true;
      if ((ready[i].events & (uint32_t)EPOLLOUT) != 0) hf_bus_on_room(worker, told);
    } else {
      hf_mark_socket(worker, (size_t)source);
    }
  }
  worker->in_turn = worker->in_turn || any;
  return any;
}

static void ask_which_are_ready(struct hf_worker* worker) {
  struct epoll_event ready[MAX_READY];
  (void)mark_ready(worker, ready, epoll_wait(worker->epoll, ready, MAX_READY, 0), false);
  worker->guesses = 0;
}

/* The socket that accepts, else the channel: what is ready nearly always, and to try it costs less than to ask. */
static void mark_the_likely_one(struct hf_worker* worker) {
  bool any = false;
  for (size_t i = 0; i < worker->info.listeners; ++i) {
    if (worker->sockets[i].state == SOCKET_LEFT) continue;
    hf_mark_socket(worker, i);
    any = true;
  }
  if (!any) worker->channel_may_have = worker->channel >= 0;
}

/* A turn looks at every source that is ready at its beginning, by turns, until none of them has more, or has had its
 * share. Then the program waits for hf_fd, which tells at once when something was left. A guess that was right leaves
 * out the other sources, so it is not made for ever. */
static void begin_turn(struct hf_worker* worker) {
  worker->in_turn = true;
  if (worker->may_guess && (worker->sole || worker->guesses < MAX_GUESSES)) {
    ++worker->guesses;
    worker->guessed = !worker->sole;
    mark_the_likely_one(worker);
  } else {
    ask_which_are_ready(worker);
  }
}

static enum hf_event_type look_at_channel(struct hf_worker* worker, struct hf_event* event) {
  enum hf_event_type type = HF_EVENT_NONE;
  if (worker->intake == INTAKE_READING || (worker->intake == INTAKE_STARVED && worker->may_peek)) {
    type = hf_receive(worker, event);
    worker->may_peek = false;
  } else {
    hf_watch_intake(worker); /* a release of another thread may have put it back */
  }
  if (type == HF_EVENT_NONE) worker->channel_may_have = false;
  return type;
}

static enum hf_event_type look_at_bus(struct hf_worker* worker, struct hf_event* event) {
  const enum hf_event_type type = hf_bus_next(worker, event);
  if (type == HF_EVENT_NONE) worker->bus_may_have = false;
  return type;
}

/* The next source of the turn, the channel being the one after the last listener, and the bus the one after that; behind
 * them if there is none. */
static size_t next_source(const struct hf_worker* worker) {
  const size_t channel = worker->info.listeners;
  const size_t bus = channel + 1;
  for (size_t i = 0; i <= bus; ++i) {
    const size_t source = (worker->next_source + i) % (bus + 1);
    const bool may_have = source == bus       ? worker->bus_may_have
                          : source == channel ? worker->channel_may_have
                                              : worker->sockets[source].may_have;
    if (may_have) return source;
  }
  return bus + 1;
}

static enum hf_event_type look_at_marked(struct hf_worker* worker, struct hf_event* event) {
  const size_t channel = worker->info.listeners;
  const size_t bus = channel + 1;
  for (size_t source = next_source(worker); source <= bus; source = next_source(worker)) {
    worker->next_source = source + 1;
    const enum hf_event_type type = source == bus       ? look_at_bus(worker, event)
                                    : source == channel ? look_at_channel(worker, event)
                                                        : hf_look_at_socket(worker, source, event);
    if ((type == HF_EVENT_DRAIN || type == HF_EVENT_GONE) && hf_hold(worker, event))
      return hf_empty_sockets(worker, event);
    if (type != HF_EVENT_NONE) return type;
  }
  return event->type = HF_EVENT_NONE;
}

static enum hf_event_type look_around(struct hf_worker* worker, struct hf_event* event) {
  if (!worker->in_turn) begin_turn(worker);
  enum hf_event_type type = look_at_marked(worker, event);
  if (type == HF_EVENT_NONE && worker->guessed) {
    ask_which_are_ready(worker);
    type = look_at_marked(worker, event);
  }
  worker->guessed = false;
  if (type == HF_EVENT_NONE) worker->in_turn = false;
  return type;
}

static enum hf_event_type next_event(struct hf_worker* worker, struct hf_event* event) {
  const uint64_t now = hf_now_ns();
  beat(worker, now);
  if (now >= worker->next_beat_ns) on_timer(worker, now);
  worker->last_record = 0;
  if (worker->batch_next < worker->batch_count) return hf_give_out(worker, event);
  hf_flush(worker);
  event->type = HF_EVENT_NONE;
  if (worker->held.type != HF_EVENT_NONE) return hf_empty_sockets(worker, event);
  if (worker->intake == INTAKE_STARVED) end_starvation(worker);
  if (worker->intake == INTAKE_READING && !hf_has_room(worker)) starve(worker);
  return look_around(worker, event);
}

enum hf_event_type hf_next(struct hf_worker* worker, struct hf_event* event) {
  const enum hf_event_type type = next_event(worker, event);
  worker->expects_next = type != HF_EVENT_NONE;
  if (type == HF_EVENT_NONE) hf_bus_send_gathered(worker);
  return type;
}

int hf_fd(const struct hf_worker* worker) { return worker->epoll; }

int hf_wait(struct hf_worker* worker, int timeout_ms) {
  worker->expects_next = false;
  hf_bus_send_gathered(worker);
  const uint64_t end = hf_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000u;
  for (;;) {
    if (worker->batch_next < worker->batch_count || worker->held.type != HF_EVENT_NONE || hf_bus_has_more(worker))
      return 1;
    uint64_t now = hf_now_ns();
    const int remaining = timeout_ms < 0 ? -1 : now >= end ? 0 : (int)((end - now + 999999u) / 1000000u);
    struct epoll_event ready[MAX_READY];
    const int count = epoll_wait(worker->epoll, ready, MAX_READY, remaining);
    if (count < 0) {
      hf_set_error("wait for an event: %s", strerror(errno));
      return -errno;
    }
    now = hf_now_ns();
    beat(worker, now);
    if (mark_ready(worker, ready, count, true)) return 1;
    if (count > 0) {
      on_timer(worker, now);
      hf_flush(worker);
      if (worker->may_peek) return 1;
    } else if (timeout_ms >= 0 && now >= end) {
      return 0;
    }
  }
}

/* ---- what the program tells ---- */

void hf_ready(struct hf_worker* worker) {
  if (worker->channel < 0 || worker->ready) return;
  worker->ready = true;
  worker->unsent |= UNSENT_READY;
  hf_flush(worker);
}

/* SplitMix64 (Sebastiano Vigna, public domain): numbers in a row are spread evenly. */
static uint64_t mixed(uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t hf_close_at(const struct hf_worker* worker, uint64_t id) {
  if (!worker->draining) return UINT64_MAX;
  const uint64_t share = mixed(id) >> 32; /* of 2^32 */
  const uint64_t spread = worker->drain_spread_ns;
  return worker->drain_began_ns + (spread >> 32) * share + ((spread & UINT32_MAX) * share >> 32);
}

void hf_drained(struct hf_worker* worker) {
  if (worker->channel < 0) return;
  worker->unsent |= UNSENT_DRAINED;
  hf_flush(worker);
}

void hf_closed(struct hf_worker* worker, uint64_t number) {
  (void)__atomic_fetch_add(&worker->page->closed, number, __ATOMIC_RELAXED);
  if (!worker->has_page) worker->unsent_closed += number;
  worker->closed += (int64_t)number;
  /* The owner's thread may sleep on hf_fd: put the intake back into its set. It decides again when it wakes. */
  if (worker->intake != INTAKE_STARVED || !hf_has_room(worker)) return;
  if (worker->channel >= 0) watch(worker, worker->channel, SOURCE_CHANNEL, EPOLLIN);
  for (size_t i = 0; i < worker->info.listeners; ++i)
    if (worker->sockets[i].state == SOCKET_ACCEPTING) watch(worker, worker->sockets[i].descriptor, (int)i, EPOLLIN);
}

void hf_release(struct hf_worker* worker, int fd) {
  const int keep = errno;
  (void)close(fd);
  hf_closed(worker, 1);
  errno = keep;
}

const struct hf_identity* hf_info(const struct hf_worker* worker) { return &worker->info; }

int hf_tag(const struct hf_worker* worker, const char* id, char* buffer, size_t size) {
  if (strchr(id, '~') != NULL) {
    hf_set_error("tag a session id: it has a '~', which separates the slot; choose ids without");
    return -EINVAL;
  }
  const int length = snprintf(buffer, size, "%s~%u", id, (unsigned)worker->info.slot);
  if (length >= 0 && (size_t)length < size) return length;
  hf_set_error("tag a session id: it needs %d bytes, and the buffer has %zu", length + 1, size);
  return -ENOSPC;
}
