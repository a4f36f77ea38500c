// A configuration file may hold anything: whatever it is, the answer is mistakes or a configuration, and what a
// configuration tells of itself is read back as the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "config/assemble.h"
#include "config/diff.h"
#include "config/options.h"

namespace {

// Every value of it, as keys of a file.
std::string as_file(const holdfast::Config& config) {
  std::string text;
  for (const holdfast::Setting& setting : holdfast::settings_of(config)) {
    // A name with a dot, or a variable, is quoted where it must be.
    text += to_text(setting.path) + " = " + holdfast::to_toml(setting.value) + "\n";
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const Assembled assembled = assemble(ConfigFile{"f", std::string(data, data + size)}, {});
  for (const Mistake& mistake : assembled.mistakes) {
    if (to_text(mistake).empty()) std::abort();
  }
  if (!assembled.mistakes.empty()) return 0;
  const Assembled again = assemble(ConfigFile{"again", as_file(assembled.config)}, {});
  if (!again.mistakes.empty() || !differences(assembled.config, again.config).empty()) std::abort();
  return 0;
}
