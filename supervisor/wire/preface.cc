#include "wire/preface.h"

#include <utility>

#include "core/text.h"

namespace holdfast {

namespace {

constexpr char kTlsHandshake = 0x16;

Missing missing_of(HttpFault fault) { return fault == HttpFault::TooLarge ? Missing::HeadTooLarge : Missing::NotHttp; }

Missing missing_of(TlsFault fault) {
  switch (fault) {
    case TlsFault::Malformed:
      return Missing::BadTls;
    case TlsFault::TooLarge:
      return Missing::HelloTooLarge;
    case TlsFault::NotTls:
      break;
  }
  return Missing::NotTls;
}

// Of what might become a header: whether no client would begin like that. Of the two beginnings one is a word, and the other is long
// enough to be none of any protocol.
bool is_begun_header(std::string_view prefix) {
  constexpr std::size_t kWord = 6;        // "PROXY "
  constexpr std::size_t kSignature = 12;  // of version 2
  return prefix.size() >= (prefix.starts_with('P') ? kWord : kSignature);
}

// What the proxy tells of the TLS that ended with it. Whether it does.
bool take_tls_of(const ProxyTlvs& tlvs, Preface& preface) {
  preface.server_name = lower_case(tlvs.authority);
  if (preface.server_name.ends_with('.')) preface.server_name.pop_back();
  if (!tlvs.alpn.empty()) preface.alpn.emplace_back(tlvs.alpn);
  return !preface.server_name.empty() || !preface.alpn.empty();
}

}  // namespace

std::string_view text_of(Missing missing) {
  switch (missing) {
    case Missing::NotHttp:
      return "not-http";
    case Missing::Http2:
      return "http2";
    case Missing::HeadTooLarge:
      return "head-too-large";
    case Missing::NotTls:
      return "not-tls";
    case Missing::BadTls:
      return "bad-tls";
    case Missing::HelloTooLarge:
      return "hello-too-large";
    case Missing::Silent:
      return "silent";
  }
  return "";
}

std::variant<NeedMore, Preface, ProxyFault> PrefaceReader::look(std::string_view prefix, Stream stream) {
  Preface preface;
  std::size_t header = 0;
  if (needs_.proxy != PrefaceNeeds::Proxy::No) {
    ProxyLook found = look_at_proxy_header(prefix);
    const bool optional = needs_.proxy == PrefaceNeeds::Proxy::Optional;
    if (const auto* fault = std::get_if<ProxyFault>(&found)) {
      // What does not begin like a header is the client's; what does, and is none, is broken.
      if (!optional || *fault != ProxyFault::NoHeader) return *fault;
    } else if (const auto* more = std::get_if<NeedMore>(&found)) {
      const bool is_header = !optional || is_begun_header(prefix);
      if (stream == Stream::Open || (stream == Stream::Overdue && is_header)) return *more;
      if (is_header) return ProxyFault::NoHeader;
    } else {
      preface.proxy = std::get<ProxyHeader>(found);
      header = preface.proxy->length;
    }
  }
  auto rest = look_behind_header(prefix.substr(header), header, stream, std::move(preface));
  if (const auto* more = std::get_if<NeedMore>(&rest)) return *more;
  return std::get<Preface>(std::move(rest));
}

// `header`: the length of what stands before `prefix`.
std::variant<NeedMore, Preface> PrefaceReader::look_behind_header(std::string_view prefix, std::size_t header,
                                                                  Stream stream, Preface preface) {
  const bool told = preface.proxy && take_tls_of(preface.proxy->tlvs, preface);
  const bool may_wait = stream != Stream::Ended && header + prefix.size() < kMaxPreface;
  const bool wants_tls = needs_.tls && !told;
  if (!wants_tls && !needs_.http) return preface;
  if (prefix.empty() && stream == Stream::Open) return NeedMore{header + 1};
  if (prefix.empty() && stream == Stream::Overdue) {
    preface.missing = Missing::Silent;
    return preface;
  }
  const bool is_tls = wants_tls && (!needs_.http || (!prefix.empty() && prefix.front() == kTlsHandshake));
  if (is_tls) {
    TlsLook found = look_at_tls_hello(prefix);
    if (const auto* more = std::get_if<NeedMore>(&found)) {
      if (may_wait) return NeedMore{header + more->at_least};
      preface.missing = stream == Stream::Ended ? Missing::NotTls : Missing::HelloTooLarge;
    } else if (const auto* fault = std::get_if<TlsFault>(&found)) {
      preface.missing = missing_of(*fault);
    } else {
      auto& hello = std::get<TlsHello>(found);
      preface.server_name = std::move(hello.server_name);
      preface.alpn = std::move(hello.alpn);
    }
    return preface;
  }
  if (!search_) search_.emplace();
  HttpLook found = search_->look(prefix);
  if (const auto* more = std::get_if<NeedMore>(&found)) {
    if (may_wait) return NeedMore{header + more->at_least};
    preface.missing = stream == Stream::Ended ? Missing::NotHttp : Missing::HeadTooLarge;
  } else if (const auto* fault = std::get_if<HttpFault>(&found)) {
    preface.missing = missing_of(*fault);
  } else if (std::holds_alternative<Http2Preface>(found)) {
    preface.missing = Missing::Http2;
  } else {
    preface.http = std::get<HttpHead>(std::move(found));
  }
  return preface;
}

}  // namespace holdfast
