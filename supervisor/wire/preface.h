#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "wire/http_head.h"
#include "wire/peeked.h"
#include "wire/proxy_protocol.h"
#include "wire/tls_hello.h"

namespace holdfast {

// What must be known of a connection's first bytes before it can be placed.
struct PrefaceNeeds {
  enum class Proxy {
    No,
    Optional,  // it may begin with a PROXY header: its sender may write one
    Required,
  };
  Proxy proxy = Proxy::No;
  bool http = false;  // the head of a request
  bool tls = false;   // name and ALPN of a client hello

  [[nodiscard]] bool any() const { return proxy != Proxy::No || http || tls; }
};

// Why what was asked for is not there. The connection is placed by what is known without.
enum class Missing { NotHttp, Http2, HeadTooLarge, NotTls, BadTls, HelloTooLarge, Silent };
[[nodiscard]] std::string_view text_of(Missing missing);  // "not-http", ...

// What the first bytes said. All views point into the prefix that was looked at.
struct Preface {
  std::optional<ProxyHeader> proxy;
  std::optional<HttpHead> http;
  // Of the hello; where the PROXY header tells them, of that: then TLS has ended at the proxy.
  std::string server_name;
  std::vector<std::string> alpn;
  std::optional<Missing> missing;
};

// One for each connection whose preface is waited for.
class PrefaceReader {
 public:
  explicit PrefaceReader(PrefaceNeeds needs) : needs_(needs) {}

  // Whether more bytes may still come.
  enum class Stream {
    Open,
    Overdue,  // they might, but have not come in time
    Ended,
  };
  // `prefix` begins with the first byte of the connection, and is the same as in the look before, or longer. Once the stream has ended,
  // or `prefix` is as long as any preface may be, the answer is never NeedMore. Of one that is overdue NeedMore says that it cannot be
  // placed; but a client that has sent nothing himself may wait for the server to speak first, and is taken as he is.
  [[nodiscard]] std::variant<NeedMore, Preface, ProxyFault> look(std::string_view prefix, Stream stream);

 private:
  std::variant<NeedMore, Preface> look_behind_header(std::string_view prefix, std::size_t header, Stream stream,
                                                     Preface preface);

  PrefaceNeeds needs_;
  std::optional<HttpHeadSearch> search_;
};

}  // namespace holdfast
