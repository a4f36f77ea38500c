// A client may send anything where a TLS hello is looked for: whatever it is, the parser answers, and what it reads of a hello is fit
// for logs and keys.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "check.h"
#include "wire/tls_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const TlsLook look = look_at_tls_hello(bytes);
  if (const auto* const more = std::get_if<NeedMore>(&look))
    check(more->at_least > size && more->at_least <= kMaxPreface);
  if (const auto* const hello = std::get_if<TlsHello>(&look)) {
    check(hello->server_name.size() <= 255);
    check(std::all_of(hello->server_name.begin(), hello->server_name.end(),
                      [](char c) { return c > ' ' && c < '\x7f'; }));
    for (const auto& protocol : hello->alpn) check(!protocol.empty());
  }
  // A prefix of what is not refused is not refused.
  if (!std::holds_alternative<TlsFault>(look)) {
    check(!std::holds_alternative<TlsFault>(look_at_tls_hello(bytes.substr(0, size / 2))));
  }
  return 0;
}
