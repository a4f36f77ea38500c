#include "config/default_file.h"

#include <string_view>

#include "config/options.h"

namespace holdfast {

namespace {

constexpr std::size_t kLineWidth = 100;

// Words behind '#', in lines of a width that terminals have.
std::string comment(std::string_view text) {
  std::string result;
  std::string line = "#";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (line.size() + 1 + end > kLineWidth) {
      result += line + "\n";
      line = "#";
    }
    line += " " + std::string(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result + line + "\n";
}

// What nobody can choose for the operator, and so stands there as an example that is in force.
std::string example_of(const Option& option) {
  if (option.key == "address") return "\":8080\"";
  return option.key == "command" ? R"(["./server"])" : "";
}

std::string entry(const Option& option, const Config& defaults) {
  std::string text = comment(option.help + " [" + std::string(meaning_of(option.effect)) + "]");
  const std::string example = example_of(option);
  if (!example.empty()) return text + option.key + " = " + example + "\n";
  const std::string value = option.entries ? "{}" : to_toml(option.get(defaults, {}));
  return text + "#" + option.key + " = " + value + "\n";
}

std::string table(std::string_view header, Scope scope, const Config& defaults) {
  std::string text = "\n" + std::string(header) + "\n";
  for (const Option& option : options()) {
    if (option.scope == scope) text += "\n" + entry(option, defaults);
  }
  return text;
}

}  // namespace

std::string default_file() {
  Config defaults;
  defaults.listeners.emplace_back();
  return comment("Configuration of holdfast(1); the manual is holdfast.toml(5).") +
         comment("A line such as `#key = value` shows the default: remove the '#' to choose another value.") +
         comment("`holdfast check -c FILE` finds mistakes and shows what is in force, and where it comes from.") +
         table("[supervisor]", Scope::Supervisor, defaults) + "\n" +
         comment("A listener; there may be several, each with a name of its own.") +
         table("[listeners.main]", Scope::Listener, defaults).substr(1) + "\n" +
         comment("A pool: workers that run the same command. There may be several.") +
         table("[pools.main]", Scope::Pool, defaults).substr(1) + "\n" + comment("Messages between workers.") +
         table("[bus]", Scope::Bus, defaults).substr(1) + "\n" +
         comment("What is laid over all that when it is chosen: holdfast run -c FILE --environment development") +
         "#[environments.development.supervisor]\n#log-level = \"debug\"\n";
}

}  // namespace holdfast
