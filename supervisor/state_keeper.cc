#include "state_keeper.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <functional>
#include <iterator>
#include <string_view>
#include <utility>

#include "sys/kept_descriptors.h"
#include "sys/service_manager.h"
#include "sys/spawn.h"

namespace holdfast {

namespace {

// The kinds of names that a saved state has (sys/fd_table.h). The names of socket units that look like them are the operator's
// mistake.
constexpr std::string_view kMemory = "state";
constexpr std::string_view kPidfd = "pidfd";
constexpr std::string_view kConnection = "connection";
constexpr std::array<std::string_view, 11> kKinds = {kMemory,  kPidfd,     "channel", "page",    "output", "bus",
                                                     "member", "listener", "notify",  "capture", "control"};
constexpr Duration kCounterPeriod = std::chrono::seconds(1);

bool is_of_kind(const std::string& name, std::string_view kind) {
  return name.size() > kind.size() && name.starts_with(kind) && name[kind.size()] == '.';
}

bool is_kept(const GivenDescriptor& given) {
  return std::any_of(kKinds.begin(), kKinds.end(), [&](std::string_view kind) { return is_of_kind(given.name, kind); });
}

SavedState without_connections(SavedState state) {
  for (SavedPool& pool : state.pools) {
    pool.unplaced.clear();
    pool.arriving.clear();
    pool.at_session_door.clear();
    for (SavedSlot& slot : pool.slots) {
      if (slot.inbox) slot.inbox->unsent.clear();
    }
    for (SavedWorker& worker : pool.workers) {
      if (worker.own_inbox) worker.own_inbox->unsent.clear();
    }
  }
  return state;
}

// Which open file a name stands for: of sockets the kernel's number tells it, whatever they are called.
std::string file_of(const std::string& name, BorrowedFd fd) {
  return is_socket(fd) ? "socket" + name.substr(name.rfind('.')) : name;
}

// Two names of one open file: the manager keeps it once. Whoever needs the other name finds it by the kernel's number.
UniqueFd by_other_name(const std::string& name, const std::vector<GivenDescriptor>& given) {
  const std::string kind = name.substr(0, name.find('.'));
  for (const GivenDescriptor& other : given) {
    if (is_socket(other.fd) && lasting_name(kind, other.fd) == name) return copy_of(other.fd);
  }
  return {};
}

Result<StateMemory> memory_of(const std::vector<GivenDescriptor>& given) {
  std::array<UniqueFd, 2> halves;
  std::size_t found = 0;
  for (const GivenDescriptor& one : given) {
    if (is_of_kind(one.name, kMemory) && found < halves.size()) halves[found++] = copy_of(one.fd);
  }
  return StateMemory::adopt(std::move(halves));
}

Result<KeptState> kept_state_of(const std::vector<GivenDescriptor>& given) {
  Result<StateMemory> memory = memory_of(given);
  if (!memory) return std::move(memory).error();
  const Result<std::string> text = memory->read();
  if (!text) return text.error();
  Result<Takeover> takeover = takeover_of(*text);
  if (!takeover) return std::move(takeover).error();
  KeptState kept{*std::move(takeover), *std::move(memory), {}, {}, {}};
  for (const auto& [name, number] : kept.takeover.state.numbers) {
    const auto same = [&name = name](const GivenDescriptor& one) { return one.name == name; };
    const auto one = std::find_if(given.begin(), given.end(), same);
    UniqueFd fd = one != given.end() ? copy_of(one->fd) : by_other_name(name, given);
    if (fd) {
      kept.takeover.fds.put(name, std::move(fd));
    } else if (!is_of_kind(name, kConnection)) {
      kept.missing.push_back(name);
    }
  }
  return kept;
}

}  // namespace

Result<std::unique_ptr<StateKeeper>> StateKeeper::create(Loop& loop, Snapshot snapshot,
                                                         std::optional<StateMemory> memory, KeptNames::Files kept) {
  if (!memory) {
    Result<StateMemory> made = StateMemory::create();
    if (!made) return std::move(made).error();
    memory.emplace(*std::move(made));
  }
  return std::unique_ptr<StateKeeper>(new StateKeeper(loop, std::move(snapshot), *std::move(memory), std::move(kept)));
}

StateKeeper::StateKeeper(Loop& loop, Snapshot snapshot, StateMemory memory, KeptNames::Files kept)
    : loop_(loop), snapshot_(std::move(snapshot)), memory_(std::move(memory)), counters_(loop, [this] { keep_now(); }) {
  kept_.assume(std::move(kept));
}

void StateKeeper::on_change() {
  if (std::exchange(due_, true)) return;
  loop_.defer([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    due_ = false;
    keep_now();
  });
}

void StateKeeper::keep_now() {
  counters_.arm(loop_.now() + kCounterPeriod);
  tell(keep());
}

// Errors: the first one; everything else is done nevertheless.
Outcome StateKeeper::keep() {
  FdList fds;
  Result<SavedState> snapshot = snapshot_(fds);
  if (!snapshot) return std::move(snapshot).error();
  const SavedState state = without_connections(*std::move(snapshot));
  for (const std::size_t half : {0U, 1U}) (void)fds.add(kMemory, memory_.half(half));
  const KeptNames::Change change = kept_.change_to(files_of(fds));
  Outcome outcome = check_room(kept_.kept().size());
  const auto is_done = [&outcome](const Outcome& part) {
    if (outcome && !part) outcome = part;
    return part.has_value();
  };
  for (const std::string& name : change.given) {
    if (!is_done(store_descriptor(name, BorrowedFd(fds.numbers().at(name))))) kept_.was_not_given(name);
  }
  (void)is_done(memory_.write(encode(state)));
  for (const std::string& name : change.taken_back) {
    if (!is_done(forget_descriptor(name))) kept_.was_not_taken_back(name);
  }
  return outcome;
}

KeptNames::Files StateKeeper::files_of(const FdList& fds) {
  KeptNames::Files files;
  for (const auto& [name, number] : fds.numbers()) {
    if (!is_of_kind(name, kConnection)) files.emplace(name, file_of(name, BorrowedFd(number)));
  }
  return files;
}

// The manager says nothing of what it drops.
Outcome StateKeeper::check_room(std::size_t wanted) {
  const std::optional<std::size_t> room = room_of_descriptor_store();
  if (!room || *room >= wanted) return Done{};
  return Error{{},
               "have the service manager keep " + std::to_string(wanted) + " descriptors: it has room for " +
                   std::to_string(*room) + " (raise FileDescriptorStoreMax= of the unit)"};
}

void StateKeeper::forget() {
  counters_.disarm();
  due_ = true;  // from here on nothing is kept
  abandon(kept_.kept(), {});
  kept_.assume({});
}

void StateKeeper::save(SavedState& state, FdList& fds) const {
  for (const std::size_t half : {0U, 1U}) state.memory.push_back(fds.add(kMemory, memory_.half(half)));
  state.kept = kept_.kept();
  state.numbers.insert(fds.numbers().begin(), fds.numbers().end());
}

void StateKeeper::tell(const Outcome& outcome) {
  if (std::exchange(fails_, !outcome) == !outcome) return;
  if (outcome) return spdlog::info("what the next supervisor needs is kept again");
  spdlog::error("{}: a supervisor that is killed now takes its workers with it", outcome.error().message());
}

std::optional<Result<KeptState>> take_kept_state(std::vector<GivenDescriptor>& given) {
  const auto first = std::stable_partition(given.begin(), given.end(), std::not_fn(is_kept));
  if (first == given.end()) return std::nullopt;
  const std::vector<GivenDescriptor> all(std::make_move_iterator(first), std::make_move_iterator(given.end()));
  given.erase(first, given.end());
  KeptNames::Files names;
  std::vector<UniqueFd> workers;
  for (const GivenDescriptor& one : all) {
    names.emplace(one.name, file_of(one.name, one.fd));
    if (is_of_kind(one.name, kPidfd)) workers.push_back(copy_of(one.fd));
  }
  Result<KeptState> kept = kept_state_of(all);
  if (!kept) {
    abandon(names, workers);
    return kept;
  }
  kept->names = std::move(names);
  kept->workers = std::move(workers);
  return kept;
}

void give_up(const KeptState& kept, const Error& why) {
  spdlog::error("{}: what the supervisor before us has left is ended", why.message());
  if (!kept.missing.empty()) {
    spdlog::error(
        "the service manager has not kept {} of the descriptors, '{}' for one: is FileDescriptorStoreMax= of the unit "
        "large enough?",
        kept.missing.size(), kept.missing.front());
  }
  abandon(kept.names, kept.workers);
}

void abandon(const KeptNames::Files& names, const std::vector<UniqueFd>& workers) {
  for (const UniqueFd& worker : workers) {
    const std::optional<pid_t> pid = process_of(worker);
    if (!pid) continue;  // it has ended
    spdlog::error("the worker with pid {} cannot be taken over: it is killed", *pid);
    signal_group(*pid, SIGKILL);
  }
  for (const auto& [name, file] : names) (void)forget_descriptor(name);  // a manager that is gone keeps nothing either
}

}  // namespace holdfast
