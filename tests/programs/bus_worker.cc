// A worker that does on the bus what its clients ask for by HTTP, one request a connection, and counts what it hears:
//
//   /subscribe?p=PATTERN[&after=SEQUENCE]   /unsubscribe?p=PATTERN
//   /flood?t=TOPIC&n=COUNT[&size=BYTES]     publishes numbered messages, answered at once
//   /say?t=TOPIC&m=TEXT  /large?t=TOPIC&size=BYTES     topics mixed.0, mixed.1, ... are numbered, too
//   /send?pool=P&key=K&m=TEXT  /call?pool=P&key=K&m=TEXT&ms=TIME     call is answered with the reply:
//                                           "slot N heard TEXT", of "pid" the pid, of "silent" none, and "die" ends the worker;
//                                           with size=BYTES instead of a text it comes back as it is, and the answer tells its size
//   /garbage  /members?pool=P  /stats
#include <holdfast/bus.h>
#include <holdfast/worker.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Numbered {  // what a flood consists of
  std::uint64_t pid;
  std::uint64_t number;
};

struct Flood {
  std::string topic;
  std::uint64_t left = 0;
  std::uint64_t sent = 0;
  std::vector<char> bytes;
};

hf_worker* worker = nullptr;
Flood flood;
std::map<std::uint64_t, std::uint64_t> next_of;  // pid -> number that is due
std::map<std::uint64_t, int> callers;            // call -> connection
std::uint64_t received = 0, gaps = 0, disorder = 0, lost = 0, bad = 0, faults = 0, last_sequence = 0, undelivered = 0;
std::string last_text;
int last_status = 0;
bool ended = false;

std::map<std::string, std::string> query_of(std::string_view target) {
  std::map<std::string, std::string> query;
  std::size_t at = target.find('?');
  while (at != std::string_view::npos) {
    const std::size_t end = target.find('&', at + 1);
    const std::string_view item = target.substr(at + 1, end == std::string_view::npos ? end : end - at - 1);
    const std::size_t equals = item.find('=');
    query[std::string(item.substr(0, equals))] = equals == std::string_view::npos ? "" : item.substr(equals + 1);
    at = end;
  }
  return query;
}

std::uint64_t number(const std::string& text, std::uint64_t otherwise) {
  std::uint64_t value = otherwise;
  (void)std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

void answer(int fd, const std::string& body) {
  const std::string text =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  (void)!::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  hf_release(worker, fd);
}

std::string outcome(int status) {
  return "status=" + std::to_string(status) + (status < 0 ? " " + std::string(hf_error_text()) : "");
}

std::string stats() {
  std::string text;
  const auto add = [&](const char* name, std::uint64_t value) {
    text += std::string(name) + "=" + std::to_string(value) + "\n";
  };
  add("pid", static_cast<std::uint64_t>(::getpid()));
  add("slot", hf_info(worker)->slot);
  add("received", received);
  add("gaps", gaps);
  add("disorder", disorder);
  add("lost", lost);
  add("bad", bad);
  add("faults", faults);
  add("undelivered", undelivered);
  add("last_sequence", last_sequence);
  add("left", flood.left);
  return text + "text=" + last_text + "\nlast_status=" + std::to_string(last_status) + "\n";
}

// Too large for a frame: every byte is known from its place.
char pattern_at(std::size_t i) { return static_cast<char>(i * 31 + i / 4096); }

std::string large_text(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; i++) bytes[i] = pattern_at(i);
  return bytes;
}

int publish_large(const std::string& topic, std::size_t size) {
  const std::string bytes = large_text(size);
  return hf_publish(worker, topic.c_str(), bytes.data(), bytes.size());
}

void send_garbage() {
  const char* const name = std::getenv("HOLDFAST_BUS");
  const char bytes[] = "this is no frame of the bus";
  if (name != nullptr) (void)!::send(std::atoi(name), bytes, sizeof bytes, MSG_NOSIGNAL);
}

std::string members_text(const std::string& pool) {
  std::vector<hf_member> members(64);
  const int count = hf_members(worker, pool.empty() ? nullptr : pool.c_str(), members.data(), members.size());
  std::string text = outcome(count) + "\n";
  for (int i = 0; i < count; i++) text += std::to_string(members[static_cast<std::size_t>(i)].slot) + " ";
  return text;
}

void begin_flood(std::map<std::string, std::string>& query) {
  flood.topic = query["t"];
  flood.left = number(query["n"], 1);
  flood.bytes.assign(std::max<std::size_t>(number(query["size"], 128), sizeof(Numbered)), 'x');
}

void serve(int fd) {
  std::string request(8192, '\0');
  pollfd readable{fd, POLLIN, 0};
  (void)::poll(&readable, 1, 5000);
  const ssize_t size = ::recv(fd, request.data(), request.size(), 0);
  if (size <= 0) return hf_release(worker, fd);
  const std::string_view target = std::string_view(request).substr(4, request.find(' ', 4) - 4);
  const std::string_view path = target.substr(0, target.find('?'));
  auto query = query_of(target);
  const std::string text = query.contains("size") ? large_text(number(query["size"], 0)) : query["m"];
  if (path == "/subscribe") {
    return answer(fd, outcome(hf_subscribe(worker, query["p"].c_str(), number(query["after"], HF_ONLY_NEW))));
  }
  if (path == "/unsubscribe") return answer(fd, outcome(hf_unsubscribe(worker, query["p"].c_str())));
  if (path == "/say") return answer(fd, outcome(hf_publish(worker, query["t"].c_str(), text.data(), text.size())));
  if (path == "/large") return answer(fd, outcome(publish_large(query["t"], number(query["size"], 1 << 20))));
  if (path == "/members") return answer(fd, members_text(query["pool"]));
  if (path == "/send") {
    return answer(fd, outcome(hf_send(worker, query["pool"].c_str(), query["key"].c_str(), text.data(), text.size())));
  }
  if (path == "/call") {
    std::uint64_t call = 0;
    const int status = hf_call(worker, query["pool"].c_str(), query["key"].c_str(), text.data(), text.size(),
                               static_cast<std::uint32_t>(number(query["ms"], 5000)), &call);
    if (status < 0) return answer(fd, outcome(status));
    callers[call] = fd;
    return;
  }
  if (path == "/flood") begin_flood(query);
  if (path == "/garbage") send_garbage();
  answer(fd, stats());
}

void check_large(const hf_message& message) {
  const char* const bytes = static_cast<const char*>(message.data);
  for (std::size_t i = 0; i < message.size; i++) {
    if (bytes[i] == pattern_at(i)) continue;
    ++bad;
    return;
  }
}

void count(const Numbered& numbered) {
  std::uint64_t& due = next_of[numbered.pid];
  if (numbered.number > due) gaps += numbered.number - due;
  if (numbered.number < due) ++disorder;
  due = numbered.number + 1;
}

void hear(const hf_message& message) {
  ++received;
  last_sequence = std::max(last_sequence, message.sequence);
  const std::string_view topic = message.topic;
  const bool is_mixed = topic.starts_with("mixed.");
  if (is_mixed) count({0, number(std::string(topic.substr(6)), UINT64_MAX - 1)});
  if (is_mixed || message.size > 65536) return check_large(message);
  Numbered numbered{};
  if (message.size < sizeof numbered || !topic.starts_with("flood.")) {
    last_text.assign(static_cast<const char*>(message.data), message.size);
    return;
  }
  std::memcpy(&numbered, message.data, sizeof numbered);
  count(numbered);
}

void reply_to(const hf_message& message) {
  ++received;
  const std::string_view text(static_cast<const char*>(message.data), message.size);
  if (message.size > 65536) {
    check_large(message);
    return (void)hf_reply(worker, message.call, message.data, message.size);
  }
  if (text == "silent") return;
  if (text == "die") ::_exit(3);
  if (text == "pid") {
    const std::string pid = std::to_string(::getpid());
    return (void)hf_reply(worker, message.call, pid.data(), pid.size());
  }
  const std::string reply = "slot " + std::to_string(hf_info(worker)->slot) + " heard " + std::string(text);
  (void)hf_reply(worker, message.call, reply.data(), reply.size());
}

void end_call(const hf_message& message) {
  last_status = message.status;
  const auto caller = callers.find(message.call);
  if (caller == callers.end()) {
    ++undelivered;
    return;
  }
  const bool is_large = message.size > 65536;
  if (is_large) check_large(message);
  const std::string_view text(static_cast<const char*>(message.data), message.size);
  answer(caller->second, "status=" + std::to_string(message.status) + " " +
                             (is_large ? std::to_string(message.size) + " bytes" : std::string(text)));
  callers.erase(caller);
}

void hear_events() {
  hf_event event;
  for (int i = 0; i < 4096; i++) {
    switch (hf_next(worker, &event)) {
      case HF_EVENT_NONE:
        return;
      case HF_EVENT_CONNECTION:
        serve(event.connection.fd);
        break;
      case HF_EVENT_DRAIN:
      case HF_EVENT_GONE:
        ended = true;
        return;
      case HF_EVENT_ERROR:
        ++faults;
        last_text = event.text;
        break;
      case HF_EVENT_MESSAGE:
        hear(event.message);
        break;
      case HF_EVENT_CALL:
        reply_to(event.message);
        break;
      case HF_EVENT_REPLY:
        end_call(event.message);
        break;
      case HF_EVENT_LOST:
        lost += event.lost;
        break;
      case HF_EVENT_MEMBERS:
      case HF_EVENT_DATAGRAM:
        break;
    }
  }
}

// Some messages of the flood, until the supervisor takes no more.
void go_on_flooding() {
  for (int i = 0; i < 1000 && flood.left > 0; i++) {
    const Numbered numbered{static_cast<std::uint64_t>(::getpid()), flood.sent};
    std::memcpy(flood.bytes.data(), &numbered, sizeof numbered);
    if (hf_publish(worker, flood.topic.c_str(), flood.bytes.data(), flood.bytes.size()) < 0) return;
    ++flood.sent;
    --flood.left;
  }
}

}  // namespace

int main() {
  if (hf_open(nullptr, &worker) < 0) {
    std::fprintf(stderr, "bus_worker: %s\n", hf_error_text());
    return 1;
  }
  // Whoever comes after a crash has no client yet that could say so.
  if (const char* const pattern = std::getenv("BUS_WORKER_SUBSCRIBE")) (void)hf_subscribe(worker, pattern, HF_ONLY_NEW);
  (void)hf_bus_flush(worker);  // whoever is called and says nothing by himself
  hf_ready(worker);
  while (!ended) {
    go_on_flooding();
    hear_events();
    if (!ended && (flood.left == 0 || hf_bus_flush(worker) < 0)) (void)hf_wait(worker, -1);
  }
  hf_drained(worker);
  hf_close(worker);
  return 0;
}
