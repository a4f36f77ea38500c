// Fan-out of messages, measured the same way over Holdfast's bus and over Redis:
//
//   holdfast run -w W ... -- bus_bench            as a worker: slot 0 publishes, every slot counts
//   bus_bench redis SOCKET                        a process for each of W subscribers, and one that publishes
//   bus_bench pauses SECONDS                      how often, and for how long, this machine runs nobody at all
//
// What is done comes from the environment: BUS_BENCH_MESSAGES, BUS_BENCH_BYTES, BUS_BENCH_RATE (messages/s; 0: as fast as it goes),
// BUS_BENCH_SUBSCRIBERS, BUS_BENCH_SLEEP (1: who publishes sleeps until the next message is due, 0: it asks again and again). Each subscriber prints a line of JSON when it has them all: from when to when, and
// how many were how late.
#include <hiredis/hiredis.h>
#include <holdfast/bus.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

std::uint64_t now_ns() {
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t wish(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

const std::uint64_t messages = wish("BUS_BENCH_MESSAGES", 200000);
const std::size_t bytes = std::max<std::size_t>(wish("BUS_BENCH_BYTES", 128), 8);
const std::uint64_t rate = wish("BUS_BENCH_RATE", 0);
const std::uint64_t subscribers = wish("BUS_BENCH_SUBSCRIBERS", 8);
const bool sleeps = wish("BUS_BENCH_SLEEP", 0) != 0;

// Above 200 us to two digits, rounded up: so that a histogram is one line of a log.
std::uint32_t coarse(std::uint32_t latency) {
  std::uint32_t step = 1;
  while (latency / step >= 200) step *= 10;
  return (latency + step - 1) / step * step;
}

// What a subscriber counts. A message begins with the time at which it was published.
struct Count {
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  std::uint64_t first_sent = 0;
  std::vector<std::uint32_t> latencies;

  void hear(const void* data, std::size_t size) {
    std::uint64_t sent = 0;
    if (size < sizeof sent) return;
    std::memcpy(&sent, data, sizeof sent);
    if (received++ == 0) first_sent = sent;
    if (latencies.size() < 1'000'000) latencies.push_back(static_cast<std::uint32_t>((now_ns() - sent) / 1000));
  }
  [[nodiscard]] bool is_complete() const { return received + lost >= messages; }
  void print() {
    std::map<std::uint32_t, std::uint64_t> histogram;
    for (const std::uint32_t latency : latencies) ++histogram[coarse(latency)];
    std::printf("{\"received\":%llu,\"lost\":%llu,\"first_sent\":%llu,\"end\":%llu,\"latencies_us\":{",
                static_cast<unsigned long long>(received), static_cast<unsigned long long>(lost),
                static_cast<unsigned long long>(first_sent), static_cast<unsigned long long>(now_ns()));
    const char* comma = "";
    for (const auto& [latency, count] : histogram) {
      std::printf("%s\"%u\":%llu", std::exchange(comma, ","), latency, static_cast<unsigned long long>(count));
    }
    std::printf("}}\n");
    (void)std::fflush(stdout);
  }
};

// How many messages are due by now.
struct Pace {
  std::uint64_t begun = now_ns();
  std::uint64_t sent = 0;
  [[nodiscard]] std::uint64_t due() const {
    if (rate == 0) return messages;
    return std::min(messages, (now_ns() - begun) * rate / 1'000'000'000U + 1);
  }
  // Sleeps until the next one is due, or until `fd` is readable.
  void await_next(int fd) const {
    const std::uint64_t at = begun + sent * 1'000'000'000U / rate;
    const std::uint64_t now = now_ns();
    if (now >= at) return;
    const timespec left{static_cast<time_t>((at - now) / 1'000'000'000U),
                        static_cast<long>((at - now) % 1'000'000'000U)};
    pollfd waits{fd, POLLIN, 0};
    (void)::ppoll(&waits, 1, &left, nullptr);
  }
};

std::vector<char> message() { return std::vector<char>(bytes, 'x'); }

void date(std::vector<char>& text) {
  const std::uint64_t now = now_ns();
  std::memcpy(text.data(), &now, sizeof now);
}

// ---- as a worker ----

int work() {
  hf_worker* worker = nullptr;
  if (hf_open(nullptr, &worker) < 0) return 1;
  (void)hf_subscribe(worker, "bench", HF_ONLY_NEW);
  const bool publishes = hf_info(worker)->slot == 0;
  (void)::prctl(PR_SET_TIMERSLACK, 1);  // nanosecond: it shall not publish in bunches
  Count count;
  bool begun = false;
  bool told = false;
  Pace pace;
  std::vector<char> text = message();
  std::vector<hf_member> members(64);
  hf_ready(worker);
  for (hf_event event;;) {
    const bool is_due = publishes && begun && pace.sent < pace.due();
    if (is_due) {
      date(text);
      for (int i = 0; i < 256 && pace.sent < pace.due(); i++) {
        if (rate != 0) date(text);
        if (hf_publish(worker, "bench", text.data(), text.size()) < 0) break;
        ++pace.sent;
      }
    }
    while (hf_next(worker, &event) != HF_EVENT_NONE) {
      if (event.type == HF_EVENT_MESSAGE) count.hear(event.message.data, event.message.size);
      if (event.type == HF_EVENT_LOST) count.lost += event.lost;
      if (event.type == HF_EVENT_CONNECTION) {  // somebody says that all are there: begin
        hf_release(worker, event.connection.fd);
        if (!begun) pace = Pace{};
        begun = true;
      }
      if (event.type == HF_EVENT_DRAIN || event.type == HF_EVENT_GONE) {
        hf_close(worker);
        return 0;
      }
    }
    if (!told && count.is_complete()) {
      count.print();
      told = true;
    }
    const bool goes_on = publishes && begun && pace.sent < messages;
    if (goes_on && rate == 0) {
      if (hf_bus_flush(worker) < 0) (void)hf_wait(worker, -1);
    } else if (goes_on && sleeps) {
      pace.await_next(hf_fd(worker));
    } else if (goes_on) {
      (void)hf_wait(worker, 0);
    } else {
      (void)hf_wait(worker, -1);
    }
  }
}

// ---- over Redis ----

int subscribe(const char* socket, int ready) {
  redisContext* const redis = redisConnectUnix(socket);
  if (redis == nullptr || redis->err != 0) return 1;
  freeReplyObject(redisCommand(redis, "SUBSCRIBE bench"));
  (void)!::write(ready, "r", 1);
  Count count;
  void* reply = nullptr;
  while (!count.is_complete() && redisGetReply(redis, &reply) == REDIS_OK) {
    const auto* const array = static_cast<const redisReply*>(reply);
    if (array->elements == 3) count.hear(array->element[2]->str, array->element[2]->len);
    freeReplyObject(reply);
  }
  count.print();
  redisFree(redis);
  return 0;
}

int publish(const char* socket) {
  redisContext* const redis = redisConnectUnix(socket);
  if (redis == nullptr || redis->err != 0) return 1;
  std::vector<char> text = message();
  Pace pace;
  while (pace.sent < messages) {
    std::uint64_t batch = 0;
    while (batch < 256 && pace.sent < pace.due()) {
      if (batch == 0 || rate != 0) date(text);
      (void)redisAppendCommand(redis, "PUBLISH bench %b", text.data(), text.size());
      ++pace.sent;
      ++batch;
    }
    void* reply = nullptr;
    for (; batch > 0 && redisGetReply(redis, &reply) == REDIS_OK; --batch) freeReplyObject(reply);
  }
  redisFree(redis);
  return 0;
}

int over_redis(const char* socket) {
  int ready[2];
  if (::pipe(ready) != 0) return 1;
  for (std::uint64_t i = 0; i < subscribers; i++) {
    if (::fork() == 0) ::_exit(subscribe(socket, ready[1]));
  }
  char one = 0;
  for (std::uint64_t i = 0; i < subscribers; i++) (void)!::read(ready[0], &one, 1);
  const int published = publish(socket);
  while (::wait(nullptr) > 0) {
  }
  return published;
}

// ---- the machine itself ----

// A thread for each processor does nothing but ask for the time. Where it jumps, the processor did not run it: a virtual
// machine whose host has other things to do. No program that is measured meanwhile can answer in less.
int pauses(double seconds) {
  constexpr std::uint64_t kJump = 200'000;  // ns; more than any interrupt
  struct Found {
    std::uint64_t sum = 0;
    std::uint64_t longest = 0;
  };
  const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
  std::vector<Found> found(processors);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < processors; i++) {
    threads.emplace_back([i, seconds, &mine = found[i]] {
      cpu_set_t only;
      CPU_ZERO(&only);
      CPU_SET(i, &only);
      (void)::sched_setaffinity(0, sizeof only, &only);
      const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
      for (std::uint64_t last = now_ns(); last < end;) {
        const std::uint64_t now = now_ns();
        if (now - last > kJump) mine = {mine.sum + now - last, std::max(mine.longest, now - last)};
        last = now;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto worst = std::max_element(found.begin(), found.end(), [](auto& a, auto& b) { return a.sum < b.sum; });
  std::printf("{\"percent\":%.2f,\"longest_us\":%.0f}\n", static_cast<double>(worst->sum) / seconds / 1e7,
              static_cast<double>(worst->longest) / 1e3);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "pauses") return pauses(std::strtod(argv[2], nullptr));
  if (argc == 3 && std::string_view(argv[1]) == "redis") return over_redis(argv[2]);
  return work();
}
