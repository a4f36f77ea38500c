#include "wire/pm2_file.h"

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

namespace holdfast {

namespace {

using Json = nlohmann::json;

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// PM2 takes "a b" for two arguments, and what is in quotes for one.
std::vector<std::string> words_of(const Json& value) {
  std::vector<std::string> words;
  if (value.is_array()) {
    for (const Json& word : value) words.push_back(text_of(word));
    return words;
  }
  const std::string text = text_of(value);
  std::optional<std::string> word;
  char quote = 0;
  for (const char c : text) {
    if (quote == 0 && (c == ' ' || c == '\t')) {
      if (word) words.push_back(*std::exchange(word, std::nullopt));
    } else if (c == quote || (quote == 0 && (c == '"' || c == '\''))) {
      quote = quote == 0 ? c : '\0';
      if (!word) word.emplace();
    } else {
      if (!word) word.emplace();
      word->push_back(c);
    }
  }
  if (word) words.push_back(*word);
  return words;
}

bool truth_of(const Json& value) { return value.is_boolean() ? value.get<bool>() : text_of(value) == "true"; }

// "3s" and "1h" are times too.
std::optional<long> number_of(const Json& value) {
  if (value.is_number()) return static_cast<long>(value.get<double>());
  const std::string text = text_of(value);
  const std::size_t digits = text.find_first_not_of("0123456789");
  if (digits == 0 || text.empty() || text.size() > 12) return std::nullopt;
  const long number = std::stol(text.substr(0, digits));
  const std::string unit = digits == std::string::npos ? "" : text.substr(digits);
  const std::map<std::string, long> units{{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
  const auto factor = units.find(unit);
  return factor == units.end() ? std::nullopt : std::optional(number * factor->second);
}

int instances_of(const Json& value) {
  if (text_of(value) == "max") return 0;
  if (value.is_number()) return static_cast<int>(value.get<double>());
  return static_cast<int>(number_of(value).value_or(1));
}

std::map<std::string, std::string> environment_of(const Json& value) {
  std::map<std::string, std::string> environment;
  for (const auto& [name, text] : value.items()) environment[name] = text_of(text);
  return environment;
}

// What PM2 runs a script with that names no interpreter: by the end of its name; without one it is a program by itself.
std::string interpreter_for(std::string_view script) {
  static const std::map<std::string_view, const char*> by_end{{".sh", "bash"}, {".py", "python3"}, {".rb", "ruby"},
                                                              {".php", "php"}, {".pl", "perl"},    {".ts", "ts-node"}};
  const std::string_view name = script.substr(script.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return "";
  const auto known = by_end.find(name.substr(dot));
  return known == by_end.end() ? "node" : known->second;
}

void read_codes(const Json& value, Pm2App& app) {
  for (const Json& code : value.is_array() ? value : Json::array({value})) {
    if (const std::optional<long> number = number_of(code)) app.stop_exit_codes.push_back(static_cast<int>(*number));
  }
}

using Reader = std::function<void(const Json&, Pm2App&)>;

const std::map<std::string, Reader, std::less<>>& readers() {
  static const Reader interpreter_arguments = [](const Json& v, Pm2App& a) { a.interpreter_arguments = words_of(v); };
  static const Reader mode = [](const Json& v, Pm2App& a) { a.cluster = text_of(v).starts_with("cluster"); };
  static const std::map<std::string, Reader, std::less<>> table{
      {"name", [](const Json& v, Pm2App& a) { a.name = text_of(v); }},
      {"script", [](const Json& v, Pm2App& a) { a.script = text_of(v); }},
      {"args", [](const Json& v, Pm2App& a) { a.arguments = words_of(v); }},
      {"interpreter", [](const Json& v, Pm2App& a) { a.interpreter = text_of(v) == "none" ? "" : text_of(v); }},
      {"exec_interpreter", [](const Json& v, Pm2App& a) { a.interpreter = text_of(v) == "none" ? "" : text_of(v); }},
      {"interpreter_args", interpreter_arguments},
      {"node_args", interpreter_arguments},
      {"cwd", [](const Json& v, Pm2App& a) { a.working_directory = text_of(v); }},
      {"env", [](const Json& v, Pm2App& a) { a.environment = environment_of(v); }},
      {"uid", [](const Json& v, Pm2App& a) { a.user = text_of(v); }},
      {"user", [](const Json& v, Pm2App& a) { a.user = text_of(v); }},
      {"gid", [](const Json& v, Pm2App& a) { a.group = text_of(v); }},
      {"exec_mode", mode},
      {"execute_mode", mode},
      {"instances", [](const Json& v, Pm2App& a) { a.instances = instances_of(v); }},
      {"wait_ready", [](const Json& v, Pm2App& a) { a.wait_ready = truth_of(v); }},
      {"shutdown_with_message", [](const Json& v, Pm2App& a) { a.shutdown_message = truth_of(v); }},
      {"listen_timeout", [](const Json& v, Pm2App& a) { a.listen_timeout = number_of(v); }},
      {"kill_timeout", [](const Json& v, Pm2App& a) { a.kill_timeout = number_of(v); }},
      {"restart_delay", [](const Json& v, Pm2App& a) { a.restart_delay = number_of(v); }},
      {"exp_backoff_restart_delay", [](const Json& v, Pm2App& a) { a.backoff_delay = number_of(v); }},
      {"min_uptime", [](const Json& v, Pm2App& a) { a.min_uptime = number_of(v); }},
      {"max_restarts", [](const Json& v, Pm2App& a) { a.max_restarts = number_of(v); }},
      {"max_memory_restart", [](const Json& v, Pm2App& a) { a.max_memory = text_of(v); }},
      {"stop_exit_codes", read_codes},
  };
  return table;
}

Result<Pm2App> read_app(const Json& json) {
  if (!json.is_object()) return Error{{}, "an application is not an object"};
  Pm2App app;
  // Without a mode of its own an application with `instances` is in cluster mode.
  app.cluster = json.contains("instances");
  for (const auto& [key, value] : json.items()) {
    // What PM2 does by default needs no word; of `autorestart` that is true.
    const bool is_default = key == "autorestart" ? truth_of(value) : value == false;
    if (value.is_null() || is_default) continue;
    if (const auto reader = readers().find(key); reader != readers().end()) {
      reader->second(value, app);
    } else if (key.starts_with("env_") && value.is_object()) {
      app.environments[key.substr(4)] = environment_of(value);
    } else {
      app.others.push_back(key);
    }
  }
  if (app.script.empty()) return Error{{}, "application '" + app.name + "' has no script"};
  if (!json.contains("interpreter") && !json.contains("exec_interpreter"))
    app.interpreter = interpreter_for(app.script);
  // Only Node.js has a cluster; everything else PM2 runs as so many processes that bind for themselves.
  if (app.interpreter != "node" && !app.interpreter.ends_with("/node")) app.cluster = false;
  if (app.name.empty()) {
    const std::size_t name = app.script.rfind('/') + 1;
    app.name = app.script.substr(
        name, app.script.rfind('.') == std::string::npos ? app.script.npos : app.script.rfind('.') - name);
  }
  return app;
}

}  // namespace

Result<std::vector<Pm2App>> parse_pm2_file(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false, true);
  if (json.is_discarded()) return Error{{}, "it is not JSON"};
  Json list = json.is_object() && json.contains("apps") ? json["apps"] : json;
  if (!list.is_array()) list = Json::array({list});
  std::vector<Pm2App> apps;
  for (const Json& each : list) {
    Result<Pm2App> app = read_app(each);
    if (!app) return std::move(app).error();
    apps.push_back(*std::move(app));
  }
  if (apps.empty()) return Error{{}, "it has no applications (`apps`)"};
  return apps;
}

}  // namespace holdfast
