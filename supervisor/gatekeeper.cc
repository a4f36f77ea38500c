#include "gatekeeper.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <utility>

#include "config/front_values.h"
#include "config/values.h"

namespace holdfast {

namespace {

constexpr Duration kLookPeriod = std::chrono::seconds(1);
constexpr std::size_t kMostSaved = 4096;                   // sources: a state is written and read within milliseconds
constexpr std::size_t kMostCountedForPeople = 10'000;      // some 10 ms
constexpr std::size_t kMostBytes = std::size_t{64} << 20;  // a million ranges

// In the order in which they are asked.
constexpr std::array<std::pair<Limit, Refusal>, 5> kRefusals = {
    {{Limit::Deny, Refusal::Denied},
     {Limit::Allow, Refusal::NotAllowed},
     {Limit::Ban, Refusal::Banned},
     {Limit::SourceRate, Refusal::SourceRate},
     {Limit::SourceConnections, Refusal::SourceConnections}}};

Refusal refusal_of(Limit limit) {
  const auto found =
      std::find_if(kRefusals.begin(), kRefusals.end(), [&](const auto& each) { return each.first == limit; });
  return found->second;
}

// The first that stands in the way and is not only tried.
std::optional<Refusal> first_of(LimitSet against, LimitSet tried) {
  for (const auto& [limit, refusal] : kRefusals) {
    if (against.contains(limit) && !tried.contains(limit)) return refusal;
  }
  return std::nullopt;
}

std::uint64_t note_of(AdmissionTicket ticket) { return std::uint64_t{ticket.birth} << 32 | ticket.entry; }
AdmissionTicket ticket_of(std::uint64_t note) {
  return {static_cast<std::uint32_t>(note), static_cast<std::uint32_t>(note >> 32)};
}

AdmissionPolicy policy_of(const AdmissionConfig& config) {
  AdmissionPolicy policy;
  policy.source = config.source;
  policy.rate = config.rate;
  policy.rate_period = config.rate_period;
  policy.source_connections = config.source_connections;
  policy.ban_after = config.ban_after;
  policy.ban_time = config.ban_time;
  policy.sources = config.sources;
  policy.tried = config.tried();
  return policy;
}

}  // namespace

bool Gatekeeper::is_needed(const AdmissionConfig& config) {
  return !config.allow_file.empty() || !config.deny_file.empty() || config.remembers_sources() ||
         config.bounds_connections();
}

Result<std::unique_ptr<Gatekeeper>> Gatekeeper::create(Loop& loop, std::string listener, const AdmissionConfig& config,
                                                       HashKey key) {
  std::unique_ptr<Gatekeeper> keeper(new Gatekeeper(loop, std::move(listener), key));
  if (Outcome changed = keeper->change(config); !changed) return std::move(changed).error();
  return keeper;
}

Gatekeeper::Gatekeeper(Loop& loop, std::string listener, HashKey key)
    : loop_(loop), listener_(std::move(listener)), key_(key), timer_(loop, [this] { look_again(); }) {}

Outcome Gatekeeper::change(const AdmissionConfig& config) {
  std::unique_ptr<Census> by_source, of_all;
  if (config.source_connections != 0) {
    const auto on_closed = [this](const Census::Connection& closed) { admission_->on_closed(ticket_of(closed.note)); };
    Result<std::unique_ptr<Census>> census = Census::create(key_, on_closed);
    if (!census) return std::move(census).error();
    by_source = *std::move(census);
  }
  if (config.total_connections != 0 && !of_all_) {
    Result<std::unique_ptr<Census>> census = Census::create(key_, [](const Census::Connection&) {});
    if (!census) return std::move(census).error();
    of_all = *std::move(census);
  }
  // From here on nothing can fail.
  reading_.reset();  // what it reads may not be asked for any more; else it is found changed again
  allowed_ = list_for(config.allow_file, allowed_);
  denied_ = list_for(config.deny_file, denied_);
  remember_sources(config, std::move(by_source));
  if (config.remembers_sources()) {
    heavy_.reset();
  } else if (!heavy_ || heavy_->prefix() != config.source) {
    heavy_.emplace(config.source, key_);
  }
  if (of_all) of_all_ = std::move(of_all);
  if (config.total_connections == 0) of_all_.reset();
  config_ = config;
  if (allowed_.path.empty() && denied_.path.empty()) {
    timer_.disarm();
  } else {
    timer_.arm(loop_.now() + kLookPeriod);
  }
  return Done{};
}

// `by_source`: for those that come, if there is none yet that goes on; null: how many are open is no matter.
void Gatekeeper::remember_sources(const AdmissionConfig& config, std::unique_ptr<Census> by_source) {
  const bool same_prefix = config.source == config_.source;
  const bool goes_on = admission_ && config.remembers_sources() && same_prefix && config.sources == config_.sources &&
                       (!by_source_ || by_source);
  std::vector<Admission::Memory> memories;
  if (admission_) admission_->change(policy_of(config), loop_.now());
  if (admission_ && same_prefix) memories = admission_->memories(config.sources, loop_.now());
  if (goes_on) {
    if (!by_source_) by_source_ = std::move(by_source);
    return;
  }
  by_source_ = std::move(by_source);  // whose tickets are those of the table
  admission_.reset();
  if (!config.remembers_sources()) return;
  admission_.emplace(policy_of(config), key_);
  for (const Admission::Memory& memory : memories) admission_->recall(memory, loop_.now());
}

// One that was read before goes on; it is looked at in its time.
Gatekeeper::List Gatekeeper::list_for(const std::string& path, const List& before) const {
  if (path == before.path) return before;
  List list{before.holds, path};
  if (const Outcome read = Gatekeeper::read(list); !read) {
    spdlog::error("listener {}: {}; until it can be read it {}", listener_, read.error().message(),
                  list.holds == List::Holds::WhoIsLetIn ? "lets nobody in" : "keeps nobody out");
  }
  return list;
}

std::optional<Gatekeeper::Refused> Gatekeeper::judge(const std::optional<IpAddress>& source, BorrowedFd connection) {
  if (!source) return std::nullopt;
  const LimitSet against = lists_against(*source);
  if (heavy_) heavy_->on_connection(*source, against.empty() ? HeavySources::Fate::LetIn : HeavySources::Fate::Refused);
  count_tried(against & config_.tried());
  if (const std::optional<Refusal> refusal = first_of(against, config_.tried())) return Refused{*refusal};
  return admission_ ? judge_by_limits(*source, connection) : std::nullopt;
}

std::optional<Gatekeeper::Refused> Gatekeeper::judge_by_limits(const IpAddress& source, BorrowedFd connection) {
  recount_where_full(source);
  const AdmissionVerdict verdict = admission_->on_connection(source, loop_.now());
  count_tried(verdict.would_refuse);
  if (verdict.refused_by) return Refused{refusal_of(*verdict.refused_by), verdict.wait};
  keep_count(source, connection, *verdict.ticket);
  return std::nullopt;
}

std::uint64_t Gatekeeper::group_of(const IpAddress& source) const { return hash_address(source, config_.source, key_); }

// What stands in the way may have been closed long ago: nobody has asked.
void Gatekeeper::recount_where_full(const IpAddress& source) {
  if (!by_source_) return;
  const AdmissionVerdict verdict = admission_->foresee(source, loop_.now());
  const bool is_full =
      verdict.refused_by == Limit::SourceConnections || verdict.would_refuse.contains(Limit::SourceConnections);
  if (is_full) by_source_->recount(group_of(source), loop_.now());
}

void Gatekeeper::keep_count(const IpAddress& source, BorrowedFd connection, AdmissionTicket ticket) {
  const bool is_counted = by_source_ && by_source_->add(connection, group_of(source), note_of(ticket));
  if (!is_counted) admission_->on_closed(ticket);
}

bool Gatekeeper::has_room() {
  if (!is_full()) return true;
  if (!is_tried(Limit::TotalConnections)) return false;
  count_would_refuse(to_text(Refusal::TotalConnections));
  return true;
}

bool Gatekeeper::is_full() {
  if (!seems_full()) return false;
  of_all_->recount_all(loop_.now());
  return seems_full();
}

void Gatekeeper::on_passed_on(BorrowedFd connection) {
  if (of_all_) of_all_->add(connection, 0, 0);
}

std::optional<Refusal> Gatekeeper::foresee(const std::optional<IpAddress>& source) {
  if (!source) return std::nullopt;
  if (const std::optional<Refusal> refusal = first_of(lists_against(*source), config_.tried())) return refusal;
  if (!admission_) return std::nullopt;
  recount_where_full(*source);
  const std::optional<Limit> limit = admission_->foresee(*source, loop_.now()).refused_by;
  return limit ? std::optional(refusal_of(*limit)) : std::nullopt;
}

std::vector<std::string> Gatekeeper::limits() const {
  std::vector<std::string> limits;
  const auto add = [&](bool is_set, Limit limit, const std::string& text) {
    if (!is_set) return;
    limits.push_back(fmt::format("{} = {}{}", key_of(limit), text, is_tried(limit) ? kOnlyCounted : ""));
  };
  const auto of_list = [](const List& list) { return fmt::format("{} ({} ranges)", list.path, list.ranges); };
  const std::string each = fmt::format("for each /{} of IPv4 and /{} of IPv6", config_.source.v4, config_.source.v6);
  add(!allowed_.path.empty(), Limit::Allow, of_list(allowed_));
  add(!denied_.path.empty(), Limit::Deny, of_list(denied_));
  add(config_.rate != 0, Limit::SourceRate,
      fmt::format("{} in {} {}", config_.rate, to_text(config_.rate_period), each));
  add(config_.source_connections != 0, Limit::SourceConnections,
      fmt::format("{} {}", config_.source_connections, each));
  add(config_.total_connections != 0, Limit::TotalConnections, std::to_string(config_.total_connections));
  add(config_.ban_after != 0, Limit::Ban,
      fmt::format("{} refusals, for {}", config_.ban_after, to_text(config_.ban_time)));
  return limits;
}

LimitSet Gatekeeper::lists_against(const IpAddress& source) const {
  LimitSet against;
  if (denied_.set.contains(source)) against |= Limit::Deny;
  if (!allowed_.path.empty() && !allowed_.set.contains(source)) against |= Limit::Allow;
  return against;
}

void Gatekeeper::count_tried(LimitSet limits) {
  for (const auto& [limit, refusal] : kRefusals) {
    if (limits.contains(limit)) count_would_refuse(to_text(refusal));
  }
}

Outcome Gatekeeper::read(List& list) {
  if (list.path.empty()) return Done{};
  const FileStamp stamp = stamp_of(list.path);  // before reading: what changes meanwhile is read once more
  list.stamp = list.seen = stamp;
  const Result<std::string> text = read_text_file(list.path, kMostBytes);
  if (!text) return text.error();
  if (stamp_of(list.path) != stamp) return Error{{}, list.path + ": it was changed while it was read"};
  const Result<std::vector<Cidr>> ranges = parse_cidr_lines(*text);
  if (!ranges) return Error{{}, list.path + ": " + ranges.error().message()};
  if (ranges->empty() && list.holds == List::Holds::WhoIsLetIn)
    return Error{{}, list.path + ": it holds no range, so nobody would be let in"};
  list.set = CidrSet(*ranges);
  list.ranges = ranges->size();
  return Done{};
}

void Gatekeeper::look_again() {
  for (List* const list : {&allowed_, &denied_}) {
    const bool has_changed = is_to_be_read(*list);
    if (has_changed && !reading_) read_anew(*list);
  }
  timer_.arm(loop_.now() + kLookPeriod);
}

bool Gatekeeper::is_to_be_read(List& list) {
  if (list.path.empty()) return false;
  const FileStamp stamp = stamp_of(list.path);
  const bool stands_still = std::exchange(list.seen, stamp) == stamp;
  return stamp != list.stamp && stands_still;
}

void Gatekeeper::read_anew(const List& list) {
  struct Reading {
    List list;
    Outcome outcome = Done{};
  };
  const auto reading = std::make_shared<Reading>(Reading{{list.holds, list.path}});
  reading_ = Background::start(
      loop_, [reading] { reading->outcome = read(reading->list); },
      [this, reading] {
        reading_.reset();
        take(std::move(reading->list), reading->outcome);
      });
}

void Gatekeeper::take(List read, const Outcome& outcome) {
  List& list = read.holds == List::Holds::WhoIsLetIn ? allowed_ : denied_;
  list.stamp = read.stamp;  // one with a mistake is told once, not every second
  if (outcome) {
    spdlog::info("listener {}: {} has changed and is in force", listener_, list.path);
    list = std::move(read);
  } else {
    spdlog::error("listener {}: {}; what it said before stays in force", listener_, outcome.error().message());
  }
}

std::vector<ClientsAnswer::Source> Gatekeeper::heaviest(std::size_t count) {
  if (by_source_) by_source_->recount_now(kMostCountedForPeople);
  std::vector<ClientsAnswer::Source> sources;
  if (heavy_) {
    for (const HeavySources::Source& source : heaviest_of(heavy_->sources(), count)) sources.push_back(told_of(source));
    return sources;
  }
  for (const Admission::Source& source : admission_->heaviest(count, loop_.now())) {
    const unsigned bits = source.address.is_v6() ? config_.source.v6 : config_.source.v4;
    sources.push_back({source.address.text() + "/" + std::to_string(bits), source.connections, source.seen,
                       source.refused, source.banned});
  }
  return sources;
}

void Gatekeeper::save(SavedDoor& door, std::size_t most_open) const {
  door.would_refuse = would_refuse_;
  if (of_all_) {
    for (const Census::Connection& connection : of_all_->some(most_open)) door.open.push_back(to_text(connection.ends));
  }
  if (by_source_) {
    for (const Census::Connection& connection : by_source_->some(most_open)) {
      const std::optional<IpAddress> source = admission_->source_of(ticket_of(connection.note));
      if (source) door.open_of_sources[source->text()].push_back(to_text(connection.ends));
    }
  }
  if (!admission_) return;
  for (const Admission::Memory& memory : admission_->memories(kMostSaved, loop_.now())) {
    door.sources.push_back({memory.address.text(), memory.full_at, memory.refused_since, memory.banned_until,
                            memory.refusals, memory.seen});
  }
}

void Gatekeeper::recall(const SavedDoor& door) {
  would_refuse_ = door.would_refuse;
  recall_open(door);
  if (!admission_) return;
  for (const SavedSource& source : door.sources) {
    const std::optional<IpAddress> address = IpAddress::parse(source.address);
    if (!address) continue;  // a form that only another version knows: that source begins anew
    admission_->recall({*address, source.full_at, source.refused_since, source.banned_until,
                        static_cast<std::uint32_t>(source.refusals), static_cast<std::uint32_t>(source.seen)},
                       loop_.now());
  }
}

// What has been closed meanwhile is found out as always, before it stands in anybody's way.
void Gatekeeper::recall_open(const SavedDoor& door) {
  if (of_all_) {
    for (const std::string& text : door.open) {
      if (const std::optional<ConnectionEnds> ends = parse_ends(text)) of_all_->recall({*ends, 0, 0});
    }
  }
  if (!by_source_) return;
  for (const auto& [address, open] : door.open_of_sources) {
    const std::optional<IpAddress> source = IpAddress::parse(address);
    if (!source) continue;
    for (const std::string& text : open) {
      const std::optional<ConnectionEnds> ends = parse_ends(text);
      if (ends) by_source_->recall({*ends, group_of(*source), note_of(admission_->recall_open(*source, loop_.now()))});
    }
  }
}

ClientsAnswer::Source told_of(const HeavySources::Source& source) {
  return {source.address.text() + "/" + std::to_string(source.bits), 0, source.seen, source.refused, false};
}

Outcome Gatekeeper::check(const AdmissionConfig& config) {
  for (List list : {List{List::Holds::WhoIsLetIn, config.allow_file}, List{List::Holds::WhoIsNot, config.deny_file}}) {
    if (Outcome read = Gatekeeper::read(list); !read) return read;
  }
  return Done{};
}

}  // namespace holdfast
