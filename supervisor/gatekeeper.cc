#include "gatekeeper.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "config/values.h"

namespace holdfast {

namespace {

constexpr Duration kLookPeriod = std::chrono::seconds(2);
constexpr std::size_t kMostSaved = 4096;                   // sources: a state is written and read within milliseconds
constexpr std::size_t kMostCountedForPeople = 10'000;      // some 10 ms
constexpr std::size_t kMostBytes = std::size_t{64} << 20;  // a million ranges

Refusal refusal_of(AdmissionLimit limit) {
  switch (limit) {
    case AdmissionLimit::Ban:
      return Refusal::Banned;
    case AdmissionLimit::SourceConnections:
      return Refusal::SourceConnections;
    case AdmissionLimit::Rate:
    case AdmissionLimit::None:
      break;
  }
  return Refusal::SourceRate;
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
  policy.rate_enforcement = config.enforcement;
  policy.source_connections_enforcement = config.enforcement;
  policy.ban_enforcement = config.enforcement;
  return policy;
}

}  // namespace

bool Gatekeeper::is_needed(const AdmissionConfig& config) {
  return !config.allow_file.empty() || !config.deny_file.empty() || config.remembers_sources() ||
         config.bounds_connections();
}

Result<std::unique_ptr<Gatekeeper>> Gatekeeper::create(Loop& loop, std::string listener, const AdmissionConfig& config,
                                                       HashKey key) {
  std::unique_ptr<Gatekeeper> keeper(new Gatekeeper(loop, std::move(listener), config, key));
  for (List* const list : {&keeper->allowed_, &keeper->denied_}) {
    if (const Outcome read = Gatekeeper::read(*list); !read) {
      spdlog::error("listener {}: {}; until it can be read it {}", keeper->listener_, read.error().message(),
                    list == &keeper->allowed_ ? "lets nobody in" : "keeps nobody out");
    }
  }
  const auto count = [&](std::unique_ptr<Census>& counted, Census::OnClosed on_closed) -> Outcome {
    Result<std::unique_ptr<Census>> census = Census::create(key, std::move(on_closed));
    if (!census) return std::move(census).error();
    counted = *std::move(census);
    return Done{};
  };
  if (config.source_connections != 0) {
    const auto on_closed = [&admission = keeper->admission_](const Census::Connection& closed) {
      admission.on_closed(ticket_of(closed.note));
    };
    if (Outcome counted = count(keeper->by_source_, on_closed); !counted) return std::move(counted).error();
  }
  if (config.total_connections != 0) {
    if (Outcome counted = count(keeper->of_all_, [](const Census::Connection&) {}); !counted)
      return std::move(counted).error();
  }
  return keeper;
}

Gatekeeper::Gatekeeper(Loop& loop, std::string listener, const AdmissionConfig& config, HashKey key)
    : loop_(loop),
      listener_(std::move(listener)),
      config_(config),
      key_(key),
      admission_(policy_of(config), key),
      allowed_{config.allow_file, {}, {}, 0},
      denied_{config.deny_file, {}, {}, 0},
      timer_(loop, [this] { look_again(); }) {
  if (!allowed_.path.empty() || !denied_.path.empty()) timer_.arm(loop.now() + kLookPeriod);
}

std::optional<Refusal> Gatekeeper::judge(const std::optional<IpAddress>& source, BorrowedFd connection) {
  if (!source) return std::nullopt;
  if (const std::optional<Refusal> refusal = refuse_by_list(*source)) {
    if (config_.enforcement == Enforcement::Refuse) return refusal;
    ++would_refuse_[std::string(to_text(*refusal))];
  }
  if (!config_.remembers_sources()) return std::nullopt;
  recount_where_full(*source);
  const AdmissionVerdict verdict = admission_.on_connection(*source, loop_.now());
  if (verdict.dry_run != AdmissionLimit::None) ++would_refuse_[std::string(to_text(refusal_of(verdict.dry_run)))];
  if (!verdict.admitted()) return refusal_of(verdict.refused_by);
  keep_count(*source, connection, *verdict.ticket);
  return std::nullopt;
}

std::uint64_t Gatekeeper::group_of(const IpAddress& source) const { return hash_address(source, config_.source, key_); }

// What stands in the way may have been closed long ago: nobody has asked.
void Gatekeeper::recount_where_full(const IpAddress& source) {
  if (!by_source_) return;
  const AdmissionVerdict verdict = admission_.foresee(source, loop_.now());
  const bool is_full =
      verdict.refused_by == AdmissionLimit::SourceConnections || verdict.dry_run == AdmissionLimit::SourceConnections;
  if (is_full) by_source_->recount(group_of(source), loop_.now());
}

void Gatekeeper::keep_count(const IpAddress& source, BorrowedFd connection, AdmissionTicket ticket) {
  const bool is_counted = by_source_ && by_source_->add(connection, group_of(source), note_of(ticket));
  if (!is_counted) admission_.on_closed(ticket);
}

bool Gatekeeper::has_room() {
  if (!seems_full()) return true;
  of_all_->recount_all(loop_.now());
  if (!seems_full()) return true;
  if (config_.enforcement == Enforcement::Refuse) return false;
  ++would_refuse_[std::string(to_text(Refusal::TotalConnections))];
  return true;
}

bool Gatekeeper::seems_full() const { return of_all_ && of_all_->remembered() >= config_.total_connections; }

void Gatekeeper::on_passed_on(BorrowedFd connection) {
  if (of_all_) of_all_->add(connection, 0, 0);
}

std::optional<Refusal> Gatekeeper::foresee(const std::optional<IpAddress>& source) const {
  if (!source || config_.enforcement == Enforcement::DryRun) return std::nullopt;
  if (const std::optional<Refusal> refusal = refuse_by_list(*source)) return refusal;
  const AdmissionLimit limit = admission_.foresee(*source, loop_.now()).refused_by;
  return limit == AdmissionLimit::None ? std::nullopt : std::optional(refusal_of(limit));
}

std::vector<std::string> Gatekeeper::limits() const {
  std::vector<std::string> limits;
  const std::string how = config_.enforcement == Enforcement::DryRun ? ", only counted" : "";
  const auto list = [&](std::string_view name, const List& ranges) {
    if (ranges.path.empty()) return;
    limits.push_back(fmt::format("{} = {} ({} ranges){}", name, ranges.path, ranges.ranges, how));
  };
  list("allow", allowed_);
  list("deny", denied_);
  if (config_.rate != 0) {
    limits.push_back(fmt::format("source-rate = {} in {} for each /{} of IPv4 and /{} of IPv6{}", config_.rate,
                                 to_text(config_.rate_period), config_.source.v4, config_.source.v6, how));
  }
  if (config_.source_connections != 0) {
    limits.push_back(fmt::format("source-connections = {} for each /{} of IPv4 and /{} of IPv6{}",
                                 config_.source_connections, config_.source.v4, config_.source.v6, how));
  }
  if (config_.total_connections != 0)
    limits.push_back(fmt::format("total-connections = {}{}", config_.total_connections, how));
  if (config_.ban_after != 0)
    limits.push_back(fmt::format("ban-after = {} refusals, for {}", config_.ban_after, to_text(config_.ban_time)));
  return limits;
}

std::optional<Refusal> Gatekeeper::refuse_by_list(const IpAddress& source) const {
  if (denied_.set.contains(source)) return Refusal::Denied;
  if (!allowed_.path.empty() && !allowed_.set.contains(source)) return Refusal::NotAllowed;
  return std::nullopt;
}

Outcome Gatekeeper::read(List& list) {
  if (list.path.empty()) return Done{};
  list.stamp = stamp_of(list.path);  // before reading: what changes meanwhile is read once more
  const Result<std::string> text = read_text_file(list.path, kMostBytes);
  if (!text) return text.error();
  const Result<std::vector<Cidr>> ranges = parse_cidr_lines(*text);
  if (!ranges) return Error{{}, list.path + ": " + ranges.error().message()};
  list.set = CidrSet(*ranges);
  list.ranges = ranges->size();
  return Done{};
}

void Gatekeeper::look_again() {
  look_again(allowed_);
  look_again(denied_);
  timer_.arm(loop_.now() + kLookPeriod);
}

void Gatekeeper::look_again(List& list) {
  if (list.path.empty()) return;
  if (stamp_of(list.path) == list.stamp) return;  // a file with a mistake is told once, not every two seconds
  if (const Outcome read = Gatekeeper::read(list); read) {
    spdlog::info("listener {}: {} has changed and is in force", listener_, list.path);
  } else {
    spdlog::error("listener {}: {}; what it said before stays in force", listener_, read.error().message());
  }
}

std::vector<ClientsAnswer::Source> Gatekeeper::heaviest(std::size_t count) {
  if (by_source_) by_source_->recount_now(kMostCountedForPeople);
  std::vector<ClientsAnswer::Source> sources;
  for (const Admission::Source& source : admission_.heaviest(count, loop_.now())) {
    const unsigned bits = source.address.is_v6() ? config_.source.v6 : config_.source.v4;
    sources.push_back({source.address.text() + "/" + std::to_string(bits), source.connections, source.seen,
                       source.refusals, source.banned});
  }
  return sources;
}

void Gatekeeper::save(SavedDoor& door) const {
  door.would_refuse = would_refuse_;
  for (const Admission::Memory& memory : admission_.memories(kMostSaved, loop_.now())) {
    door.sources.push_back({memory.address.text(), memory.full_at, memory.refused_since, memory.banned_until,
                            memory.refusals, memory.seen});
  }
}

void Gatekeeper::recall(const SavedDoor& door) {
  would_refuse_ = door.would_refuse;
  if (!remembers()) return;
  for (const SavedSource& source : door.sources) {
    const std::optional<IpAddress> address = IpAddress::parse(source.address);
    if (!address) continue;  // a form that only another version knows: that source begins anew
    admission_.recall({*address, source.full_at, source.refused_since, source.banned_until,
                       static_cast<std::uint32_t>(source.refusals), static_cast<std::uint32_t>(source.seen)},
                      loop_.now());
  }
}

Outcome Gatekeeper::check(const AdmissionConfig& config) {
  for (const std::string& path : {config.allow_file, config.deny_file}) {
    List list{path, {}, {}, 0};
    if (Outcome read = Gatekeeper::read(list); !read) return read;
  }
  return Done{};
}

}  // namespace holdfast
