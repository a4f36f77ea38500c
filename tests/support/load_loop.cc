#include "support/load_loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <list>
#include <numeric>
#include <sstream>
#include <utility>

namespace holdfast::test {

namespace {

struct Attempt {
  int fd = -1;
  std::string source;
  std::string received;
  Clock::time_point deadline;
  enum class Stage { Connecting, Waiting } stage = Stage::Connecting;
};

// The connections under way and what they have told, in one thread.
class Load {
 public:
  Load(const LoadPlan& plan, LoadReport& report, std::atomic<std::uint64_t>& answered,
       std::atomic<std::uint64_t>& failed)
      : plan_(plan), report_(report), answered_(answered), failed_(failed), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
  ~Load() { ::close(epoll_); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  [[nodiscard]] bool wants_more() const {
    return attempts_.size() < plan_.at_a_time && (!plan_.connections || started_ < *plan_.connections);
  }
  [[nodiscard]] bool empty() const { return attempts_.empty(); }

  void start() {
    const std::string& source = plan_.sources[started_++ % plan_.sources.size()];
    const int fd = begin_connect(plan_.target, source);
    if (fd < 0) {
      record(Ending::Refused, source);
      return;
    }
    attempts_.push_back(Attempt{fd, source, {}, Clock::now() + plan_.patience, Attempt::Stage::Connecting});
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.ptr = &attempts_.back();
    (void)::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void turn() {
    epoll_event events[64];
    const int count = ::epoll_wait(epoll_, events, 64, 20);
    for (int i = 0; i < count; ++i) on_event(*static_cast<Attempt*>(events[i].data.ptr));
    const Clock::time_point now = Clock::now();
    // In order of their deadlines, for all have the same patience.
    while (!attempts_.empty() && attempts_.front().deadline <= now) end(attempts_.front(), Ending::TimedOut);
  }

 private:
  void on_event(Attempt& attempt) {
    if (attempt.stage == Attempt::Stage::Connecting) return on_connected(attempt);
    char buffer[4096];
    const ssize_t size = ::recv(attempt.fd, buffer, sizeof buffer, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return end(attempt, Ending::Reset);
    attempt.received.append(buffer, static_cast<std::size_t>(size));
    if (const std::optional<Response> response = parse_response(attempt.received)) on_response(attempt, *response);
  }

  void on_connected(Attempt& attempt) {
    int error = 0;
    socklen_t size = sizeof error;
    (void)::getsockopt(attempt.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return end(attempt, error == ECONNREFUSED ? Ending::Refused : Ending::Reset);
    const std::string request = request_for(plan_.path, "close");
    (void)!::send(attempt.fd, request.data(), request.size(), MSG_NOSIGNAL);  // a peer that is gone shows when we read
    attempt.stage = Attempt::Stage::Waiting;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &attempt;
    (void)::epoll_ctl(epoll_, EPOLL_CTL_MOD, attempt.fd, &event);
  }

  void on_response(Attempt& attempt, const Response& response) {
    if (response.code != 200 || response.slot < 0) return end(attempt, Ending::BadAnswer);
    report_.slots[attempt.source].insert(response.slot);
    ++report_.answered_by[response.pid];
    answered_.fetch_add(1, std::memory_order_relaxed);
    end(attempt, Ending::Answered);
  }

  void end(Attempt& attempt, Ending ending) {
    record(ending, attempt.source);
    // Closing alone does not end its events while a child of another thread, between fork and exec, has it open too.
    (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, attempt.fd, nullptr);
    ::close(attempt.fd);
    attempts_.remove_if([&](const Attempt& other) { return &other == &attempt; });
  }

  void record(Ending ending, const std::string& source) {
    constexpr std::size_t kTold = 10;
    ++report_.endings[ending];
    if (ending != Ending::Answered) failed_.fetch_add(1, std::memory_order_relaxed);
    if (ending != Ending::Answered && report_.failures.size() < kTold) {
      report_.failures.push_back(source + ": " + std::string(name_of(ending)));
    }
  }

  const LoadPlan& plan_;
  LoadReport& report_;
  std::atomic<std::uint64_t>& answered_;
  std::atomic<std::uint64_t>& failed_;
  int epoll_;
  std::uint64_t started_ = 0;
  std::list<Attempt> attempts_;  // stable addresses: epoll holds them
};

}  // namespace

std::uint64_t LoadReport::connections() const {
  return std::accumulate(endings.begin(), endings.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& entry) { return sum + entry.second; });
}

std::uint64_t LoadReport::answered() const {
  const auto found = endings.find(Ending::Answered);
  return found == endings.end() ? 0 : found->second;
}

std::vector<std::string> LoadReport::moved() const {
  std::vector<std::string> result;
  for (const auto& [source, seen] : slots) {
    if (seen.size() > 1) result.push_back(source);
  }
  return result;
}

std::string LoadReport::summary() const {
  std::ostringstream text;
  text << connections() << " connections:";
  for (const auto& [ending, count] : endings) text << " " << count << " " << name_of(ending) << ";";
  for (const std::string& failure : failures) text << "\n  " << failure;
  return text.str();
}

LoadLoop::LoadLoop(LoadPlan plan) : plan_(std::move(plan)), thread_([this] { work(); }) {}

LoadLoop::~LoadLoop() {
  if (thread_.joinable()) (void)stop();
}

LoadReport LoadLoop::stop() {
  stopping_.store(true);
  return finish();
}

LoadReport LoadLoop::finish() {
  thread_.join();
  return report_;
}

void LoadLoop::work() {
  Load load(plan_, report_, answered_, failed_);
  for (;;) {
    while (!stopping_.load(std::memory_order_relaxed) && load.wants_more()) load.start();
    if (load.empty()) return;
    load.turn();
  }
}

std::vector<std::string> ipv4_sources(unsigned count) {
  std::vector<std::string> sources;
  sources.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    sources.push_back("127." + std::to_string(1 + i / 200 % 250) + "." + std::to_string(i * 7 % 256) + "." +
                      std::to_string(1 + i % 200));
  }
  return sources;
}

}  // namespace holdfast::test
