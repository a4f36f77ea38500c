#include "report.h"

#include <algorithm>
#include <iomanip>
#include <numeric>
#include <sstream>

#include <sys/resource.h>

namespace holdfast {
namespace {

constexpr std::size_t kMostSlots = 4096;  // a stranger's answer must not make us allocate at its will

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }
double microseconds(std::chrono::nanoseconds time) { return std::chrono::duration<double, std::micro>(time).count(); }

double own_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

}  // namespace

void Report::on_slot(unsigned slot) {
  if (slot >= kMostSlots) return;
  if (slot >= slots_.size()) slots_.resize(slot + 1);
  ++slots_[slot];
}

void Report::restart_measuring(std::size_t expected) {
  requests_ = 0;
  answered_ = 0;
  std::fill(slots_.begin(), slots_.end(), 0);
  latencies_.clear();
  latencies_.reserve(expected);
}

std::string Report::json(std::string_view mode, Nanoseconds wall, Stickiness stickiness) {
  std::sort(latencies_.begin(), latencies_.end());
  const auto at = [this](double share) {
    if (latencies_.empty()) return 0.0;
    return microseconds(latencies_[static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1))]);
  };

  std::ostringstream out;
  out << std::fixed << std::setprecision(1);
  out << "{\"mode\":\"" << mode << "\",\"connections\":" << started_ << ",\"requests\":" << requests_
      << ",\"answered\":" << answered_ << ",\"failed\":{";
  for (std::size_t i = 0; i < kFailureNames.size(); ++i) {
    out << (i ? "," : "") << '"' << kFailureNames[i] << "\":" << failed_[i];
  }
  out << "},\"failed_total\":" << std::accumulate(failed_.begin(), failed_.end(), std::uint64_t{0})
      << ",\"abandoned\":" << abandoned_ << ",\"closed_while_held\":" << closed_while_held_;
  out << ",\"latency_us\":{\"p50\":" << at(0.5) << ",\"p90\":" << at(0.9) << ",\"p99\":" << at(0.99)
      << ",\"max\":" << at(1) << "}";
  out << ",\"per_second\":" << (wall.count() > 0 ? static_cast<double>(answered_) / seconds(wall) : 0.0);
  out << std::setprecision(6) << ",\"wall_seconds\":" << seconds(wall) << ",\"own_cpu_seconds\":" << own_cpu_seconds();
  out << ",\"slots\":{";
  const char* comma = "";
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot] == 0) continue;
    out << comma << '"' << slot << "\":" << slots_[slot];
    comma = ",";
  }
  out << '}';
  if (stickiness == Stickiness::Checked) out << ",\"sticky_violations\":" << sticky_violations_;
  out << '}';
  return out.str();
}

}  // namespace holdfast
