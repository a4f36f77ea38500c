#include "wire/tls_hello.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/text.h"

namespace holdfast {
namespace {

constexpr std::size_t kRecordHead = 5;   // type, version, length
constexpr std::size_t kMessageHead = 4;  // type, length
constexpr char kHandshakeRecord = 22;
constexpr char kClientHello = 1;
constexpr char kMajorVersion = 3;  // SSL 3 to TLS 1.3; the minor one says nothing any more
constexpr std::size_t kMaxRecord = std::size_t{1} << 14;

enum ExtensionType : std::size_t { kServerName = 0, kAlpn = 16 };
constexpr std::size_t kHostName = 0;       // the only type of name in an SNI
constexpr std::size_t kMaxHostName = 255;  // of the DNS

std::size_t number_at(std::string_view bytes, std::size_t offset, std::size_t length) {
  std::size_t number = 0;
  for (const char byte : bytes.substr(offset, length)) number = number << 8 | static_cast<std::uint8_t>(byte);
  return number;
}

// Takes parts off the front of a message. What is not there is nothing, and so is everything after it.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  std::optional<std::string_view> take(std::size_t length) {
    if (rest_.size() < length) return std::nullopt;
    const std::string_view part = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return part;
  }
  std::optional<std::size_t> number(std::size_t length) {
    const std::optional<std::string_view> part = take(length);
    return part ? std::optional(number_at(*part, 0, length)) : std::nullopt;
  }
  // A part that begins with its own length, in so many bytes.
  std::optional<std::string_view> vector(std::size_t length_bytes) {
    const std::optional<std::size_t> length = number(length_bytes);
    return length ? take(*length) : std::nullopt;
  }

 private:
  std::string_view rest_;
};

// A vector that fills the whole of `bytes`: what an extension with a list is.
std::optional<std::string_view> whole_vector(std::string_view bytes) {
  Reader reader(bytes);
  const std::optional<std::string_view> list = reader.vector(2);
  return list && reader.at_end() && !list->empty() ? list : std::nullopt;
}

// Nothing: malformed. A name goes into logs and keys, so it is plain ASCII or no name.
std::optional<std::string> read_server_name(std::string_view extension) {
  const std::optional<std::string_view> list = whole_vector(extension);
  if (!list) return std::nullopt;
  std::optional<std::string> name;
  for (Reader names(*list); !names.at_end();) {
    const std::optional<std::size_t> type = names.number(1);
    const std::optional<std::string_view> value = names.vector(2);
    if (!type || !value) return std::nullopt;
    if (*type != kHostName) continue;
    const bool plain = std::all_of(value->begin(), value->end(), [](char c) { return c > ' ' && c < '\x7f'; });
    if (name || value->empty() || value->size() > kMaxHostName || !plain) return std::nullopt;
    name = lower_case(value->ends_with('.') ? value->substr(0, value->size() - 1) : *value);
  }
  return name ? name : std::string();
}

// RFC 8701: values that clients put in so that servers learn to pass over what they do not know.
bool is_grease(std::string_view protocol) {
  return protocol.size() == 2 && protocol[0] == protocol[1] && (protocol[0] & 0x0f) == 0x0a;
}

std::optional<std::vector<std::string>> read_alpn(std::string_view extension) {
  const std::optional<std::string_view> list = whole_vector(extension);
  if (!list) return std::nullopt;
  std::vector<std::string> protocols;
  for (Reader reader(*list); !reader.at_end();) {
    const std::optional<std::string_view> protocol = reader.vector(1);
    if (!protocol || protocol->empty()) return std::nullopt;
    if (!is_grease(*protocol)) protocols.emplace_back(*protocol);
  }
  return protocols;
}

std::optional<TlsHello> read_extensions(std::string_view extensions) {
  TlsHello hello;
  bool named = false, negotiates = false;
  for (Reader reader(extensions); !reader.at_end();) {
    const std::optional<std::size_t> type = reader.number(2);
    const std::optional<std::string_view> body = reader.vector(2);
    if (!type || !body) return std::nullopt;
    if (*type == kServerName) {
      std::optional<std::string> name = read_server_name(*body);
      if (!name || std::exchange(named, true)) return std::nullopt;
      hello.server_name = *std::move(name);
    } else if (*type == kAlpn) {
      std::optional<std::vector<std::string>> protocols = read_alpn(*body);
      if (!protocols || std::exchange(negotiates, true)) return std::nullopt;
      hello.alpn = *std::move(protocols);
    }
  }
  return hello;
}

// `message`: behind its head.
std::optional<TlsHello> read_hello(std::string_view message) {
  constexpr std::size_t kVersionAndRandom = 2 + 32;
  Reader reader(message);
  const bool fixed = reader.take(kVersionAndRandom).has_value();
  const std::optional<std::string_view> session = reader.vector(1);
  const std::optional<std::string_view> ciphers = reader.vector(2);
  const std::optional<std::string_view> compressions = reader.vector(1);
  if (!fixed || !session || !ciphers || !compressions || ciphers->empty() || compressions->empty()) return std::nullopt;
  if (reader.at_end()) return TlsHello{};  // before TLS 1.3 there may be no extensions
  const std::optional<std::string_view> extensions = reader.vector(2);
  return extensions && reader.at_end() ? read_extensions(*extensions) : std::nullopt;
}

// Whether the bytes that are there could begin a hello.
bool begins_like_hello(std::string_view prefix) {
  const auto is = [prefix](std::size_t offset, char byte) { return prefix.size() <= offset || prefix[offset] == byte; };
  return is(0, kHandshakeRecord) && is(1, kMajorVersion) && is(kRecordHead, kClientHello);
}

}  // namespace

TlsLook look_at_tls_hello(std::string_view prefix) {
  if (!begins_like_hello(prefix)) return TlsFault::NotTls;
  std::string message;  // what the records have of it so far
  std::size_t length = kMessageHead;
  std::size_t begin = 0;  // of a record
  for (unsigned record = 0; message.size() < length; ++record) {
    if (record == kMaxHelloRecords || begin + kRecordHead > kMaxPreface) return TlsFault::TooLarge;
    if (prefix.size() < begin + kRecordHead) return NeedMore{begin + kRecordHead};
    if (prefix[begin] != kHandshakeRecord || prefix[begin + 1] != kMajorVersion) return TlsFault::Malformed;
    const std::size_t size = number_at(prefix, begin + 3, 2);
    if (size == 0 || size > kMaxRecord) return TlsFault::Malformed;
    begin += kRecordHead;

    const std::string_view fragment = prefix.substr(begin, std::min(size, kMaxPreface - begin));
    const std::size_t before = message.size();
    message += fragment;
    if (message.size() >= kMessageHead) length = kMessageHead + number_at(message, 1, 3);
    if (length > kMaxPreface) return TlsFault::TooLarge;
    if (message.size() < length && fragment.size() < size) {
      const std::size_t wanted = begin + std::min(size, length - before);
      if (wanted > kMaxPreface) return TlsFault::TooLarge;
      return NeedMore{wanted};
    }
    begin += size;
  }
  std::optional<TlsHello> hello = read_hello(std::string_view(message).substr(kMessageHead, length - kMessageHead));
  if (!hello) return TlsFault::Malformed;
  return *std::move(hello);
}

}  // namespace holdfast
