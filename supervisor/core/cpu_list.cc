#include "core/cpu_list.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>

namespace holdfast {
namespace {

constexpr unsigned kMaxCpus = 8192;  // the largest that Linux can be built for (CONFIG_NR_CPUS)

Error refuse(std::string_view text, std::string_view reason) {
  return Error{{}, "CPU list '" + std::string(text) + "': " + std::string(reason)};
}

std::optional<unsigned> parse_cpu(std::string_view digits) {
  unsigned cpu = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, code] = std::from_chars(digits.data(), end, cpu);
  if (digits.empty() || code != std::errc{} || rest != end || cpu >= kMaxCpus) return std::nullopt;
  return cpu;
}

}  // namespace

Result<CpuList> parse_cpu_list(std::string_view text) {
  CpuList cpus;
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    const std::size_t dash = part.find('-');
    const std::optional<unsigned> first = parse_cpu(part.substr(0, dash));
    const std::optional<unsigned> last = dash == std::string_view::npos ? first : parse_cpu(part.substr(dash + 1));
    if (!first || !last) {
      return refuse(text, "'" + std::string(part) + "' is neither a CPU below " + std::to_string(kMaxCpus) +
                              " nor a range; write for instance 0-3,8");
    }
    if (*first > *last) {
      return refuse(text, "the range " + std::string(part) + " runs backwards; write " + std::to_string(*last) + "-" +
                              std::to_string(*first));
    }
    for (unsigned cpu = *first; cpu <= *last; ++cpu) {
      if (std::find(cpus.begin(), cpus.end(), cpu) != cpus.end()) {
        return refuse(text, "CPU " + std::to_string(cpu) + " is in it twice; name each once");
      }
      cpus.push_back(cpu);
    }
    if (comma == std::string_view::npos) return cpus;
    rest.remove_prefix(comma + 1);
  }
}

CpuList cpus_of_slot(const CpuList& list, SlotId slot, std::size_t slots) {
  CpuList cpus{list[slot.value % list.size()]};
  for (std::size_t next = slot.value + slots; next < list.size(); next += slots) cpus.push_back(list[next]);
  return cpus;
}

}  // namespace holdfast
