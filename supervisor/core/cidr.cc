#include "core/cidr.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/placement_key.h"
#include "core/text.h"

namespace holdfast {
namespace {

constexpr unsigned kV4Bits = 32;
constexpr unsigned kV6Bits = 128;
constexpr unsigned kMappedBits = 96;  // the prefix ::ffff:0:0/96 of the mapped addresses
constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();

// The mask of the word `index` for a prefix of so many bits.
constexpr std::uint32_t word_mask(unsigned bits, unsigned index) {
  return prefix_mask(bits > 32 * index ? bits - 32 * index : 0);
}

Error refuse(std::string_view text, std::string_view reason) {
  return Error{{}, "address range '" + std::string(text) + "': " + std::string(reason)};
}

std::optional<unsigned> parse_bits(std::string_view digits) {
  unsigned bits = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, code] = std::from_chars(digits.data(), end, bits);
  if (digits.empty() || code != std::errc{} || rest != end) return std::nullopt;
  return bits;
}

// An address as a number, and the number behind the last address of a range; nothing if there is none.
template <class Key>
Key key_of(const IpAddress& address);
template <>
std::uint32_t key_of(const IpAddress& address) {
  return address.word(0);
}
using WideKey = std::array<std::uint64_t, 2>;
template <>
WideKey key_of(const IpAddress& address) {
  return {std::uint64_t{address.word(0)} << 32 | address.word(1),
          std::uint64_t{address.word(2)} << 32 | address.word(3)};
}

std::optional<std::uint32_t> key_behind(std::uint32_t start, unsigned bits) {
  const std::uint32_t next = (start | ~word_mask(bits, 0)) + 1;
  return next == 0 ? std::nullopt : std::optional(next);
}
std::optional<WideKey> key_behind(const WideKey& start, unsigned bits) {
  const std::uint64_t upper = start[0] | ~(std::uint64_t{word_mask(bits, 0)} << 32 | word_mask(bits, 1));
  const std::uint64_t lower = start[1] | ~(std::uint64_t{word_mask(bits, 2)} << 32 | word_mask(bits, 3));
  const WideKey next = {lower + 1 == 0 ? upper + 1 : upper, lower + 1};
  return next == WideKey{} ? std::nullopt : std::optional(next);
}

// Walks the ranges in order of their starts, wide before narrow, and keeps those that the walk is inside of on a stack: the top
// is the longest one.
template <class Layout, class Key>
class Sweep {
 public:
  Sweep(Layout& layout, const std::vector<Cidr>& ranges) : layout_(layout), ranges_(ranges) {}

  void run() {
    constexpr bool kV6 = std::is_same_v<Key, WideKey>;
    std::vector<std::uint32_t> order;
    for (std::uint32_t i = 0; i < ranges_.size(); ++i) {
      if (ranges_[i].address.is_v6() == kV6) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [this](std::uint32_t a, std::uint32_t b) {
      return std::pair(key_of<Key>(ranges_[a].address), ranges_[a].bits) <
             std::pair(key_of<Key>(ranges_[b].address), ranges_[b].bits);
    });
    for (const std::uint32_t index : order) {
      const Key start = key_of<Key>(ranges_[index].address);
      leave_until(start);
      begin(start, index);
      inside_.push_back({key_behind(start, ranges_[index].bits), index});
    }
    while (!inside_.empty() && inside_.back().end) leave();
    layout_.starts.shrink_to_fit();
    layout_.owners.shrink_to_fit();
  }

 private:
  struct Inside {
    std::optional<Key> end;  // nothing: it reaches to the last address
    std::uint32_t index;
  };

  void leave_until(const Key& start) {
    while (!inside_.empty() && inside_.back().end && *inside_.back().end <= start) leave();
  }
  void leave() {
    const Key end = *inside_.back().end;
    inside_.pop_back();
    begin(end, inside_.empty() ? kNobody : inside_.back().index);
  }
  // From `start` on it is `owner`, whatever was said of that start before.
  void begin(const Key& start, std::uint32_t owner) {
    if (!layout_.starts.empty() && layout_.starts.back() == start) {
      layout_.owners.back() = owner;
      return;
    }
    if (!layout_.owners.empty() && layout_.owners.back() == owner) return;
    layout_.starts.push_back(start);
    layout_.owners.push_back(owner);
  }

  Layout& layout_;
  const std::vector<Cidr>& ranges_;
  std::vector<Inside> inside_;
};

template <class Layout, class Key>
std::optional<std::uint32_t> find(const Layout& layout, const Key& key) {
  const auto behind = std::upper_bound(layout.starts.begin(), layout.starts.end(), key);
  if (behind == layout.starts.begin()) return std::nullopt;
  const std::uint32_t owner = layout.owners[static_cast<std::size_t>(behind - layout.starts.begin()) - 1];
  return owner == kNobody ? std::nullopt : std::optional(owner);
}

}  // namespace

IpAddress masked(const IpAddress& address, unsigned bits) {
  if (!address.is_v6()) return IpAddress::v4(address.word(0) & word_mask(bits, 0));
  if (bits >= kV6Bits) return address;
  std::array<std::uint8_t, 16> bytes = address.bytes();
  for (unsigned i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & word_mask(bits, i / 4) >> (24 - 8 * (i % 4)));
  }
  return IpAddress::v6(bytes);
}

bool Cidr::contains(const IpAddress& other) const {
  if (other.is_v6() != address.is_v6()) return false;
  for (unsigned index = 0; index < 4; ++index) {
    if (((other.word(index) ^ address.word(index)) & word_mask(bits, index)) != 0) return false;
  }
  return true;
}

bool Cidr::covers(const Cidr& other) const { return bits <= other.bits && contains(other.address); }

std::string Cidr::text() const {
  const bool single = bits == (address.is_v6() ? kV6Bits : kV4Bits);
  return single ? address.text() : address.text() + "/" + std::to_string(bits);
}

Result<Cidr> parse_cidr(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string_view written = text.substr(0, slash);
  const std::optional<IpAddress> address = IpAddress::parse(written);
  if (!address || written.find('%') != std::string_view::npos)
    return refuse(text, "it does not begin with an IP address; write for instance 10.0.0.0/8 or 2001:db8::/32");
  const unsigned most = address->is_v6() ? kV6Bits : kV4Bits;
  if (slash == text.size()) return Cidr{*address, most};

  std::optional<unsigned> bits = parse_bits(text.substr(slash + 1));
  const bool mapped = !address->is_v6() && written.find(':') != std::string_view::npos;
  if (mapped && bits) bits = *bits >= kMappedBits ? std::optional(*bits - kMappedBits) : std::nullopt;
  if (!bits || *bits > most) {
    return refuse(text, "behind the slash stands no number from " + std::to_string(mapped ? kMappedBits : 0) + " to " +
                            std::to_string(mapped ? kV6Bits : most));
  }
  const Cidr cidr{masked(*address, *bits), *bits};
  if (cidr.address != *address)
    return refuse(text, "the address has bits beyond the prefix; write " + cidr.text() + " or " + address->text());
  return cidr;
}

Result<std::vector<Cidr>> parse_cidr_lines(std::string_view text) {
  std::vector<Cidr> ranges;
  std::optional<Error> first;
  unsigned number = 0, bad = 0;
  while (!text.empty()) {
    ++number;
    std::string_view line = take_until(text, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (Result<Cidr> cidr = parse_cidr(line)) {
      ranges.push_back(*cidr);
    } else if (++bad == 1) {
      first = Error{{}, "line " + std::to_string(number) + ": " + cidr.error().doing};
    }
  }
  if (!first) return ranges;
  if (bad > 1) first->doing += " (and " + std::to_string(bad - 1) + " more bad lines)";
  return *std::move(first);
}

CidrSet::CidrSet(const std::vector<Cidr>& ranges) {
  Sweep<Layout<std::uint32_t>, std::uint32_t>(v4_, ranges).run();
  Sweep<Layout<WideKey>, WideKey>(v6_, ranges).run();
}

std::optional<std::uint32_t> CidrSet::longest_match(const IpAddress& address) const {
  return address.is_v6() ? find(v6_, key_of<WideKey>(address)) : find(v4_, key_of<std::uint32_t>(address));
}

std::size_t CidrSet::bytes() const {
  const auto of = [](const auto& vector) { return vector.capacity() * sizeof(vector[0]); };
  return of(v4_.starts) + of(v4_.owners) + of(v6_.starts) + of(v6_.owners);
}

}  // namespace holdfast
