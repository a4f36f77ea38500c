#include "takeover.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "config/config_text.h"
#include "sys/machine.h"
#include "sys/next_program.h"

namespace holdfast {

namespace {

constexpr std::size_t kLargestState = std::size_t{64} << 20;  // 256 slots take about 1 MiB

}  // namespace

const PoolConfig* pool_named(const Config& config, const std::string& name) {
  const auto found =
      std::find_if(config.pools.begin(), config.pools.end(), [&](const PoolConfig& pool) { return pool.name == name; });
  return found == config.pools.end() ? nullptr : &*found;
}

Result<Takeover> read_takeover(BorrowedFd state) {
  const Result<std::string> text = read_sealed_text(state, kLargestState);
  if (!text) return text.error();
  return takeover_of(*text);
}

Result<Takeover> takeover_of(std::string_view text) {
  Result<SavedState> decoded = decode_saved_state(text);
  if (!decoded) return std::move(decoded).error();
  const Result<std::string> boot = boot_id();
  if (!boot) return boot.error();
  if (*boot != decoded->boot) {
    return Error{{}, "take over the state of a supervisor: it is of another boot of this machine"};
  }
  Result<Config> config = config_of_text(decoded->config);
  if (!config) {
    return Error{
        {}, "take over the configuration in force at holdfast " + decoded->version + ": " + config.error().message()};
  }
  for (const SavedPool& pool : decoded->pools) {
    if (pool_named(*config, pool.name) == nullptr) {
      return Error{{}, "take over the state of a supervisor: its pools do not fit its configuration"};
    }
  }
  return Takeover{*std::move(decoded), *std::move(config), {}};
}

std::optional<Result<Takeover>> inherited_takeover() {
  const UniqueFd state = take_inherited_state();
  if (!state) return std::nullopt;
  Result<Takeover> takeover = read_takeover(state);
  if (!takeover) return takeover;
  // The numbers are good in the process that wrote them.
  if (takeover->state.pid != ::getpid()) {
    return Result<Takeover>(Error{{}, "take over the state of a supervisor: it is of another process"});
  }
  takeover->fds = FdTable::inherited(takeover->state.numbers);
  return takeover;
}

}  // namespace holdfast
