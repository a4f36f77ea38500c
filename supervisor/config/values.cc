#include "config/values.h"

#include <array>
#include <charconv>
#include <cmath>
#include <csignal>
#include <limits>
#include <utility>

namespace holdfast {

namespace {

struct Unit {
  std::string_view name;
  Duration length;
};
// From the longest: printing takes the first that divides.
constexpr std::array<Unit, 6> kUnits = {{{"h", std::chrono::hours(1)},
                                         {"m", std::chrono::minutes(1)},
                                         {"s", std::chrono::seconds(1)},
                                         {"ms", std::chrono::milliseconds(1)},
                                         {"us", std::chrono::microseconds(1)},
                                         {"ns", std::chrono::nanoseconds(1)}}};

constexpr std::array<std::pair<std::string_view, Intake>, 6> kIntakes = {{{"auto", Intake::Auto},
                                                                          {"sdk", Intake::Sdk},
                                                                          {"listen-fds", Intake::ListenFds},
                                                                          {"capture", Intake::Capture},
                                                                          {"node", Intake::Node},
                                                                          {"none", Intake::None}}};
constexpr std::array<std::pair<std::string_view, Plane>, 4> kPlanes = {
    {{"auto", Plane::Auto}, {"pass", Plane::Pass}, {"steer", Plane::Steer}, {"self", Plane::Self}}};
constexpr std::array<std::pair<std::string_view, NodeConfig::StickyBy>, 2> kNodeStickyBy = {
    {{"address", NodeConfig::StickyBy::Address}, {"session", NodeConfig::StickyBy::Session}}};
constexpr std::array<std::pair<std::string_view, NodeConfig::Ready>, 2> kNodeReady = {
    {{"listening", NodeConfig::Ready::Listening}, {"message", NodeConfig::Ready::Message}}};
constexpr std::array<std::pair<std::string_view, NodeConfig::Farewell>, 2> kNodeFarewells = {
    {{"disconnect", NodeConfig::Farewell::Disconnect}, {"message", NodeConfig::Farewell::Message}}};
constexpr std::array<std::pair<std::string_view, NodeConfig::Messages>, 3> kNodeMessages = {
    {{"log", NodeConfig::Messages::Log}, {"relay", NodeConfig::Messages::Relay}, {"drop", NodeConfig::Messages::Drop}}};
constexpr std::array<std::pair<std::string_view, NodeSerialization>, 2> kNodeSerializations = {
    {{"json", NodeSerialization::Json}, {"advanced", NodeSerialization::Advanced}}};
constexpr std::array<std::pair<std::string_view, Overflow>, 3> kOverflows = {
    {{"next", Overflow::Next}, {"wait", Overflow::Wait}, {"refuse", Overflow::Refuse}}};
constexpr std::array<std::pair<std::string_view, KeepState>, 2> kKeepStates = {
    {{"no", KeepState::No}, {"systemd", KeepState::Systemd}}};
constexpr std::array<std::pair<std::string_view, Fleet::StartOrder>, 2> kStartOrders = {
    {{"together", Fleet::StartOrder::Together}, {"one-by-one", Fleet::StartOrder::OneByOne}}};
constexpr std::array<std::pair<std::string_view, Fleet::RestartGroup>, 2> kRestartGroups = {
    {{"one", Fleet::RestartGroup::One}, {"all", Fleet::RestartGroup::All}}};
constexpr std::array<std::pair<std::string_view, DrainWait>, 2> kDrainWaits = {
    {{"queue", DrainWait::Queue}, {"connections", DrainWait::Connections}}};
// Those by which servers are asked to stop. SIGKILL asks nobody.
constexpr std::array<std::pair<std::string_view, int>, 7> kStopSignals = {{{"TERM", SIGTERM},
                                                                           {"INT", SIGINT},
                                                                           {"QUIT", SIGQUIT},
                                                                           {"HUP", SIGHUP},
                                                                           {"USR1", SIGUSR1},
                                                                           {"USR2", SIGUSR2},
                                                                           {"WINCH", SIGWINCH}}};
constexpr std::array<std::pair<std::string_view, LogLevel>, 4> kLogLevels = {
    {{"debug", LogLevel::Debug}, {"info", LogLevel::Info}, {"warning", LogLevel::Warning}, {"error", LogLevel::Error}}};

constexpr std::array<std::pair<std::string_view, BusFull>, 3> kBusFulls = {
    {{"drop-oldest", BusFull::DropOldest}, {"drop-newest", BusFull::DropNewest}, {"disconnect", BusFull::Disconnect}}};
constexpr std::array<std::pair<std::string_view, HealthAction>, 2> kHealthActions = {
    {{"drain", HealthAction::Drain}, {"restart", HealthAction::Restart}}};

struct SizeUnit {
  char letter;
  unsigned shift;
};
// From the largest, as above.
constexpr std::array<SizeUnit, 4> kSizeUnits = {{{'T', 40}, {'G', 30}, {'M', 20}, {'K', 10}}};

Error wrong(std::string_view text, std::string_view expected) {
  return Error{{}, "'" + std::string(text) + "' is not " + std::string(expected)};
}

template <class Table, class E>
Outcome parse_enumerator(std::string_view text, const Table& table, E& value) {
  std::string names;
  for (const auto& [name, enumerator] : table) {
    if (name == text) {
      value = enumerator;
      return Done{};
    }
    names += names.empty() ? std::string(name) : " or " + std::string(name);
  }
  return wrong(text, names);
}

template <class Table, class E>
std::string enumerator_text(const Table& table, E value) {
  for (const auto& [name, enumerator] : table) {
    if (enumerator == value) return std::string(name);
  }
  return {};
}

template <class N>
Outcome parse_number(std::string_view text, N& value) {
  N parsed{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (code != std::errc{} || end != text.data() + text.size()) {
    return wrong(text, "a whole number from " + std::to_string(std::numeric_limits<N>::min()) + " to " +
                           std::to_string(std::numeric_limits<N>::max()));
  }
  value = parsed;
  return Done{};
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  static constexpr std::string_view kForm = "a time such as 500ms, 2s, 1.5s, 5m or 0";
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (code != std::errc{} || !std::isfinite(number) || number < 0) return wrong(text, kForm);
  const std::string_view unit_name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit_name.empty() && number == 0) return Duration::zero();
  for (const Unit& unit : kUnits) {
    if (unit.name != unit_name) continue;
    const double nanoseconds = number * static_cast<double>(unit.length.count());
    constexpr double kLongest = 1e9 * 60 * 60 * 24 * 365 * 10;  // ten years: sums of times stay far from overflow
    if (nanoseconds > kLongest) return wrong(text, "a time of at most ten years");
    return Duration(std::llround(nanoseconds));
  }
  return wrong(text, kForm);
}

std::string to_text(Duration duration) {
  if (duration == Duration::zero()) return "0s";
  for (const Unit& unit : kUnits) {
    if (duration % unit.length == Duration::zero())
      return std::to_string(duration / unit.length) + std::string(unit.name);
  }
  return std::to_string(duration.count()) + "ns";
}

Outcome parse_value(std::string_view text, Duration& value) {
  const Result<Duration> parsed = parse_duration(text);
  if (!parsed) return parsed.error();
  value = *parsed;
  return Done{};
}
Outcome parse_value(std::string_view text, unsigned& value) { return parse_number(text, value); }
Outcome parse_value(std::string_view text, int& value) { return parse_number(text, value); }
Outcome parse_value(std::string_view text, std::string& value) {
  value = std::string(text);
  return Done{};
}
Outcome parse_value(std::string_view text, std::vector<int>& value) {
  std::vector<int> numbers;
  for (std::size_t start = 0; text != "none" && start <= text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    int number = 0;
    const Outcome parsed = parse_number(text.substr(start, comma - start), number);
    if (!parsed) return wrong(text, "a list of numbers such as 2,78, or none");
    numbers.push_back(number);
    start = comma + 1;
  }
  value = std::move(numbers);
  return Done{};
}
Outcome parse_value(std::string_view text, CpuList& value) {
  if (text == "all") {
    value.clear();
    return Done{};
  }
  Result<CpuList> list = parse_cpu_list(text);
  if (!list) return Error{{}, "'" + std::string(text) + "' is not a list of CPUs: " + list.error().message()};
  value = *std::move(list);
  return Done{};
}

Outcome parse_value(std::string_view text, ResourceLimits& value) {
  Result<ResourceLimits> limits = text == "none" ? ResourceLimits{} : parse_resource_limits(text);
  if (!limits) return Error{{}, "'" + std::string(text) + "': " + limits.error().message()};
  value = *std::move(limits);
  return Done{};
}
Outcome parse_value(std::string_view text, FileMask& value) {
  const Result<FileMask> mask = text == "none" ? FileMask{} : parse_file_mask(text);
  if (!mask) return mask.error();
  value = *mask;
  return Done{};
}

Outcome parse_value(std::string_view text, DrainWait& value) { return parse_enumerator(text, kDrainWaits, value); }
Outcome parse_value(std::string_view text, SignalName& value) {
  return parse_enumerator(text.starts_with("SIG") ? text.substr(3) : text, kStopSignals, value.number);
}
Outcome parse_value(std::string_view text, Overflow& value) { return parse_enumerator(text, kOverflows, value); }
Outcome parse_value(std::string_view text, Intake& value) { return parse_enumerator(text, kIntakes, value); }
Outcome parse_value(std::string_view text, Plane& value) { return parse_enumerator(text, kPlanes, value); }
Outcome parse_value(std::string_view text, KeepState& value) { return parse_enumerator(text, kKeepStates, value); }

Outcome parse_value(std::string_view text, NodeDialect& value) {
  if (const std::optional<NodeDialect> dialect = parse_node_dialect(text)) {
    value = *dialect;
    return Done{};
  }
  std::string names;
  for (const NodeDialectWords& words : kNodeDialects) names += (names.empty() ? "" : " or ") + std::string(words.name);
  return wrong(text, names);
}

Outcome parse_value(std::string_view text, NodeConfig::StickyBy& value) {
  return parse_enumerator(text, kNodeStickyBy, value);
}

Outcome parse_value(std::string_view text, NodeConfig::Ready& value) {
  return parse_enumerator(text, kNodeReady, value);
}

Outcome parse_value(std::string_view text, NodeConfig::Farewell& value) {
  return parse_enumerator(text, kNodeFarewells, value);
}

Outcome parse_value(std::string_view text, NodeConfig::Messages& value) {
  return parse_enumerator(text, kNodeMessages, value);
}

Outcome parse_value(std::string_view text, NodeSerialization& value) {
  return parse_enumerator(text, kNodeSerializations, value);
}
Outcome parse_value(std::string_view text, Fleet::StartOrder& value) {
  return parse_enumerator(text, kStartOrders, value);
}
Outcome parse_value(std::string_view text, Fleet::RestartGroup& value) {
  return parse_enumerator(text, kRestartGroups, value);
}
Outcome parse_value(std::string_view text, LogLevel& value) { return parse_enumerator(text, kLogLevels, value); }

Outcome parse_value(std::string_view text, BusFull& value) { return parse_enumerator(text, kBusFulls, value); }
Outcome parse_value(std::string_view text, HealthAction& value) {
  return parse_enumerator(text, kHealthActions, value);
}
Outcome parse_value(std::string_view text, ByteCount& value) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 50;
  unsigned shift = 0;
  std::string_view digits = text;
  for (const SizeUnit& unit : kSizeUnits) {
    if (text.empty() || text.back() != unit.letter) continue;
    shift = unit.shift;
    digits.remove_suffix(1);
    break;
  }
  std::uint64_t number = 0;
  if (!parse_number(digits, number) || number > kMost >> shift) {
    return wrong(text, "a number of bytes such as 65536, 64K, 512M or 2G");
  }
  value.bytes = number << shift;
  return Done{};
}
Outcome parse_value(std::string_view text, HashKey& value) {
  std::uint64_t both = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), both, 16);
  if (text.size() != 16 || code != std::errc{} || end != text.data() + text.size()) {
    return wrong(text, "16 hexadecimal digits");
  }
  value = HashKey{static_cast<std::uint32_t>(both >> 32), static_cast<std::uint32_t>(both)};
  return Done{};
}

Outcome parse_value(std::string_view text, ListenAddress& value) {
  Result<ListenAddress> parsed = parse_listen_address(text);
  if (!parsed) return std::move(parsed).error();
  value = *std::move(parsed);
  return Done{};
}

std::string value_text(Duration value) { return to_text(value); }
std::string value_text(unsigned value) { return std::to_string(value); }
std::string value_text(int value) { return std::to_string(value); }
std::string value_text(const std::string& value) { return value; }
std::string value_text(const std::vector<int>& value) {
  std::string text;
  for (const int number : value) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text.empty() ? "none" : text;
}
std::string value_text(const CpuList& value) {
  std::string text;
  for (const unsigned cpu : value) text += (text.empty() ? "" : ",") + std::to_string(cpu);
  return text.empty() ? "all" : text;
}

std::string value_text(const ResourceLimits& value) { return value.empty() ? "none" : to_text(value); }
std::string value_text(FileMask value) { return value.bits ? to_text(value) : "none"; }

std::string value_text(DrainWait value) { return enumerator_text(kDrainWaits, value); }
std::string value_text(SignalName value) { return enumerator_text(kStopSignals, value.number); }
std::string value_text(Overflow value) { return enumerator_text(kOverflows, value); }
std::string value_text(Intake value) { return enumerator_text(kIntakes, value); }
std::string value_text(Plane value) { return enumerator_text(kPlanes, value); }
std::string value_text(KeepState value) { return enumerator_text(kKeepStates, value); }
std::string value_text(NodeDialect value) { return std::string(words_of(value).name); }
std::string value_text(NodeConfig::StickyBy value) { return enumerator_text(kNodeStickyBy, value); }
std::string value_text(NodeConfig::Ready value) { return enumerator_text(kNodeReady, value); }
std::string value_text(NodeConfig::Farewell value) { return enumerator_text(kNodeFarewells, value); }
std::string value_text(NodeConfig::Messages value) { return enumerator_text(kNodeMessages, value); }
std::string value_text(NodeSerialization value) { return enumerator_text(kNodeSerializations, value); }
std::string value_text(Fleet::StartOrder value) { return enumerator_text(kStartOrders, value); }
std::string value_text(Fleet::RestartGroup value) { return enumerator_text(kRestartGroups, value); }
std::string value_text(LogLevel value) { return enumerator_text(kLogLevels, value); }

std::string value_text(BusFull value) { return enumerator_text(kBusFulls, value); }
std::string value_text(HealthAction value) { return enumerator_text(kHealthActions, value); }
std::string value_text(ByteCount value) {
  for (const SizeUnit& unit : kSizeUnits) {
    const std::uint64_t count = value.bytes >> unit.shift;
    if (count > 0 && count << unit.shift == value.bytes) return std::to_string(count) + unit.letter;
  }
  return std::to_string(value.bytes);
}
std::string value_text(HashKey value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::uint64_t both = (std::uint64_t{value.a} << 32) | value.b;
  std::string text(16, '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, both >>= 4) *digit = kDigits[both & 15];
  return text;
}

std::string value_text(const ListenAddress& value) {
  std::string text = to_text(value);
  const auto* path = std::get_if<UnixAddress>(&value);
  if (path == nullptr) return text;
  if (path->file.mode) {
    const unsigned mode = *path->file.mode;
    text += ",mode=0";
    for (const unsigned shift : {6U, 3U, 0U}) text += static_cast<char>('0' + ((mode >> shift) & 7));
  }
  if (!path->file.user.empty()) text += ",user=" + path->file.user;
  if (!path->file.group.empty()) text += ",group=" + path->file.group;
  return text;
}

bool is_name(std::string_view text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !text.empty() && text.size() <= 64 && text.front() != '.' && text.front() != '-' &&
         text.find_first_not_of(kAllowed) == std::string_view::npos;
}

Result<ListenerConfig> parse_listener(std::string_view text, std::string_view default_name) {
  ListenerConfig listener;
  listener.name = std::string(default_name);
  // A path may have a '=' of its own: only what looks like a name in front of the first one is a name.
  const std::size_t equals = text.find('=');
  if (equals != std::string_view::npos && is_name(text.substr(0, equals))) {
    listener.name = std::string(text.substr(0, equals));
    text.remove_prefix(equals + 1);
  }
  Result<ListenAddress> address = parse_listen_address(text);
  if (!address) return std::move(address).error();
  listener.address = *std::move(address);
  return listener;
}

}  // namespace holdfast
