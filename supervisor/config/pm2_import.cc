#include "config/pm2_import.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "config/options.h"
#include "config/value.h"

namespace holdfast {

namespace {

struct Advice {
  std::string_view key;
  std::string_view text;
};
// What people ask for next. Other keys are only named.
constexpr std::array<Advice, 13> kAdvice{{
    {"env_file", "a file of variables is not read: write them under environment"},
    {"watch", "nothing restarts workers when files change: `holdfast restart` does when you say so"},
    {"cron_restart", "no restarts by the clock: call `holdfast restart` from a timer"},
    {"autorestart", "workers are always restarted; exit codes that mean otherwise: no-restart-codes"},
    {"out_file", "the workers' output goes to the supervisor's, a line at a time"},
    {"error_file", "the workers' output goes to the supervisor's, a line at a time"},
    {"log_file", "the workers' output goes to the supervisor's, a line at a time"},
    {"log_date_format", "log lines have their time already, or that of the journal"},
    {"merge_logs", "the output of all workers is one stream; each line begins with its slot"},
    {"instance_var", "the number of the slot is in NODE_APP_INSTANCE, and {slot} stands for it in environment"},
    {"increment_var", "write {slot} in a value of environment: it stands for the number of the slot"},
    {"source_map_support", R"(add "--enable-source-maps" to the command)"},
    {"max_memory_restart", "no limit of memory here yet"},
}};

std::string name_of(const std::string& text) {
  std::string name = text.substr(0, 64);
  for (char& c : name) {
    const bool fits =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!fits) c = '_';
  }
  if (name.front() == '-') name.front() = '_';
  return name;
}

class Writer {
 public:
  std::string write(const Pm2App& app) {
    text_.clear();
    const std::string name = name_of(app.name);
    advise(app);
    if (app.cluster) write_listener(app, name);
    text_ += "[pools." + key_text(name) + "]\n";
    text_ += "command = " + command_of(app) + "\n";
    write_life(app);
    write_environment("pools." + key_text(name), app.environment);
    for (const auto& [environment, variables] : app.environments) write_overlay(app, name, environment, variables);
    return std::move(text_) + "\n";
  }

 private:
  using Variables = std::map<std::string, std::string>;

  void write_listener(const Pm2App& app, const std::string& name) {
    const auto port = app.environment.find("PORT");
    if (port == app.environment.end()) comment("the port of listen() in " + app.script + " is not known: correct it");
    // Two applications cannot have the same, whatever theirs are.
    const std::string text = port == app.environment.end() ? std::to_string(next_port_++) : port->second;
    text_ += "[listeners." + key_text(name) + "]\n";
    text_ += "address = " + quoted(":" + text) + "\n";
    text_ += "pool = " + quoted(name) + "\n\n";
  }

  void write_environment(const std::string& where, const Variables& variables) {
    if (variables.empty()) return;
    text_ += "\n[" + where + ".environment]\n";
    for (const auto& [variable, value] : variables) text_ += key_text(variable) + " = " + quoted(value) + "\n";
  }

  // What `pm2 start --env NAME` lays over the rest.
  void write_overlay(const Pm2App& app, const std::string& name, const std::string& environment,
                     const Variables& variables) {
    const std::string overlay = "environments." + key_text(name_of(environment));
    if (const auto port = variables.find("PORT"); app.cluster && port != variables.end()) {
      text_ += "\n[" + overlay + ".listeners." + key_text(name) + "]\naddress = " + quoted(":" + port->second) + "\n";
    }
    Variables all = variables;
    all.insert(app.environment.begin(), app.environment.end());
    write_environment(overlay + ".pools." + key_text(name), all);
  }

  static std::string command_of(const Pm2App& app) {
    std::vector<Scalar> words;
    if (!app.interpreter.empty()) words.push_back(Scalar{app.interpreter});
    for (const std::string& word : app.interpreter_arguments) words.push_back(Scalar{word});
    words.push_back(Scalar{app.script});
    for (const std::string& word : app.arguments) words.push_back(Scalar{word});
    return to_toml(Value(words));
  }

  void comment(const std::string& line) { text_ += "# " + line + "\n"; }

  void advise(const Pm2App& app) {
    if (app.cluster && app.instances < 0) comment("`instances` below 0: auto is one worker for each CPU");
    if (!app.cluster) comment("fork mode: processes that bind for themselves, and are started, watched and restarted");
    std::vector<std::string> others = app.others;
    if (app.max_memory && find_option(Scope::Pool, "recycle-memory") == nullptr)
      others.emplace_back("max_memory_restart");
    for (const std::string& key : others) {
      const auto known = std::find_if(kAdvice.begin(), kAdvice.end(), [&](const Advice& a) { return a.key == key; });
      comment(key + ": " + (known == kAdvice.end() ? "has no equivalent" : std::string(known->text)));
    }
    for (const auto& [environment, variables] : app.environments) {
      comment("env_" + environment + ": chosen by `--environment " + name_of(environment) + "`");
    }
  }

  void key(const char* name, const std::string& value) { text_ += std::string(name) + " = " + value + "\n"; }
  void time(const char* name, const std::optional<long>& milliseconds) {
    if (milliseconds) key(name, quoted(to_text(Duration(std::chrono::milliseconds(*milliseconds)))));
  }

  void write_life(const Pm2App& app) {
    if (!app.working_directory.empty()) key("working-directory", quoted(app.working_directory));
    if (!app.user.empty()) key("user", quoted(app.user));
    if (!app.group.empty()) key("group", quoted(app.group));
    if (!app.cluster) key("intake", quoted("none"));
    if (app.instances > 0) key("workers", std::to_string(app.instances));
    if (app.wait_ready && app.cluster) key("node-ready", quoted("message"));
    if (app.shutdown_message && app.cluster) key("node-farewell", quoted("message"));
    time("start-timeout", app.listen_timeout);
    time("drain-timeout", app.kill_timeout);
    time("restart-delay", app.restart_delay);
    time("restart-delay-step", app.backoff_delay);
    time("stable-time", app.min_uptime);
    if (app.max_restarts) key("start-limit", std::to_string(*app.max_restarts));
    if (app.max_memory && find_option(Scope::Pool, "recycle-memory") != nullptr) {
      key("recycle-memory", quoted(*app.max_memory));
    }
    if (app.stop_exit_codes.empty()) return;
    std::string codes;
    for (const int code : app.stop_exit_codes) codes += (codes.empty() ? "" : ", ") + std::to_string(code);
    key("no-restart-codes", "[" + codes + "]");
  }

  std::string text_;
  int next_port_ = 3000;
};

}  // namespace

std::string import_pm2(const std::vector<Pm2App>& apps) {
  std::string text =
      "# Made of an ecosystem file of PM2. `holdfast check -c FILE` finds mistakes, `holdfast run -c FILE` starts "
      "it.\n\n";
  Writer writer;
  for (const Pm2App& app : apps) text += writer.write(app);
  return text;
}

}  // namespace holdfast
