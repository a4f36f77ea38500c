#include "core/admission.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/cidr.h"

namespace holdfast {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};

// How many of the least recently seen sources are asked whether they can be forgotten without loss.
constexpr int kCandidates = 8;

}  // namespace

Admission::Admission(const AdmissionPolicy& policy, HashKey key) : key_(key), newest_(kNone), oldest_(kNone) {
  set_policy(policy);
  chains_.assign(std::bit_ceil(std::size_t{policy_.sources}), kNone);
}

void Admission::set_policy(const AdmissionPolicy& policy) {
  policy_ = policy;
  policy_.sources = std::max(policy_.sources, 1U);
  rate_step_ = policy_.rate == 0 ? Duration{} : policy_.rate_period / policy_.rate;
}

void Admission::change(const AdmissionPolicy& policy, TimePoint now) {
  const AdmissionPolicy before = policy_;
  const Duration step_before = rate_step_;
  set_policy(policy);
  policy_.source = before.source;
  policy_.sources = before.sources;
  for (Entry& entry : entries_) {
    // As many of the connections that the new rate allows are used up as were of the old one.
    const bool is_used = step_before != Duration{} && entry.full_at > now;
    const Duration::rep used = is_used ? (entry.full_at - now + step_before - Duration(1)) / step_before : 0;
    entry.full_at = used == 0 ? TimePoint{} : now + rate_step_ * std::min<Duration::rep>(used, policy_.rate);
  }
}

AdmissionVerdict Admission::on_connection(const IpAddress& address, TimePoint now) {
  const std::uint32_t index = entry_for(source_of(address), now);
  Entry& entry = entries_[index];
  AdmissionVerdict verdict = judge(entry, now);
  ++entry.seen;
  if (verdict.refused_by || !verdict.would_refuse.empty()) ++entry.refused;
  if (counts_for_a_ban(verdict)) record_refusal(entry, now);
  if (verdict.refused_by) {
    verdict.wait = wait_of(entry, now);
    return verdict;
  }
  // What a dry run would have refused takes no room: so it shows what enforcing the limit would do.
  if (policy_.rate != 0 && !rate_is_reached(entry, now)) entry.full_at = std::max(entry.full_at, now) + rate_step_;
  ++connections_;
  ++entry.connections;
  verdict.ticket = AdmissionTicket{index, entry.birth};
  return verdict;
}

AdmissionVerdict Admission::foresee(const IpAddress& address, TimePoint now) const {
  const std::uint32_t index = find(source_of(address));
  return judge(index == kNone ? Entry{} : entries_[index], now);
}

void Admission::on_closed(AdmissionTicket ticket) {
  --connections_;
  Entry& entry = entries_[ticket.entry];
  if (entry.birth == ticket.birth) --entry.connections;  // else its source was forgotten
}

AdmissionTicket Admission::recall_open(const IpAddress& source, TimePoint now) {
  const std::uint32_t index = entry_for(source_of(source), now);
  ++connections_;
  ++entries_[index].connections;
  return {index, entries_[index].birth};
}

std::optional<IpAddress> Admission::source_of(AdmissionTicket ticket) const {
  const Entry& entry = entries_[ticket.entry];
  return entry.birth == ticket.birth ? std::optional(entry.address) : std::nullopt;
}

std::size_t Admission::bytes() const {
  return entries_.capacity() * sizeof(Entry) + chains_.capacity() * sizeof(chains_[0]);
}

std::vector<Admission::Source> Admission::heaviest(std::size_t count, TimePoint now) const {
  std::vector<Source> sources;
  sources.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    sources.push_back({entry.address, entry.connections, entry.seen, entry.refused, now < entry.banned_until});
  }
  count = std::min(count, sources.size());
  const auto heavier = [](const Source& a, const Source& b) {
    if (a.connections != b.connections) return a.connections > b.connections;
    if (a.seen != b.seen) return a.seen > b.seen;
    if (a.refused != b.refused) return a.refused > b.refused;
    return a.address < b.address;
  };
  std::partial_sort(sources.begin(), sources.begin() + static_cast<std::ptrdiff_t>(count), sources.end(), heavier);
  sources.resize(count);
  return sources;
}

std::vector<Admission::Memory> Admission::memories(std::size_t most, TimePoint now) const {
  std::vector<Memory> memories;
  for (std::uint32_t index = newest_; index != kNone && memories.size() < most; index = entries_[index].older) {
    const Entry& entry = entries_[index];
    const bool refused = entry.refusals != 0 && now - entry.refused_since <= policy_.ban_within;
    const bool has_open = policy_.source_connections != 0 && entry.connections != 0;
    if (!refused && !has_open && entry.banned_until <= now && entry.full_at <= now) continue;
    memories.push_back(
        {entry.address, entry.full_at, entry.refused_since, entry.banned_until, entry.refusals, entry.seen});
  }
  std::reverse(memories.begin(), memories.end());
  return memories;
}

void Admission::recall(const Memory& memory, TimePoint now) {
  Entry& entry = entries_[entry_for(memory.address, now)];
  entry.full_at = memory.full_at;
  entry.refused_since = memory.refused_since;
  entry.banned_until = memory.banned_until;
  entry.refusals = memory.refusals;
  entry.seen = memory.seen;
}

IpAddress Admission::source_of(const IpAddress& address) const {
  return masked(address, address.is_v6() ? policy_.source.v6 : policy_.source.v4);
}

std::size_t Admission::chain_index(const IpAddress& address) const {
  return hash_address(address, {32, 128}, key_) & (chains_.size() - 1);
}

std::uint32_t Admission::find(const IpAddress& address) const {
  std::uint32_t index = chains_[chain_index(address)];
  while (index != kNone && entries_[index].address != address) index = entries_[index].next_in_chain;
  return index;
}

// The entry of a source, made if there is none, and now the newest.
std::uint32_t Admission::entry_for(const IpAddress& address, TimePoint now) {
  std::uint32_t index = find(address);
  if (index != kNone) {
    unlink(index);
  } else {
    index = new_entry(now);
    entries_[index].address = address;
    entries_[index].next_in_chain = std::exchange(chain_of(address), index);
  }
  link_as_newest(index);
  return index;
}

// An entry that is in no list.
std::uint32_t Admission::new_entry(TimePoint now) {
  if (entries_.size() < policy_.sources) {
    // By half, and not beyond the end: the table must not take twice of what it holds.
    if (entries_.size() == entries_.capacity())
      entries_.reserve(std::min<std::size_t>(policy_.sources, entries_.size() + entries_.size() / 2 + 64));
    entries_.emplace_back();
    return static_cast<std::uint32_t>(entries_.size() - 1);
  }
  const std::uint32_t index = entry_to_reuse(now);
  unchain(index);
  unlink(index);
  const std::uint32_t birth = entries_[index].birth + 1;
  entries_[index] = Entry{};
  entries_[index].birth = birth;
  return index;
}

std::uint32_t Admission::entry_to_reuse(TimePoint now) const {
  std::uint32_t index = oldest_;
  for (int i = 0; i < kCandidates && index != kNone; ++i) {
    const Entry& entry = entries_[index];
    if (entry.connections == 0 && entry.banned_until <= now && entry.full_at <= now) return index;
    index = entry.newer;
  }
  return oldest_;
}

void Admission::unchain(std::uint32_t index) {
  std::uint32_t* link = &chain_of(entries_[index].address);
  while (*link != index) link = &entries_[*link].next_in_chain;
  *link = entries_[index].next_in_chain;
}

void Admission::unlink(std::uint32_t index) {
  const Entry& entry = entries_[index];
  (entry.newer == kNone ? newest_ : entries_[entry.newer].older) = entry.older;
  (entry.older == kNone ? oldest_ : entries_[entry.older].newer) = entry.newer;
}

void Admission::link_as_newest(std::uint32_t index) {
  entries_[index].newer = kNone;
  entries_[index].older = newest_;
  (newest_ == kNone ? oldest_ : entries_[newest_].newer) = index;
  newest_ = index;
}

bool Admission::rate_is_reached(const Entry& entry, TimePoint now) const {
  return policy_.rate != 0 && std::max(entry.full_at, now) + rate_step_ - now > rate_step_ * policy_.rate;
}

// Every limit is asked; the first that is enforced refuses, and all that are not are noted.
AdmissionVerdict Admission::judge(const Entry& entry, TimePoint now) const {
  AdmissionVerdict verdict;
  const auto ask = [&](bool reached, Limit limit) {
    if (!reached) return;
    if (policy_.tried.contains(limit)) {
      verdict.would_refuse |= limit;
    } else if (!verdict.refused_by) {
      verdict.refused_by = limit;
    }
  };
  ask(now < entry.banned_until, Limit::Ban);
  ask(rate_is_reached(entry, now), Limit::SourceRate);
  ask(policy_.source_connections != 0 && entry.connections >= policy_.source_connections, Limit::SourceConnections);
  return verdict;
}

// A refusal may have been the one after which it is banned.
Duration Admission::wait_of(const Entry& entry, TimePoint now) const {
  Duration wait{};
  if (!policy_.tried.contains(Limit::Ban) && now < entry.banned_until) wait = entry.banned_until - now;
  if (!policy_.tried.contains(Limit::SourceRate) && rate_is_reached(entry, now))
    wait = std::max(wait, entry.full_at + rate_step_ - now - rate_step_ * policy_.rate);
  return wait;
}

// What is only tried bans nobody in earnest, and who is banned is not banned for longer by coming again.
bool Admission::counts_for_a_ban(const AdmissionVerdict& verdict) const {
  if (policy_.ban_after == 0 || verdict.refused_by == Limit::Ban) return false;
  if (verdict.would_refuse.contains(Limit::Ban)) return false;
  return verdict.refused_by || (policy_.tried.contains(Limit::Ban) && !verdict.would_refuse.empty());
}

void Admission::record_refusal(Entry& entry, TimePoint now) const {
  if (entry.refusals == 0 || now - entry.refused_since > policy_.ban_within) {
    entry.refusals = 0;
    entry.refused_since = now;
  }
  if (++entry.refusals < policy_.ban_after) return;
  entry.refusals = 0;
  entry.banned_until = now + policy_.ban_time;
}

}  // namespace holdfast
