#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/listen_address.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "support/temp_directory.h"
#include "sys/stream.h"
#include "sys/unique_fd.h"
#include "sys/unix_listener.h"

namespace holdfast::test {

// As much of a Redis as the bus uses, on the test's own loop, at a Unix socket. A script may answer in its place, and answers may be
// held back: what a real one cannot be brought to do when the test wants it.
class ScriptedRedis {
 public:
  using Words = std::vector<std::string>;
  // The answer in its protocol; empty: none, ever; nothing: what a Redis would say.
  using Script = std::function<std::optional<std::string>(const Words&)>;

  explicit ScriptedRedis(Loop& loop) : loop_(loop), path_(directory_ / "redis") {
    Result<UniqueFd> listener = listen_on_unix(UnixAddress{path_}, 16, "listen");
    EXPECT_TRUE(listener) << (listener ? "" : listener.error().message());
    listener_ = *std::move(listener);
    watcher_.emplace(loop, listener_, [this](FdWatcher::Ready) { accept(); });
    watcher_->watch(FdWatcher::Interest::Readable);
  }
  void set_script(Script script) { script_ = std::move(script); }
  // From here on answers wait; and then they go.
  void hold() { holds_ = true; }
  void release() {
    holds_ = false;
    for (const auto& client : clients_) flush(*client);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::vector<Words>& heard() const { return heard_; }
  // What is in the stream, the oldest in front.
  [[nodiscard]] const std::vector<std::string>& stream() const { return stream_; }
  void add_to_stream(std::string bytes) {
    stream_.push_back(std::move(bytes));
    answer_readers();
  }
  void publish(const std::string& channel, const std::string& bytes) {
    for (const auto& client : clients_) {
      if (!client->channels.contains(channel)) continue;
      client->out += "*3\r\n" + bulk("message") + bulk(channel) + bulk(bytes);
      flush(*client);
    }
  }
  [[nodiscard]] std::size_t subscribers() const {
    return static_cast<std::size_t>(
        std::count_if(clients_.begin(), clients_.end(), [](const auto& client) { return !client->channels.empty(); }));
  }
  static std::string bulk(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
  }

 private:
  struct Client {
    UniqueFd socket = {};
    std::string in = {};
    std::string out = {};
    std::set<std::string> channels = {};
    std::optional<std::vector<Words>> transaction = {};
    bool is_spoilt = false;                      // something in the transaction was refused
    std::optional<std::size_t> reads_from = {};  // waits for what comes
    std::size_t reads_at_most = 0;
    bool is_gone = false;
    std::optional<FdWatcher> watcher = {};
  };

  void accept() {
    std::optional<UniqueFd> socket = accept_from();
    if (!socket) return;
    Client& client = *clients_.emplace_back(std::make_unique<Client>());
    client.socket = *std::move(socket);
    client.watcher.emplace(loop_, client.socket, [this, &client](FdWatcher::Ready ready) {
      if (ready.readable) read(client);
      if (ready.writable) flush(client);
    });
    client.watcher->watch(FdWatcher::Interest::Readable);
  }
  std::optional<UniqueFd> accept_from() {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return fd < 0 ? std::nullopt : std::optional(UniqueFd(fd));
  }

  void read(Client& client) {
    std::array<char, 65536> bytes{};
    const Result<StreamRead> got = read_some(client.socket, bytes);
    if (!got || got->state == StreamRead::State::End) {
      client.is_gone = true;
      client.watcher->watch(FdWatcher::Interest::None);
      client.channels.clear();
      client.reads_from.reset();
      return;
    }
    client.in.append(bytes.data(), got->length);
    while (const std::optional<Words> words = next_command(client.in)) {
      heard_.push_back(*words);
      client.out += answer_to(client, *words);
    }
    flush(client);
  }

  // Nothing: it has not come as a whole.
  static std::optional<Words> next_command(std::string& in) {
    Words words;
    std::size_t at = 0;
    const auto number = [&](char sign) -> std::optional<std::size_t> {
      const std::size_t end = in.find("\r\n", at);
      if (end == std::string::npos || in[at] != sign) return std::nullopt;
      const std::size_t value = std::stoul(in.substr(at + 1, end - at - 1));
      at = end + 2;
      return value;
    };
    const std::optional<std::size_t> count = number('*');
    for (std::size_t i = 0; count && i < *count; i++) {
      const std::optional<std::size_t> size = number('$');
      if (!size || in.size() < at + *size + 2) return std::nullopt;
      words.push_back(in.substr(at, *size));
      at += *size + 2;
    }
    if (!count) return std::nullopt;
    in.erase(0, at);
    return words;
  }

  std::string answer_to(Client& client, const Words& words) {
    if (script_) {
      if (const std::optional<std::string> answer = script_(words)) {
        if (client.transaction && answer->starts_with('-')) client.is_spoilt = true;
        return *answer;
      }
    }
    if (words[0] == "EXEC") return execute(client);
    if (client.transaction) {
      client.transaction->push_back(words);
      return "+QUEUED\r\n";
    }
    return run(client, words);
  }

  std::string execute(Client& client) {
    if (!client.transaction) return "-ERR EXEC without MULTI\r\n";
    const std::vector<Words> commands = std::exchange(client.transaction, std::nullopt).value();
    if (std::exchange(client.is_spoilt, false))
      return "-EXECABORT Transaction discarded because of previous errors.\r\n";
    std::string answer = "*" + std::to_string(commands.size()) + "\r\n";
    for (const Words& words : commands) answer += run(client, words);
    return answer;
  }

  std::string run(Client& client, const Words& words) {
    if (words[0] == "ECHO") return bulk(words[1]);
    if (words[0] == "MULTI") return client.transaction.emplace(), "+OK\r\n";
    if (words[0] == "SUBSCRIBE") {
      client.channels.insert(words[1]);
      return "*3\r\n" + bulk("subscribe") + bulk(words[1]) + ":1\r\n";
    }
    if (words[0] == "PUBLISH") return publish(words[1], words[2]), ":1\r\n";
    if (words[0] == "XADD") return add_to_stream(words.back()), bulk("1-" + std::to_string(stream_.size()));
    if (words[0] == "XREVRANGE") return past(words);
    if (words[0] == "XREAD") {
      client.reads_from = number_of(words.back());
      client.reads_at_most = std::stoul(words[2]);
      return news(client);
    }
    return "+OK\r\n";
  }

  static std::size_t number_of(const std::string& id) { return std::stoul(id.substr(id.find('-') + 1)); }
  std::string entry(std::size_t number) const {
    return "*2\r\n" + bulk("1-" + std::to_string(number)) + "*2\r\n" + bulk("m") + bulk(stream_[number - 1]);
  }
  std::string past(const Words& words) const {
    const std::size_t from = words[2] == "+" ? stream_.size() : std::min(number_of(words[2]), stream_.size());
    const std::size_t count = std::min(from, static_cast<std::size_t>(std::stoul(words[5])));
    std::string answer = "*" + std::to_string(count) + "\r\n";
    for (std::size_t i = 0; i < count; i++) answer += entry(from - i);
    return answer;
  }
  // Empty: there is none, and the client waits.
  std::string news(Client& client) {
    if (!client.reads_from || *client.reads_from >= stream_.size()) return "";
    const std::size_t first = *std::exchange(client.reads_from, std::nullopt);
    const std::size_t count = std::min(stream_.size() - first, client.reads_at_most);
    std::string answer = "*1\r\n*2\r\n" + bulk("stream") + "*" + std::to_string(count) + "\r\n";
    for (std::size_t i = 1; i <= count; i++) answer += entry(first + i);
    return answer;
  }
  void answer_readers() {
    for (const auto& client : clients_) {
      client->out += news(*client);
      flush(*client);
    }
  }
  void flush(Client& client) const {
    if (holds_) return;
    const Result<std::size_t> sent = send_some(client.socket, client.out);
    client.out.erase(0, sent ? *sent : client.out.size());
    if (!client.is_gone)
      client.watcher->watch(client.out.empty() ? FdWatcher::Interest::Readable : FdWatcher::Interest::Both);
  }

  Loop& loop_;
  TempDirectory directory_;
  std::string path_;
  Script script_;
  bool holds_ = false;
  std::vector<Words> heard_;
  std::vector<std::string> stream_;
  std::vector<std::unique_ptr<Client>> clients_;
  UniqueFd listener_;
  std::optional<FdWatcher> watcher_;
};

}  // namespace holdfast::test
