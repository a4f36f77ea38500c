#include "config/diff.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace holdfast {

namespace {

using Names = std::set<std::pair<Scope, std::string>>;

Names names_of(const Config& config) {
  Names names = {{Scope::Supervisor, ""}, {Scope::Bus, ""}};
  for (const ListenerConfig& listener : config.listeners) names.emplace(Scope::Listener, listener.name);
  for (const PoolConfig& pool : config.pools) names.emplace(Scope::Pool, pool.name);
  return names;
}

void add_missing(const Names& from, const Names& in, Change::Kind kind, std::vector<Change>& changes) {
  for (const auto& [scope, name] : from) {
    if (!in.contains({scope, name})) changes.push_back({kind, KeyPath{scope, name, "", ""}});
  }
}

std::map<KeyPath, Setting> by_path(const Config& config) {
  std::map<KeyPath, Setting> settings;
  for (Setting& setting : settings_of(config)) {
    const KeyPath path = setting.path;
    settings.emplace(path, std::move(setting));
  }
  return settings;
}

}  // namespace

std::vector<Change> differences(const Config& before, const Config& after) {
  const Names old_names = names_of(before);
  const Names new_names = names_of(after);
  const std::map<KeyPath, Setting> old_settings = by_path(before);
  const std::map<KeyPath, Setting> new_settings = by_path(after);
  std::vector<Change> changes;
  add_missing(old_names, new_names, Change::Kind::Removed, changes);
  const auto compare = [&](const KeyPath& path) {
    if (!old_names.contains({path.scope, path.name}) || !new_names.contains({path.scope, path.name})) return;
    const auto was = old_settings.find(path);
    const auto is = new_settings.find(path);
    const std::string old_text = was == old_settings.end() ? "" : to_toml(was->second.value);
    const std::string new_text = is == new_settings.end() ? "" : to_toml(is->second.value);
    if (old_text == new_text) return;
    const Option* const option = (is == new_settings.end() ? was : is)->second.option;
    changes.push_back({Change::Kind::Changed, path, option->effect, old_text, new_text});
  };
  for (const auto& [path, setting] : old_settings) compare(path);
  for (const auto& [path, setting] : new_settings) {
    if (!old_settings.contains(path)) compare(path);
  }
  add_missing(new_names, old_names, Change::Kind::Added, changes);
  std::stable_sort(changes.begin(), changes.end(),
                   [](const Change& a, const Change& b) { return a.path.scope < b.path.scope; });
  return changes;
}

std::string to_text(const Change& change) {
  const std::string what = change.path.scope == Scope::Pool ? "pool " : "listener ";
  if (change.kind == Change::Kind::Added) return what + change.path.name + " is added";
  if (change.kind == Change::Kind::Removed) return what + change.path.name + " is removed";
  const auto or_nothing = [](const std::string& text) { return text.empty() ? std::string("nothing") : text; };
  return to_text(change.path) + ": " + or_nothing(change.before) + " -> " + or_nothing(change.after) + " (" +
         std::string(meaning_of(change.effect)) + ")";
}

}  // namespace holdfast
