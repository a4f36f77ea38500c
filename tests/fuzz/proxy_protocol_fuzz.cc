// Whoever can connect may write anything where a PROXY header is expected: whatever it is, the parser answers, and its answer
// does not depend on how the bytes arrived.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "check.h"
#include "wire/proxy_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ProxyLook look = look_at_proxy_header(bytes);
  if (const auto* const more = std::get_if<NeedMore>(&look)) {
    check(more->at_least > size && more->at_least <= kMaxPreface && size < kMaxPreface);
    return 0;
  }
  if (const auto* const fault = std::get_if<ProxyFault>(&look)) {
    check(!text_of(*fault).empty());
    return 0;
  }
  const auto& header = std::get<ProxyHeader>(look);
  check(header.length <= size && (header.version == 1 || header.version == 2));
  for (const std::string_view text : {header.tlvs.alpn, header.tlvs.authority, header.tlvs.unique_id,
                                      header.tlvs.network_namespace, header.tlvs.aws_endpoint}) {
    check_inside(text, bytes.substr(0, header.length));
  }
  // A shorter prefix waits, and what follows the header makes no difference.
  check(std::holds_alternative<NeedMore>(look_at_proxy_header(bytes.substr(0, header.length - 1))));
  const ProxyLook alone = look_at_proxy_header(bytes.substr(0, header.length));
  check(std::holds_alternative<ProxyHeader>(alone) && std::get<ProxyHeader>(alone).addresses == header.addresses);
  return 0;
}
