#include "core/worker_template.h"

#include <cstddef>

namespace holdfast {
namespace {

std::optional<std::string> value_of(std::string_view word, const WorkerIdentity& worker) {
  if (word == "slot") return std::to_string(worker.slot.value);
  if (word == "slots") return std::to_string(worker.slots);
  if (word == "name") return std::string(worker.name);
  if (word == "cpu" && worker.cpu) return std::to_string(*worker.cpu);
  if (word == "pid") return std::string(kPidMarker);
  return std::nullopt;
}

}  // namespace

std::string expand_worker_template(std::string_view text, const WorkerIdentity& worker) {
  std::string expanded;
  while (true) {
    const std::size_t brace = text.find('{');
    expanded += text.substr(0, brace);
    if (brace == std::string_view::npos) return expanded;
    text.remove_prefix(brace + 1);

    const std::size_t end = text.find_first_of("{}");
    const bool closed = end != std::string_view::npos && text[end] == '}';
    const std::optional<std::string> value = closed ? value_of(text.substr(0, end), worker) : std::nullopt;
    expanded += value.value_or("{");
    if (value) text.remove_prefix(end + 1);
    if (!value && text.starts_with('{')) text.remove_prefix(1);
  }
}

}  // namespace holdfast
