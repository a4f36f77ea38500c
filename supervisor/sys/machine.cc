#include "sys/machine.h"

#include <sched.h>
#include <sys/random.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "core/cpu_quota.h"
#include "sys/text_file.h"

namespace holdfast {

namespace {

// Ours alone, so that nobody can compute the key from another program's derived id.
constexpr sd_id128_t kApplication = SD_ID128_ARRAY(5d, 0b, 3c, e1, 7a, 52, 4f, 0e, 9c, 1d, 86, 2f, b4, 40, d7, 93);

constexpr std::size_t kLongestFile = 65536;

}  // namespace

Result<HashKey> machine_hash_key() {
  sd_id128_t id{};
  if (const int failed = sd_id128_get_machine_app_specific(kApplication, &id); failed < 0) {
    return Error{std::error_code(-failed, std::generic_category()), "derive the hash key from the machine id"};
  }
  HashKey key;
  std::memcpy(&key.a, id.bytes, sizeof key.a);
  std::memcpy(&key.b, id.bytes + sizeof key.a, sizeof key.b);
  return key;
}

Result<HashKey> random_hash_key() {
  HashKey key;
  if (getrandom(&key, sizeof key, 0) != static_cast<ssize_t>(sizeof key)) {
    return Error{std::error_code(errno, std::generic_category()), "draw a random hash key"};
  }
  return key;
}

Result<std::string> boot_id() {
  sd_id128_t id{};
  if (const int failed = sd_id128_get_boot(&id); failed < 0) {
    return Error{std::error_code(-failed, std::generic_category()), "tell this boot from others"};
  }
  std::array<char, SD_ID128_STRING_MAX> text{};
  return std::string(sd_id128_to_string(id, text.data()));
}

unsigned usable_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  const auto affinity = static_cast<unsigned>(CPU_COUNT(&cpus));
  const Result<std::string> groups = read_text_file("/proc/self/cgroup", kLongestFile);
  const std::optional<std::string> group = groups ? unified_cgroup(*groups) : std::nullopt;
  return cpus_allowed(affinity, group ? cpu_quotas("/sys/fs/cgroup", *group) : std::vector<double>{});
}

std::vector<double> cpu_quotas(const std::string& root, std::string path) {
  std::vector<double> quotas;
  while (true) {
    const Result<std::string> text = read_text_file(root + path + "/cpu.max", kLongestFile);
    const std::optional<double> quota = text ? parse_cpu_max(*text) : std::nullopt;
    if (quota) quotas.push_back(*quota);
    if (path.empty() || path == "/") return quotas;
    path.erase(path.rfind('/'));
  }
}

Outcome check_cpus(const CpuList& cpus) {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (sched_getaffinity(0, sizeof usable, &usable) != 0) return Done{};  // more CPUs than the set has room for
  std::string missing;
  for (const unsigned cpu : cpus) {
    if (CPU_ISSET(cpu, &usable)) continue;
    missing += (missing.empty() ? "" : ", ") + std::to_string(cpu);
  }
  if (missing.empty()) return Done{};
  std::string there;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &usable)) there += (there.empty() ? "" : ",") + std::to_string(cpu);
  }
  return Error{{}, "run workers on CPU " + missing + ": this machine lets us run on " + there};
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : "?";
}

}  // namespace holdfast
