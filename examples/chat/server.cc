#include "server.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "session.h"

namespace chat {

using Json = nlohmann::json;
using boost::system::error_code;

namespace {

constexpr std::size_t kMaxName = 32;
constexpr std::size_t kMaxText = 2000;
constexpr std::size_t kMaxRooms = 1000;    // that this worker remembers
constexpr std::size_t kMaxPending = 1000;  // messages that the bus has no room for
constexpr auto kPause = std::chrono::milliseconds(20);
constexpr auto kExitMargin = std::chrono::milliseconds(100);

std::int64_t milliseconds_of_day_and_date() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Bytes that are not UTF-8 become U+FFFD.
Text text_of(const Json& json) {
  return std::make_shared<const std::string>(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// A member that is text, not longer than `limit` bytes; else empty.
std::string member(const Json& json, const char* name, std::size_t limit) {
  const auto at = json.find(name);
  if (at == json.end() || !at->is_string()) return {};
  std::string text = at->get<std::string>();
  return text.size() <= limit ? text : std::string{};
}

}  // namespace

Server::Server(boost::asio::io_context& context, hf_worker* worker, std::string machine)
    : context_(context),
      worker_(worker),
      machine_(std::move(machine)),
      events_(context, ::dup(hf_fd(worker))),
      deadline_(context),
      again_(context) {}

void Server::run() {
  // 0: the lines that the supervisor keeps come first, so a worker that was just started knows what was said.
  if (hf_subscribe(worker_, "chat.*.said", 0) < 0 || hf_subscribe(worker_, "chat.*.notice", HF_ONLY_NEW) < 0) {
    (void)std::fprintf(stderr, "chat: %s\n", hf_error_text());
    return;
  }
  hf_ready(worker_);
  watch();
  context_.run();
  send_pending();
  if (sessions_.empty()) hf_drained(worker_);
  for (Session* session : sessions_) session->forget_server();
}

void Server::watch() {
  take_up();  // what the last batch left does not make the descriptor readable
  events_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](error_code error) {
    if (!error) watch();
  });
}

void Server::take_up() {
  hf_event event;
  for (;;) {
    switch (hf_next(worker_, &event)) {
      case HF_EVENT_NONE:
        return;
      case HF_EVENT_CONNECTION:
        on_connection(event.connection);
        break;
      case HF_EVENT_MESSAGE:
        on_message(event.message);
        break;
      case HF_EVENT_DRAIN:
        begin_drain(event.deadline_ns);
        break;
      case HF_EVENT_GONE:
        begin_drain(0);
        return;
      case HF_EVENT_LOST:
        (void)std::fprintf(stderr, "chat: %llu lines were lost: this worker was too slow\n",
                           static_cast<unsigned long long>(event.lost));
        break;
      case HF_EVENT_ERROR:
        (void)std::fprintf(stderr, "chat: %s\n", event.text);
        break;
      default:
        break;
    }
  }
}

void Server::on_connection(const hf_connection& connection) {
  using boost::asio::ip::tcp;
  tcp::socket socket(context_);
  error_code error;
  socket.assign(connection.remote.generic.sa_family == AF_INET6 ? tcp::v6() : tcp::v4(), connection.fd, error);
  if (error) return hf_release(worker_, connection.fd);
  std::make_shared<Session>(*this, std::move(socket))->start();
}

void Server::on_closed(Session& session) {
  on_left(session);
  sessions_.erase(&session);
  hf_closed(worker_, 1);  // the socket closes itself
  if (is_draining_ && sessions_.empty()) context_.stop();
}

void Server::on_left(Session& session) {
  if (session.room.empty()) return;
  rooms_[session.room].leave(session);
  notice(std::exchange(session.room, {}), session.name + " has left");
}

std::string Server::welcome() const {
  const hf_identity& info = *hf_info(worker_);
  return *text_of(
      {{"type", "welcome"}, {"machine", machine_}, {"slot", info.slot}, {"slots", info.slots}, {"pid", ::getpid()}});
}

void Server::on_text(Session& session, const std::string& text) {
  const Json wish = Json::parse(text, nullptr, false);
  if (!wish.is_object()) return;
  const std::string type = member(wish, "type", 16);
  if (type == "join") return join(session, member(wish, "room", 32), member(wish, "name", kMaxName));
  if (type == "kill") (void)::kill(::getpid(), SIGKILL);  // what the button is for: see that nothing is lost
  const std::string said = member(wish, "text", kMaxText);
  if (type != "say" || session.room.empty() || said.empty()) return;
  if (pending_.size() >= kMaxPending) {
    return session.send(text_of({{"type", "notice"}, {"text", "too much is said at once: say it again"}}));
  }
  // Unique everywhere, so that pages know a line that they have seen.
  const std::string id = machine_ + "-" + std::to_string(::getpid()) + "-" + std::to_string(++last_line_);
  publish(session.room, "said",
          *text_of({{"type", "line"},
                    {"id", id},
                    {"name", session.name},
                    {"text", said},
                    {"time", milliseconds_of_day_and_date()},
                    {"machine", machine_},
                    {"slot", hf_info(worker_)->slot}}));
}

void Server::join(Session& session, const std::string& room, const std::string& name) {
  if (!is_room_name(room) || name.empty()) return;
  on_left(session);
  Room* const found = room_of(room);
  if (found == nullptr) return session.send(text_of({{"type", "notice"}, {"text", "there are too many rooms"}}));
  session.room = room;
  session.name = name;
  found->enter(session);
  session.send(std::make_shared<const std::string>(found->history()));
  notice(room, name + " is here");
}

Room* Server::room_of(const std::string& name) {
  const auto known = rooms_.find(name);
  if (known != rooms_.end()) return &known->second;
  if (rooms_.size() >= kMaxRooms) {
    const auto left = std::find_if(rooms_.begin(), rooms_.end(), [](const auto& one) { return one.second.is_empty(); });
    if (left == rooms_.end()) return nullptr;
    rooms_.erase(left);
  }
  return &rooms_[name];
}

void Server::notice(const std::string& room, const std::string& text) {
  publish(room, "notice", *text_of({{"type", "notice"}, {"text", text}}));
}

void Server::publish(const std::string& room, const char* what, std::string json) {
  if (pending_.size() >= kMaxPending) return;  // who comes and goes is worth less than what is said
  pending_.push_back({"chat." + room + "." + what, std::move(json)});
  if (pending_.size() == 1) send_pending();
}

void Server::send_pending() {
  while (!pending_.empty()) {
    const Pending& next = pending_.front();
    const int status = hf_publish(worker_, next.topic.c_str(), next.json.data(), next.json.size());
    if (status == -EAGAIN) {
      again_.expires_after(kPause);
      return again_.async_wait([this](error_code error) {
        if (!error) send_pending();
      });
    }
    if (status < 0) (void)std::fprintf(stderr, "chat: %s\n", hf_error_text());
    pending_.pop_front();
  }
}

// A line of a room, whoever said it and wherever; also what was said before this worker was started.
void Server::on_message(const hf_message& message) {
  const std::string_view topic(message.topic);
  const std::size_t end = topic.rfind('.');
  const std::string room(topic.substr(5, end - 5));
  const auto text = std::make_shared<const std::string>(static_cast<const char*>(message.data), message.size);
  if (topic.substr(end) == ".notice") {
    if (const auto at = rooms_.find(room); at != rooms_.end()) at->second.tell(text);
    return;
  }
  // From a script (`holdfast publish`) anything may come.
  const Json line = Json::parse(*text, nullptr, false);
  const std::string id = line.is_object() ? member(line, "id", 200) : "";
  Room* const found = !id.empty() && is_room_name(room) ? room_of(room) : nullptr;
  if (found != nullptr) found->add_line(id, message.sequence, text);
}

void Server::begin_drain(std::uint64_t deadline_ns) {
  is_draining_ = true;
  if (sessions_.empty()) return context_.stop();
  const std::vector<Session*> leaving(sessions_.begin(), sessions_.end());
  for (Session* session : leaving) session->go_away();
  using Clock = std::chrono::steady_clock;
  const Clock::time_point told{std::chrono::nanoseconds(deadline_ns)};
  deadline_.expires_at(deadline_ns == 0 ? Clock::now() + std::chrono::seconds(10) : told - kExitMargin);
  deadline_.async_wait([this](error_code error) {
    if (!error) context_.stop();
  });
}

}  // namespace chat
