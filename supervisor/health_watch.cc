#include "health_watch.h"

#include <algorithm>
#include <utility>

#include "config/values.h"
#include "sys/loopback_pair.h"

namespace holdfast {

namespace {

// Ids of checks are above all those that the dispatcher gives out, and tell the worker.
constexpr std::uint64_t kIdsOfChecks = std::uint64_t{1} << 63;
constexpr unsigned kWorkerShift = 31;
constexpr std::uint64_t kNumberMask = (std::uint64_t{1} << kWorkerShift) - 1;

ConnectionRecord describe(const LoopbackPair& pair, std::uint64_t id, TimePoint now) {
  ConnectionRecord record{};
  record.record_length = sizeof record;
  record.family = HF_FAMILY_IPV4;
  record.id = id;
  record.accepted_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
  const Endpoint& remote = pair.theirs.remote;
  const Endpoint local = local_endpoint(pair.theirs.fd);
  const auto remote_bytes = remote.address.bytes();
  const auto local_bytes = local.address.bytes();
  std::copy(remote_bytes.begin(), remote_bytes.end(), record.remote);
  std::copy(local_bytes.begin(), local_bytes.end(), record.local);
  record.remote_port = remote.port;
  record.local_port = local.port;
  record.flags = HF_CONNECTION_CHECK;
  return record;
}

}  // namespace

HealthWatch::HealthWatch(Loop& loop, const PoolConfig& pool, SlotId slot, WorkerId worker, Hooks hooks)
    : loop_(loop),
      pool_(pool),
      slot_(slot),
      worker_(worker),
      hooks_(std::move(hooks)),
      health_(loop.now()),
      timer_(loop, [this] { settle(); }) {
  timer_.arm(loop.now());
}

HealthWatch::~HealthWatch() { drop_check(); }

void HealthWatch::on_taken_back() {
  taken_up_at_.reset();
  drop_check();
  health_.on_void();
  arm();
}

void HealthWatch::settle() {
  if (std::exchange(concluded_, false)) drop_check();
  const Health::Decision decision = health_.decide(pool_.health.policy, loop_.now());
  if (decision.abandon_check) abandon();
  if (decision.begin_check) begin();
  arm();
  if (decision.became_unhealthy || decision.became_healthy) hooks_.on_verdict(health_.state(), last_result_);
}

void HealthWatch::begin() {
  checks_++;
  pool_.health.http.empty() ? begin_command() : begin_http();
}

void HealthWatch::begin_http() {
  const ConnectionSink::Account account = hooks_.account();
  // One at a time in an inbox that nobody reads: they would only use up descriptors.
  if (taken_up_at_ && account.taken < *taken_up_at_) {
    return on_checked({false, "it has not taken up the connection of the last check"});
  }
  Result<LoopbackPair> pair = make_loopback_pair();
  if (!pair) {
    health_.on_void();
    return hooks_.on_cannot_check(pair.error().message());
  }
  taken_up_at_ = account.taken + ConnectionSink::queued(account) + 1;
  const std::uint64_t id = kIdsOfChecks | std::uint64_t{worker_.value} << kWorkerShift | (checks_ & kNumberMask);
  const ConnectionRecord record = describe(*pair, id, loop_.now());
  http_ = std::make_unique<HttpCheck>(loop_, std::move(pair->ours), pool_.health.http,
                                      [this](const CheckResult& result) { on_checked(result); });
  hooks_.give(Connection{std::move(pair->theirs.fd), record});
}

void HealthWatch::begin_command() {
  const auto give_up = [this](const Error& error) {
    health_.on_void();
    hooks_.on_cannot_check(error.message());
  };
  Result<SpawnPlan> plan = hooks_.plan_command();
  if (!plan) return give_up(plan.error());
  Result<std::unique_ptr<CommandCheck>> check = CommandCheck::start(
      loop_, *std::move(plan), pool_.name, slot_, [this](const CheckResult& result) { on_checked(result); });
  if (!check) return give_up(check.error());
  command_ = *std::move(check);
}

// Maybe inside a callback of the check: it is destroyed, and the verdict told, when the timer is due, which is at once.
void HealthWatch::on_checked(const CheckResult& result) {
  last_result_ = result.reason;
  result.passed ? health_.on_passed() : health_.on_failed();
  concluded_ = true;
  arm();
}

void HealthWatch::arm() { timer_.arm(health_.next_deadline(pool_.health.policy)); }

void HealthWatch::abandon() {
  const std::string what = pool_.health.http.empty() ? "the check" : "GET " + pool_.health.http;
  last_result_ = what + ": no answer within " + to_text(pool_.health.policy.timeout);
  drop_check();
}

void HealthWatch::drop_check() {
  http_.reset();
  if (command_ && !command_->has_ended()) hooks_.bury(std::move(command_));
  command_.reset();
}

bool is_of_check(const ConnectionRecord& record) { return (record.flags & HF_CONNECTION_CHECK) != 0; }

WorkerId checked_worker(const ConnectionRecord& record) {
  return WorkerId{static_cast<std::uint32_t>((record.id & ~kIdsOfChecks) >> kWorkerShift)};
}

}  // namespace holdfast
