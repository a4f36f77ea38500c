#include "core/heavy_sources.h"

#include <algorithm>
#include <span>

#include "core/cidr.h"

namespace holdfast {

void HeavySources::on_connection(const IpAddress& address, Fate fate) {
  if (entries_.empty()) entries_.resize(kGroups * kInGroup);
  const IpAddress source = masked(address, address.is_v6() ? source_.v6 : source_.v4);
  const std::size_t group = hash_address(address, source_, key_) % kGroups;
  const std::span<Entry> entries = std::span(entries_).subspan(group * kInGroup, kInGroup);
  Entry* place = &entries.front();
  for (Entry& entry : entries) {
    if (entry.weight != 0 && entry.address == source) {
      place = &entry;
      break;
    }
    if (entry.weight < place->weight) place = &entry;
  }
  if (place->weight == 0 || place->address != source) *place = Entry{source, place->weight};
  if (place->weight == ~std::uint32_t{0}) return;  // full: it is the heaviest as it is
  ++place->weight;
  ++place->seen;
  if (fate == Fate::Refused) ++place->refused;
}

std::vector<HeavySources::Source> HeavySources::sources() const {
  std::vector<Source> sources;
  for (const Entry& entry : entries_) {
    if (entry.weight == 0) continue;
    const unsigned bits = entry.address.is_v6() ? source_.v6 : source_.v4;
    sources.push_back({entry.address, bits, entry.seen, entry.refused});
  }
  return sources;
}

std::vector<HeavySources::Source> heaviest_of(std::vector<HeavySources::Source> sources, std::size_t count) {
  using Source = HeavySources::Source;
  std::sort(sources.begin(), sources.end(), [](const Source& a, const Source& b) { return a.address < b.address; });
  std::vector<Source> all;
  for (const Source& source : sources) {
    if (all.empty() || all.back().address != source.address) {
      all.push_back(source);
    } else {
      all.back().seen += source.seen;
      all.back().refused += source.refused;
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const Source& a, const Source& b) { return a.seen > b.seen; });
  all.resize(std::min(count, all.size()));
  return all;
}

}  // namespace holdfast
