#include "config/config_text.h"

#include <algorithm>
#include <map>
#include <optional>

#include "config/assemble.h"
#include "config/options.h"
#include "config/value.h"

namespace holdfast {

namespace {

std::string header_of(const KeyPath& path) {
  switch (path.scope) {
    case Scope::Supervisor:
      return "[supervisor]";
    case Scope::Bus:
      return "[bus]";
    case Scope::Listener:
      return "[listeners." + key_text(path.name) + "]";
    case Scope::Pool:
      break;
  }
  return "[pools." + key_text(path.name) + "]";
}

// What a value is when nobody chooses one; nothing for an entry, which is there because somebody did.
std::optional<Value> default_of(const Setting& setting) {
  if (!setting.path.entry.empty()) return std::nullopt;
  Config defaults;
  defaults.listeners.emplace_back();
  return setting.option->get(defaults, {});
}

// What a listener has of these is what it is, and what nobody chooses depends on the other tables: the first pool has the
// listeners that name none.
bool depends_on_others(const KeyPath& path) {
  return path.scope == Scope::Listener && (path.key == "address" || path.key == "pool");
}

}  // namespace

std::string config_text(const Config& config) {
  std::string text;
  std::string header;
  for (const Setting& setting : settings_of(config)) {
    // Every table is begun, even one that holds nothing but defaults: the pool or the listener is there.
    if (const std::string wanted = header_of(setting.path); wanted != header) {
      header = wanted;
      text += header + "\n";
    }
    if (default_of(setting) == setting.value && !depends_on_others(setting.path)) continue;
    const std::string entry = setting.path.entry.empty() ? "" : "." + key_text(setting.path.entry);
    text += setting.path.key + entry + " = " + to_toml(setting.value) + "\n";
  }
  return text;
}

Result<Config> config_of_text(const std::string& text) {
  Assembled assembled = assemble(ConfigFile{"the configuration in force", text}, Given{});
  if (assembled.mistakes.empty()) return std::move(assembled.config);
  std::string mistakes;
  for (const Mistake& mistake : assembled.mistakes) mistakes += (mistakes.empty() ? "" : "\n") + to_text(mistake);
  return Error{{}, mistakes};
}

}  // namespace holdfast
