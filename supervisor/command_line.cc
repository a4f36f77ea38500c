#include "command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "config/nearest.h"
#include "config/options.h"
#include "config/values.h"
#include "exit_code.h"
#include "standard_output.h"
#include "sys/environment.h"
#include "sys/machine.h"

namespace holdfast {

namespace {

ExitNow mistake(const std::string& text) {
  std::fprintf(stderr, "holdfast: %s\n", text.c_str());
  return ExitNow{kExitUsage};
}

// What CLI11 filled in; turned into an Invocation afterwards.
struct Arguments {
  std::string config_file = {};
  std::string environment = {};
  std::string pool = {};
  std::vector<std::string> listeners = {};
  std::vector<std::string> sets = {};
  std::map<const Option*, std::string> rows = {};
  ControlTarget target = {};
  bool json = false;
  bool wait = false;
  RouteInvocation route = {};
  ClientsInvocation clients = {};
  std::string slot = {};
  std::vector<std::string> scale = {};
  bool dry_run = false;
  std::string path = "holdfast.toml";
  std::string topic = {};
  std::string message = {};
  std::string file = {};
  std::string binary = {};
  int state = -1;
  std::string format = {};
};

void add_table(CLI::App& command, Arguments& arguments) {
  const Config defaults;
  for (const Option& option : options()) {
    if (option.flag.empty()) continue;
    const auto set = [&option, &arguments](const std::string& text) { arguments.rows[&option] = text; };
    const std::string names = option.letter.empty() ? option.flag : option.letter + "," + option.flag;
    command.add_option_function<std::string>(names, set, option.help)
        ->type_name(option.value_name)
        ->default_str(to_plain(option.get(defaults, {})))
        ->group(option.group);
  }
}

// `run`, and `check`, which takes the same and starts nothing.
CLI::App* add_run(CLI::App& app, Arguments& arguments, const std::string& name, const std::string& help) {
  CLI::App* command = app.add_subcommand(name, help);
  command->footer("The worker's command follows `--`:  holdfast " + name +
                  " -l :8080 -w 4 -- ./server --its --options\n"
                  "Every option can come from the environment instead: --start-timeout is HOLDFAST_START_TIMEOUT.");
  command
      ->add_option("-l,--listen", arguments.listeners,
                   "Listen on [NAME=]ADDRESS: :8080, 127.0.0.1:8080, [::1]:8080, unix:/path[,mode=0660]. May be given "
                   "several times")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  command->add_option("-c,--config", arguments.config_file, "Configuration file, see holdfast.toml(5)")
      ->type_name("FILE");
  command->add_option("--environment", arguments.environment, "Which [environments.NAME] of the file is laid over it")
      ->type_name("NAME");
  command
      ->add_option("--set", arguments.sets, "One key of the file, as pools.main.workers=4. May be given several times")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--pool", arguments.pool,
                   "Name of the pool of workers (default: main); with several in the file, which one the options mean")
      ->type_name("NAME");
  add_table(*command, arguments);
  return command;
}

CLI::App* add_client(CLI::App& app, Arguments& arguments, const std::string& name, const std::string& help) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("--control", arguments.target.control_path, "Control socket of the supervisor to talk to")
      ->type_name("PATH")
      ->envname("HOLDFAST_CONTROL");
  command
      ->add_option("--name", arguments.target.name,
                   "Name of the supervisor to talk to (default: the only one that runs)")
      ->type_name("NAME")
      ->envname("HOLDFAST_NAME");
  command->add_flag("--json", arguments.json, "Print the answer as JSON");
  return command;
}

void add_route_options(CLI::App& command, RouteInvocation& route) {
  command.add_option("ADDRESS", route.address, "IPv4 or IPv6 address of a client")->required();
  command.add_flag("--explain", route.explain, "Tell listener, route, key, weight, holder and limits as well");
  command.add_option("--listener", route.listener, "Where it connects to (default: the first listener)")
      ->type_name("NAME");
  command.add_option("--pool", route.pool, "Ask a pool, past every listener")->type_name("NAME");
  command.add_flag("--proxied", route.is_proxied, "The address is one that a PROXY header tells");
  command.add_option("--header", route.headers, "A field of its HTTP request; may be repeated")
      ->type_name("'NAME: VALUE'")
      ->allow_extra_args(false);
  command.add_option("--target", route.request_target, "What its HTTP request asks for (default: /)")
      ->type_name("/PATH");
  command.add_option("--sni", route.server_name, "The name in its TLS hello")->type_name("NAME");
  command.add_option("--alpn", route.alpn, "The protocols in its TLS hello, separated by commas")->type_name("LIST");
}

Origin by_option(const std::string& name) { return {Origin::Kind::CommandLine, name, {}, ""}; }

// What an option of `run` was given, or else the variable that stands for it.
std::optional<GivenText> text_or_variable(const CLI::App& command, const std::string& flag, const std::string& name,
                                          const std::string& text) {
  if (command.get_option(flag)->count() > 0) return GivenText{text, by_option(name)};
  const std::string variable = environment_name(flag);
  const std::optional<std::string> value = environment_variable(variable);
  if (!value) return std::nullopt;
  return GivenText{*value, {Origin::Kind::Variable, variable, {}, ""}};
}

// HOLDFAST_POOL has two meanings: in a worker it is the name of the pool that the worker is of.
std::optional<GivenText> pool_given(const CLI::App& command, const std::string& text) {
  std::optional<GivenText> pool = text_or_variable(command, "--pool", "--pool", text);
  const bool of_worker = environment_variable("HOLDFAST_SLOT").has_value();
  return pool && pool->origin.kind == Origin::Kind::Variable && of_worker ? std::nullopt : pool;
}

ConfigSource source_of(const CLI::App& command, const Arguments& arguments, std::vector<std::string> words) {
  ConfigSource source;
  Given& given = source.given;
  if (const auto file = text_or_variable(command, "--config", "-c", arguments.config_file)) source.file = file->text;
  given.overlay = text_or_variable(command, "--environment", "--environment", arguments.environment);
  given.pool = pool_given(command, arguments.pool);
  for (const std::string& text : arguments.listeners) given.listeners.push_back({text, by_option("-l")});
  if (given.listeners.empty()) {
    if (auto listener = text_or_variable(command, "--listen", "-l", ""))
      given.listeners.push_back(*std::move(listener));
  }
  given.sets = arguments.sets;
  for (const Option& option : options()) {
    if (option.flag.empty()) continue;
    const auto text = arguments.rows.find(&option);
    auto row =
        text_or_variable(command, option.flag, short_name(option), text == arguments.rows.end() ? "" : text->second);
    if (row) given.rows.push_back({&option, *std::move(row)});
  }
  given.command = std::move(words);
  return source;
}

// "2", "POOL", "POOL/2" or nothing.
Result<SlotTarget> parse_slots(const std::string& text) {
  SlotTarget target;
  const std::size_t slash = text.find('/');
  std::string number = slash == std::string::npos ? text : text.substr(slash + 1);
  const bool is_number = !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  if (slash != std::string::npos) target.pool = text.substr(0, slash);
  if (slash == std::string::npos && !is_number) {
    target.pool = std::exchange(number, {});
    if (!target.pool.empty() && !is_name(target.pool)) {
      return Error{{}, "'" + text + "' is neither a slot (they count from 0), nor POOL, nor POOL/SLOT"};
    }
  }
  if (unsigned slot = 0; !number.empty()) {
    if (!parse_value(number, slot)) {
      return Error{{}, "'" + text + "' is not the number of a slot: they count from 0 (see `holdfast status`)"};
    }
    target.slot = slot;
  }
  return target;
}

Invocation finish_restart(const Arguments& arguments, OutputForm form, Waiting waiting) {
  Result<SlotTarget> slots = parse_slots(arguments.slot);
  if (!slots) return mistake(slots.error().message());
  return RestartInvocation{arguments.target, form, *std::move(slots), waiting};
}

Invocation finish_drain(const Arguments& arguments, OutputForm form, Draining draining, Waiting waiting) {
  Result<SlotTarget> slots = parse_slots(arguments.slot);
  if (!slots) return mistake(slots.error().message());
  if (!slots->slot) return mistake("name one slot: SLOT or POOL/SLOT (see `holdfast status`)");
  return DrainInvocation{arguments.target, form, *std::move(slots), draining, waiting};
}

Invocation finish_scale(const Arguments& arguments, OutputForm form, Waiting waiting) {
  ScaleInvocation scale{arguments.target, form, {}, 0, arguments.dry_run, waiting};
  if (arguments.scale.size() == 2) scale.pool = arguments.scale.front();
  if (!parse_value(arguments.scale.back(), scale.size) || scale.size == 0) {
    return mistake("'" + arguments.scale.back() + "' is not a number of slots, from 1");
  }
  return scale;
}

Invocation finish_upgrade(const Arguments& arguments, OutputForm form, Waiting waiting) {
  std::error_code code;
  std::string binary = arguments.binary;
  if (!binary.empty()) binary = std::filesystem::absolute(binary, code).string();  // the supervisor may be elsewhere
  if (code) return mistake("--binary " + arguments.binary + ": " + code.message());
  return UpgradeInvocation{arguments.target, form, std::move(binary), waiting};
}

// The command line of the supervisor whose place is to be taken must be one of ours.
Invocation finish_check_upgrade(const Arguments& arguments, const std::vector<std::string>& words) {
  std::vector<std::string> all = {"holdfast"};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> pointers;
  for (std::string& word : all) pointers.push_back(word.data());
  const Invocation run = read_command_line(static_cast<int>(pointers.size()), pointers.data());
  if (std::holds_alternative<RunInvocation>(run)) return CheckUpgradeInvocation{arguments.state};
  return std::holds_alternative<ExitNow>(run) ? run : mistake("only `holdfast run` can be taken over");
}

// Of CLI11's complaint about the number of an option's values, which begins with its name.
std::string count_mistake(std::string_view complaint) {
  const std::string name(complaint.substr(0, complaint.find(':')));
  return name + (complaint.ends_with("missing") ? " needs a value" : " is given more than once");
}

// Of "Could not convert: --json = yes".
std::string flag_mistake(std::string_view complaint) {
  const std::size_t colon = complaint.find(": ");
  return "an option that takes no value has one: " +
         std::string(colon == std::string_view::npos ? complaint : complaint.substr(colon + 2));
}

// CLI11 names what it did not expect; we add what might have been meant.
// "--name" in front of the command that it is an option of; the others are said to be unknown.
std::string misplaced(const CLI::App& command, const std::vector<std::string>& words) {
  if (words.empty() || !words.front().starts_with("-")) return "";
  const std::string option = words.front().substr(0, words.front().find('='));
  if (command.get_option_no_throw(option) == nullptr) return "";
  return "'" + option + "' goes after the command: holdfast " + command.get_name() + " " + option + " ...";
}

std::string with_suggestion(const CLI::App& app, const std::string& unexpected) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    for (const std::string& name : option->get_snames()) known.push_back("-" + name);
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    known.push_back(command->get_name());
  const std::string meant = nearest(unexpected, known);
  const std::string word = app.get_parent() == nullptr ? "command" : "argument";
  const std::string kind = unexpected.starts_with("-") ? "option" : word;
  return "unknown " + kind + " '" + unexpected + "'" + (meant.empty() ? "" : ", did you mean '" + meant + "'?");
}

}  // namespace

Invocation read_command_line(int argc, char** argv) {
  // What follows `--` is the worker's command, whatever it looks like.
  const std::vector<std::string> all(argv, argv + argc);
  const auto separator = std::find(all.begin(), all.end(), "--");
  std::vector<std::string> command(separator == all.end() ? separator : separator + 1, all.end());

  Arguments arguments;
  CLI::App app{"Holdfast supervises the worker processes of a server and gives every client the same worker each time.",
               "holdfast"};
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Print the help of every command");
  app.get_formatter()->column_width(36);
  const CLI::App* run = add_run(app, arguments, "run", "Start workers and hand them the connections of the listeners");
  const CLI::App* check =
      add_run(app, arguments, "check", "Find the mistakes of a configuration, and show what is in force and why");
  app.get_subcommand("check")->add_flag("--json", arguments.json, "Print the answer as JSON");
  CLI::App* init =
      app.add_subcommand("init", "Write a configuration file to start from, with every key and its default");
  init->add_option("FILE", arguments.path, "File to make; - is the standard output")->capture_default_str();
  CLI::App* import =
      app.add_subcommand("import", "Print the configuration that does what a file of another supervisor describes");
  import->add_option("FORMAT", arguments.format, "pm2")->required();
  import->add_option("FILE", arguments.path, "An ecosystem file: JavaScript, which node evaluates, or JSON")
      ->required();
  const CLI::App* status = add_client(app, arguments, "status", "Show listeners, slots and workers");
  CLI::App* clients =
      add_client(app, arguments, "clients", "Show the sources that come most often, and the limits for them");
  clients->add_option("--listener", arguments.clients.listener, "Only of this listener")->type_name("NAME");
  clients->add_option("--count", arguments.clients.count, "How many of each listener")
      ->type_name("N")
      ->capture_default_str();
  CLI::App* route = add_client(app, arguments, "route", "Show which slot serves a client's address, and why");
  add_route_options(*route, arguments.route);
  CLI::App* restart =
      add_client(app, arguments, "restart", "Replace the workers of one slot or of all, one after the other");
  restart->add_option("SLOT", arguments.slot, "SLOT, POOL or POOL/SLOT (default: all)");
  restart->add_flag("--wait", arguments.wait, "Return when it is done, with the outcome");
  CLI::App* drain =
      add_client(app, arguments, "drain", "Send a slot's clients elsewhere, and keep it without a worker");
  CLI::App* undrain = add_client(app, arguments, "undrain", "Give a drained slot its worker and its clients back");
  for (CLI::App* command_of_slot : {drain, undrain}) {
    command_of_slot->add_option("SLOT", arguments.slot, "SLOT or POOL/SLOT")->required();
    command_of_slot->add_flag("--wait", arguments.wait, "Return when it is done, with the outcome");
  }
  CLI::App* scale = add_client(app, arguments, "scale", "Change the number of workers of a pool");
  scale->add_option("[POOL] N", arguments.scale, "The pool (default: the first), and its slots")
      ->required()
      ->expected(1, 2);
  scale->add_flag("--dry-run", arguments.dry_run, "Only tell how many clients would meet another worker");
  scale->add_flag("--wait", arguments.wait, "Return when it is done, with the outcome");
  CLI::App* reload = add_client(app, arguments, "reload", "Read the configuration file anew and apply what differs");
  reload->add_flag("--wait", arguments.wait, "Return when it is done, with the outcome");
  CLI::App* stop = add_client(app, arguments, "stop", "Drain the workers and stop the supervisor");
  stop->add_flag("--wait", arguments.wait, "Return when it has stopped");
  CLI::App* publish = add_client(app, arguments, "publish", "Publish a message on the bus of the workers");
  publish->add_option("TOPIC", arguments.topic, "Segments divided by dots, as in chat.lobby.said")->required();
  publish->add_option("MESSAGE", arguments.message, "Its text (default: empty)");
  publish->add_option("--file", arguments.file, "Take the message from a file; - is the standard input")
      ->type_name("FILE");
  CLI::App* tail = add_client(app, arguments, "tail", "Show what is published on the bus, until it is interrupted");
  tail->add_option("TOPIC", arguments.topic, "Pattern of topics: * is one segment, ** any number of them")->required();
  CLI::App* upgrade = add_client(app, arguments, "upgrade", "Exchange the supervisor's own program, in place");
  upgrade
      ->add_option("--binary", arguments.binary, "The program (default: what stands where the present one was started)")
      ->type_name("PATH");
  upgrade->add_flag("--wait", arguments.wait, "Return when the new program serves, or has been refused");
  CLI::App* check_upgrade =
      app.add_subcommand("check-upgrade", "Whether this program can take over a state")->group("");
  check_upgrade->add_option("FD", arguments.state)->required();
  CLI::App* version = app.add_subcommand("version", "Print the version");
  version->add_flag("--json", arguments.json, "Print the answer as JSON");
  app.set_version_flag("--version", std::string("holdfast ") + HOLDFAST_VERSION);

  std::vector<std::string> words(all.begin() + 1, separator);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    return ExitNow{print(app.help())};
  } catch (const CLI::CallForAllHelp&) {
    return ExitNow{print(app.help("", CLI::AppFormatMode::All))};
  } catch (const CLI::CallForVersion& answer) {
    return ExitNow{print(std::string(answer.what()) + "\n")};
  } catch (const CLI::ExtrasError&) {
    const CLI::App* used = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
    const std::vector<std::string> extras = app.remaining(true);
    const std::string first = extras.empty() ? "?" : extras.front();
    if (const std::string text = misplaced(*used, {all.begin() + 1, all.end()}); used != &app && !text.empty())
      return mistake(text);
    std::string text = with_suggestion(*used, first);
    if ((used == run || used == check) && command.empty() && !first.starts_with("-"))
      text += " The worker's command goes after `--`.";
    return mistake(text + " (see `holdfast " + (used == &app ? "" : used->get_name() + " ") + "--help`)");
  } catch (const CLI::ArgumentMismatch& error) {
    return mistake(count_mistake(error.what()) + " (see `holdfast " + app.get_subcommands().front()->get_name() +
                   " --help`)");
  } catch (const CLI::ConversionError& error) {
    // Ours are texts until we read them: only a flag can be meant.
    return mistake(flag_mistake(error.what()));
  } catch (const CLI::ParseError& error) {
    // That no command was given is CLI11's complaint about a word that is none, too.
    if (const std::vector<std::string> extras = app.remaining(); app.get_subcommands().empty() && !extras.empty()) {
      return mistake(with_suggestion(app, extras.front()) + " (see `holdfast --help`)");
    }
    const std::string name = app.get_subcommands().empty() ? "" : app.get_subcommands().front()->get_name() + " ";
    return mistake(std::string(error.what()) + " (see `holdfast " + name + "--help`)");
  }

  const OutputForm form = arguments.json ? OutputForm::Json : OutputForm::Text;
  const Waiting waiting = arguments.wait ? Waiting::Yes : Waiting::No;
  if (run->parsed()) return RunInvocation{source_of(*run, arguments, std::move(command))};
  if (check->parsed()) return CheckInvocation{source_of(*check, arguments, std::move(command)), form};
  if (check_upgrade->parsed()) return finish_check_upgrade(arguments, command);
  if (!command.empty()) return mistake("only `holdfast run` and `holdfast check` take a command after `--`");
  if (init->parsed()) return InitInvocation{arguments.path};
  if (import->parsed() && arguments.format != "pm2") {
    return mistake("'" + arguments.format + "' is no format that can be imported: pm2 is");
  }
  if (import->parsed()) return ImportInvocation{arguments.path};
  if (status->parsed()) return StatusInvocation{arguments.target, form};
  if (clients->parsed()) {
    arguments.clients.target = arguments.target;
    arguments.clients.form = form;
    return arguments.clients;
  }
  if (route->parsed()) {
    arguments.route.target = arguments.target;
    arguments.route.form = form;
    return arguments.route;
  }
  if (restart->parsed()) return finish_restart(arguments, form, waiting);
  if (drain->parsed()) return finish_drain(arguments, form, Draining::On, waiting);
  if (undrain->parsed()) return finish_drain(arguments, form, Draining::Off, waiting);
  if (scale->parsed()) return finish_scale(arguments, form, waiting);
  if (reload->parsed()) return ReloadInvocation{arguments.target, form, waiting};
  if (publish->parsed()) {
    return PublishInvocation{arguments.target, form, arguments.topic, arguments.message, arguments.file};
  }
  if (tail->parsed()) return TailInvocation{arguments.target, form, arguments.topic};
  if (stop->parsed()) return StopInvocation{arguments.target, form, waiting};
  if (upgrade->parsed()) return finish_upgrade(arguments, form, waiting);
  return VersionInvocation{form};
}

}  // namespace holdfast
