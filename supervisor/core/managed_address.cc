#include "core/managed_address.h"

namespace holdfast {
namespace {

enum class Extent : std::uint8_t { None, One, All };

// What of one family can be reached.
struct FamilyReach {
  Extent extent = Extent::None;
  IpAddress address;  // if it is One
  bool operator==(const FamilyReach&) const = default;
};

struct Reach {
  FamilyReach v4;
  FamilyReach v6;
};

bool is_unspecified(const IpAddress& address) {
  for (unsigned i = 0; i < 4; ++i) {
    if (address.word(i) != 0) return false;
  }
  return true;
}

FamilyReach reach_of(const IpAddress& address) {
  if (is_unspecified(address)) return {Extent::All, {}};
  return {Extent::One, address};
}

Reach reach_of(const TcpAddress& listener) {
  switch (listener.family) {
    case TcpAddress::Family::DualStack:
      return {.v4 = {Extent::All, {}}, .v6 = {Extent::All, {}}};
    case TcpAddress::Family::V4:
      return {.v4 = reach_of(listener.address), .v6 = {}};
    case TcpAddress::Family::V6:
      return {.v4 = {}, .v6 = reach_of(listener.address)};
  }
  return {};
}

Reach reach_of(const BindRequest& request) {
  const FamilyReach asked = reach_of(request.address);
  if (request.domain == SocketDomain::Inet) return {.v4 = asked, .v6 = {}};
  if (!request.address.is_v6()) return {.v4 = request.v6_only ? FamilyReach{} : asked, .v6 = {}};
  const bool both = asked.extent == Extent::All && !request.v6_only;
  return {.v4 = both ? asked : FamilyReach{}, .v6 = asked};
}

bool holds(const FamilyReach& outer, const FamilyReach& inner) {
  return inner.extent == Extent::None || outer.extent == Extent::All || outer == inner;
}
bool meets(const FamilyReach& a, const FamilyReach& b) {
  return a.extent != Extent::None && b.extent != Extent::None && (holds(a, b) || holds(b, a));
}

// A listener against what was asked for; 0: not meant. The greater, the better.
int fitness(const Reach& listener, const Reach& asked) {
  if (!meets(listener.v4, asked.v4) && !meets(listener.v6, asked.v6)) return 0;
  const int width = static_cast<int>(listener.v4.extent) + static_cast<int>(listener.v6.extent);  // 1 to 4
  const bool holds_all = holds(listener.v4, asked.v4) && holds(listener.v6, asked.v6);
  constexpr int kNarrowestFirst = 10;  // above every width
  return holds_all ? kNarrowestFirst - width : width;
}

}  // namespace

std::optional<std::size_t> managed_listener(std::span<const ManagedAddress> managed, const BindRequest& request) {
  if (request.port == 0) return std::nullopt;
  const Reach asked = reach_of(request);
  std::optional<std::size_t> best;
  int best_fitness = 0;
  for (std::size_t i = 0; i < managed.size(); ++i) {
    if (managed[i].transport != request.transport || managed[i].address.port != request.port) continue;
    const int fits = fitness(reach_of(managed[i].address), asked);
    if (fits <= best_fitness) continue;
    best = i;
    best_fitness = fits;
  }
  return best;
}

}  // namespace holdfast
