#include "config/parse.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "config/nearest.h"
#include "config/toml_text.h"

namespace holdfast {

namespace {

constexpr std::string_view kSupervisor = "supervisor";
constexpr std::string_view kBus = "bus";
constexpr std::string_view kListeners = "listeners";
constexpr std::string_view kPools = "pools";
constexpr std::string_view kEnvironments = "environments";

std::string table_of(Scope scope) {
  if (scope == Scope::Supervisor) return "[supervisor]";
  if (scope == Scope::Bus) return "[bus]";
  return scope == Scope::Pool ? "[pools.NAME]" : "[listeners.NAME]";
}

std::vector<std::string> keys_of(Scope scope) {
  std::vector<std::string> keys;
  for (const Option& option : options()) {
    if (option.scope == scope) keys.push_back(option.key);
  }
  return keys;
}

// Reads the entries of one source. Every mistake is noted, and reading goes on behind it.
class Reader {
 public:
  // `source`: what the origin of everything that is read has in common.
  explicit Reader(Origin source, std::vector<Mistake>& mistakes) : source_(std::move(source)), mistakes_(mistakes) {}

  // The overlays stand in the base alone.
  Layer read_base(const TomlTable& root, std::map<std::string, Layer>& environments) {
    Layer layer;
    for (const TomlEntry& entry : root) {
      if (entry.key == kEnvironments) {
        read_environments(entry, environments);
      } else {
        read_section(entry, "", layer);
      }
    }
    return layer;
  }

 private:
  void read_environments(const TomlEntry& entry, std::map<std::string, Layer>& environments) {
    const TomlTable* const table = expect_table(entry, "environments", "[environments.NAME.pools.NAME]");
    if (table == nullptr) return;
    for (const TomlEntry& environment : *table) {
      const std::string where = "environments." + key_text(environment.key);
      const TomlTable* const sections = expect_table(environment, where, "[" + where + ".pools.NAME]");
      if (sections == nullptr || !expect_name(environment)) continue;
      source_.environment = environment.key;
      Layer& layer = environments[environment.key];
      for (const TomlEntry& section : *sections) read_section(section, where + ".", layer);
      source_.environment.clear();
    }
  }

  // `prefix`: of the names of tables in messages.
  void read_section(const TomlEntry& entry, const std::string& prefix, Layer& layer) {
    if (entry.key == kSupervisor) {
      const TomlTable* const table = expect_table(entry, prefix + "supervisor", "[" + prefix + "supervisor]");
      if (table != nullptr) read_keys(*table, Scope::Supervisor, "", prefix + "supervisor", layer);
    } else if (entry.key == kBus) {
      const TomlTable* const table = expect_table(entry, prefix + "bus", "[" + prefix + "bus]");
      if (table != nullptr) read_keys(*table, Scope::Bus, "", prefix + "bus", layer);
    } else if (entry.key == kListeners) {
      read_named(entry, Scope::Listener, prefix, layer);
    } else if (entry.key == kPools) {
      read_named(entry, Scope::Pool, prefix, layer);
    } else {
      note(entry.key_at, unknown_section(entry, prefix));
    }
  }

  static std::string unknown_section(const TomlEntry& entry, const std::string& prefix) {
    const std::string& key = entry.key;
    for (const Scope scope : {Scope::Supervisor, Scope::Pool, Scope::Listener, Scope::Bus}) {
      if (std::holds_alternative<TomlTable>(entry.content) || find_option(scope, key) == nullptr) continue;
      return "'" + key + "' stands in no table: it belongs to " + table_of(scope);
    }
    std::vector<std::string> known = {std::string(kSupervisor), std::string(kListeners), std::string(kPools),
                                      std::string(kBus)};
    if (prefix.empty()) known.emplace_back(kEnvironments);
    const std::string kind = std::holds_alternative<TomlTable>(entry.content) ? "table " : "key ";
    return "unknown " + kind + key_text(key) + suggestion(key, known);
  }

  void read_named(const TomlEntry& entry, Scope scope, const std::string& prefix, Layer& layer) {
    const std::string where = prefix + entry.key;
    const TomlTable* const table = expect_table(entry, where, "[" + where + ".NAME]");
    if (table == nullptr) return;
    for (const TomlEntry& named : *table) {
      const std::string name = where + "." + key_text(named.key);
      const TomlTable* const keys = expect_table(named, name, "[" + where + ".NAME]");
      if (keys == nullptr || !expect_name(named)) continue;
      layer.named.push_back({scope, named.key, origin(named.key_at)});
      read_keys(*keys, scope, named.key, name, layer);
    }
  }

  void read_keys(const TomlTable& table, Scope scope, const std::string& name,  // NOLINT(misc-no-recursion)
                 const std::string& where, Layer& layer) {
    for (const TomlEntry& entry : table) {
      const Option* const option = find_option(scope, entry.key);
      const KeyPath path{scope, name, entry.key, ""};
      if (option == nullptr && is_family(entry, scope)) {
        read_family(entry, table, scope, name, where, layer);
      } else if (option == nullptr) {
        note(entry.key_at, unknown_key(scope, entry.key, where));
      } else if (option->entries) {
        read_entries(*option, entry, path, layer);
      } else {
        read_value_of(*option, entry, path, layer);
      }
    }
  }

  // Keys that begin alike may stand in a table of what they have in common: health = { interval = "5s" } is
  // health-interval = "5s".
  static bool is_family(const TomlEntry& entry, Scope scope) {
    if (!std::holds_alternative<TomlTable>(entry.content)) return false;
    const std::vector<std::string> keys = keys_of(scope);
    return std::any_of(keys.begin(), keys.end(),
                       [&](const std::string& key) { return key.starts_with(entry.key + "-"); });
  }

  void read_family(const TomlEntry& entry, const TomlTable& beside, Scope scope,
                   const std::string& name,  // NOLINT(misc-no-recursion)
                   const std::string& where, Layer& layer) {
    TomlTable members = std::get<TomlTable>(entry.content);
    for (TomlEntry& member : members) {
      member.key = entry.key + "-" + member.key;
      const auto twice =
          std::find_if(beside.begin(), beside.end(), [&](const TomlEntry& other) { return other.key == member.key; });
      if (twice != beside.end())
        note(twice->key_at,
             key_text(member.key) + " is written twice: it is in " + key_text(entry.key) + " = { ... } too");
    }
    read_keys(members, scope, name, where, layer);
  }

  static std::string unknown_key(Scope scope, const std::string& key, const std::string& where) {
    const std::string unknown = "unknown key " + key_text(key) + " in [" + where + "]";
    for (const Scope other : {Scope::Supervisor, Scope::Pool, Scope::Listener, Scope::Bus}) {
      if (other != scope && find_option(other, key) != nullptr) return unknown + ": it belongs to " + table_of(other);
    }
    return unknown + suggestion(key, keys_of(scope));
  }

  void read_entries(const Option& option, const TomlEntry& entry, const KeyPath& path, Layer& layer) {
    const TomlTable* const table = expect_table(entry, option.key, option.key + " = { NAME = \"value\" }");
    if (table == nullptr) return layer.unread.push_back(path);
    for (const TomlEntry& one : *table) {
      KeyPath of_one = path;
      of_one.entry = one.key;
      read_value_of(option, one, of_one, layer);
    }
  }

  void read_value_of(const Option& option, const TomlEntry& entry, const KeyPath& path, Layer& layer) {
    const std::string called = path.entry.empty() ? path.key : path.key + "." + key_text(path.entry);
    const Result<Value> value = value_in(option, entry);
    const Outcome fits = value ? check_value(option, path.entry, *value) : Outcome(value.error());
    if (fits) {
      layer.assignments.push_back({&option, path, *value, origin(entry.key_at), elements_of(option, entry)});
    } else {
      layer.unread.push_back(path);
      if (!value || !note_bad_elements(option, entry, *value, called))
        note(entry.value_at, called + ": " + fits.error().message());
    }
  }

  static Result<Value> value_in(const Option& option, const TomlEntry& entry) {
    if (const auto* const unfit = std::get_if<Unfit>(&entry.content))
      return Error{{}, unfit->what + " is no value of it"};
    const auto* const table = std::get_if<TomlTable>(&entry.content);
    if (table != nullptr && !option.takes_tables) return Error{{}, "a table is no value of it"};
    if (table != nullptr) return Value(Scalar{inline_text(*table), Scalar::Form::Table});
    const auto& value = std::get<Value>(entry.content);
    const auto* const list = std::get_if<std::vector<Scalar>>(&value);
    const bool has_tables = list != nullptr && std::any_of(list->begin(), list->end(), [](const Scalar& element) {
                              return element.form == Scalar::Form::Table;
                            });
    if (has_tables && !option.takes_tables) return Error{{}, "a list of tables is no value of it"};
    return value;
  }

  // Each element of a list of tables that does not fit is told where it stands. Whether there was one.
  bool note_bad_elements(const Option& option, const TomlEntry& entry, const Value& value, const std::string& called) {
    const auto* const list = std::get_if<std::vector<Scalar>>(&value);
    if (list == nullptr || !option.takes_tables) return false;
    bool any = false;
    for (std::size_t i = 0; i < list->size(); i++) {
      const Outcome fits = check_value(option, "", Value(std::vector<Scalar>{(*list)[i]}));
      if (fits) continue;
      note(entry.elements_at[i], called + ": " + fits.error().message());
      any = true;
    }
    return any;
  }

  [[nodiscard]] std::vector<Origin> elements_of(const Option& option, const TomlEntry& entry) const {
    std::vector<Origin> origins;
    if (!option.takes_tables) return origins;
    for (const Position at : entry.elements_at) origins.push_back(origin(at));
    return origins;
  }

  const TomlTable* expect_table(const TomlEntry& entry, const std::string& what, const std::string& form) {
    const auto* const table = std::get_if<TomlTable>(&entry.content);
    if (table == nullptr) note(entry.key_at, what + " is a table: write " + form);
    return table;
  }

  bool expect_name(const TomlEntry& entry) {
    if (is_name(entry.key)) return true;
    note(entry.key_at, key_text(entry.key) +
                           " is no name: it may have up to 64 letters, digits, '.', '_' and '-', and none of '.' and "
                           "'-' in front");
    return false;
  }

  [[nodiscard]] Origin origin(Position at) const {
    Origin origin = source_;
    if (origin.kind == Origin::Kind::File) origin.position = at;
    return origin;
  }
  void note(Position at, const std::string& text) {
    const Origin of = origin(at);
    mistakes_.push_back({of, of.kind == Origin::Kind::File ? text : of.name + ": " + text});
  }

  Origin source_;
  std::vector<Mistake>& mistakes_;
};

// What stands behind the '=' of --set, as TOML.
std::string literal_of(std::string_view text) {
  const bool is_list = text.starts_with('[') || text.starts_with('{') || text.starts_with('"');
  return is_list ? std::string(text) : quoted(text);
}

}  // namespace

Outcome check_value(const Option& option, const std::string& entry, const Value& value) {
  Config scratch;
  scratch.listeners.emplace_back();
  return option.set(scratch, {0, entry}, value);
}

std::string suggestion(std::string_view text, const std::vector<std::string>& known) {
  const std::string meant = nearest(text, known);
  return meant.empty() ? "" : ", did you mean '" + meant + "'?";
}

ParsedFile parse_file(std::string_view text, const std::string& file_name) {
  ParsedFile file;
  const Origin source{Origin::Kind::File, file_name, {}, ""};
  const auto parsed = parse_toml(text);
  if (const auto* error = std::get_if<TomlError>(&parsed)) {
    file.readable = false;
    Origin at = source;
    at.position = error->at;
    file.mistakes.push_back({at, "cannot read this as TOML: " + error->text});
    return file;
  }
  file.base = Reader(source, file.mistakes).read_base(std::get<TomlTable>(parsed), file.environments);
  return file;
}

ParsedSet parse_set(std::string_view text) {
  ParsedSet set;
  const std::size_t equals = text.find('=');
  const Origin source{Origin::Kind::CommandLine, "--set " + std::string(text.substr(0, equals)), {}, ""};
  const auto refuse = [&](const std::string& why) {
    set.mistakes.push_back({source, source.name + ": " + why + "; write for instance --set pools.main.workers=4"});
  };
  if (equals == std::string_view::npos) {
    refuse("there is no '='");
    return set;
  }
  const auto parsed = parse_toml(std::string(text.substr(0, equals)) + "=" + literal_of(text.substr(equals + 1)));
  if (const auto* error = std::get_if<TomlError>(&parsed)) {
    refuse("cannot read this: " + error->text);
    return set;
  }
  std::map<std::string, Layer> environments;
  set.layer = Reader(source, set.mistakes).read_base(std::get<TomlTable>(parsed), environments);
  if (!environments.empty()) refuse("an environment is chosen with --environment");
  return set;
}

}  // namespace holdfast
