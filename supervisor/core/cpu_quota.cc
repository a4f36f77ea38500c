#include "core/cpu_quota.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace holdfast {

namespace {

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace

std::optional<double> parse_cpu_max(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::optional<std::uint64_t> quota = number_of(text.substr(0, space));
  const std::optional<std::uint64_t> period = number_of(text.substr(space + 1));
  if (!quota || !period) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<std::string> unified_cgroup(std::string_view proc_cgroup) {
  while (!proc_cgroup.empty()) {
    const std::size_t end = std::min(proc_cgroup.find('\n'), proc_cgroup.size());
    const std::string_view line = proc_cgroup.substr(0, end);
    if (line.starts_with("0::/")) return std::string(line.substr(3));
    proc_cgroup.remove_prefix(std::min(end + 1, proc_cgroup.size()));
  }
  return std::nullopt;
}

unsigned cpus_allowed(unsigned affinity, std::span<const double> quotas) {
  double least = affinity;
  for (const double quota : quotas) least = std::min(least, std::ceil(quota));
  return std::max(1U, static_cast<unsigned>(least));
}

}  // namespace holdfast
