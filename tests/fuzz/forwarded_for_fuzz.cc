// What proxies and clients wrote into X-Forwarded-For and Forwarded may be anything: whatever it is, the answer is an address or nothing,
// and never one that is trusted while another one stands left of it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "core/forwarded_for.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  static const CidrSet kTrusted({Cidr{IpAddress::v4(0x0a000000), 8}});
  const IpAddress peer = IpAddress::v4(0x0a000001);
  const std::string_view value(reinterpret_cast<const char*>(data), size);
  for (const ForwardedField field : {ForwardedField::XForwardedFor, ForwardedField::Forwarded}) {
    const std::string_view name = field == ForwardedField::Forwarded ? "Forwarded" : "X-Forwarded-For";
    const HttpRequest request{"GET", "/", 1, {{name, value}}};
    const std::optional<IpAddress> client = forwarded_for(request, field, kTrusted, peer);
    // The same list once more, to the right of itself: who was the client is found first.
    const HttpRequest twice{"GET", "/", 1, {{name, value}, {name, value}}};
    const std::optional<IpAddress> again = forwarded_for(twice, field, kTrusted, peer);
    if (client && !kTrusted.contains(*client) && again != client) std::abort();
    if (forwarded_for(request, field, CidrSet(), peer)) std::abort();
  }
  return 0;
}
