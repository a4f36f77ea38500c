#include "command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

#include "config/nearest.h"
#include "config/options.h"
#include "config/values.h"
#include "exit_code.h"
#include "sys/machine.h"

namespace holdfast {

namespace {

ExitNow mistake(const std::string& text) {
  std::fprintf(stderr, "holdfast: %s\n", text.c_str());
  return ExitNow{kExitUsage};
}

// What CLI11 filled in; turned into an Invocation afterwards.
struct Arguments {
  Config config;
  std::vector<std::string> listeners;
  std::string workers = "auto";
  ControlTarget target;
  bool json = false;
  bool wait = false;
  std::string address;
  std::optional<unsigned> slot;
};

CLI::App* add_run(CLI::App& app, Arguments& arguments) {
  CLI::App* run = app.add_subcommand("run", "Start workers and hand them the connections of the listeners");
  run->footer(
      "The worker's command follows `--`:  holdfast run -l :8080 -w 4 -- ./server --its --options\n"
      "Every option can come from the environment instead: --start-timeout is HOLDFAST_START_TIMEOUT.");
  run->add_option("-l,--listen", arguments.listeners,
                  "Listen on [NAME=]ADDRESS: :8080, 127.0.0.1:8080, [::1]:8080, unix:/path[,mode=0660]. May be given "
                  "several times")
      ->type_name("ADDRESS")
      ->allow_extra_args(false)
      ->envname("HOLDFAST_LISTEN");
  run->add_option("-w,--workers", arguments.workers, "Number of workers; auto: one for each CPU")
      ->type_name("N")
      ->default_str("auto")
      ->envname("HOLDFAST_WORKERS");
  const Config defaults;
  for (const Option& option : options()) {
    const auto set = [&option, &arguments](const std::string& text) {
      const Outcome outcome = option.set(arguments.config, text);
      if (!outcome) throw CLI::ValidationError(option.flag, outcome.error().message());
    };
    run->add_option_function<std::string>(option.flag, set, option.help)
        ->type_name(option.value_name)
        ->default_str(option.get(defaults))
        ->group(option.group)
        ->envname(environment_name(option));
  }
  return run;
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

// Everything that is wrong with the command line of `run`, or the finished configuration.
Invocation finish_run(Arguments& arguments, std::vector<std::string> command) {
  Config config = arguments.config;
  config.pools.front().command = std::move(command);
  for (const std::string& text : arguments.listeners) {
    const std::string default_name =
        config.listeners.empty() ? "main" : "main-" + std::to_string(config.listeners.size() + 1);
    Result<ListenerConfig> listener = parse_listener(text, default_name);
    if (!listener) return mistake("-l " + text + ": " + listener.error().message());
    config.listeners.push_back(*std::move(listener));
  }
  if (arguments.workers == "auto") {
    config.pools.front().workers = usable_cpus();
  } else if (const Outcome parsed = parse_value(arguments.workers, config.pools.front().workers);
             !parsed || config.pools.front().workers == 0) {
    return mistake("-w '" + arguments.workers + "' is not a number of workers (from 1) or auto");
  }
  if (const std::vector<std::string> mistakes = find_mistakes(config); !mistakes.empty()) {
    for (const std::string& text : mistakes) (void)mistake(text);
    return ExitNow{kExitUsage};
  }
  return RunInvocation{std::move(config)};
}

// CLI11 names what it did not expect; we add what might have been meant.
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
  const CLI::App* run = add_run(app, arguments);
  const CLI::App* status = add_client(app, arguments, "status", "Show listeners, slots and workers");
  CLI::App* route = add_client(app, arguments, "route", "Show which slot serves a client's address, and why");
  route->add_option("ADDRESS", arguments.address, "IPv4 or IPv6 address")->required();
  CLI::App* restart =
      add_client(app, arguments, "restart", "Replace the workers of one slot or of all, one after the other");
  restart->add_option("SLOT", arguments.slot, "Number of the slot (default: all)");
  restart->add_flag("--wait", arguments.wait, "Return when it is done, with the outcome");
  CLI::App* stop = add_client(app, arguments, "stop", "Drain the workers and stop the supervisor");
  stop->add_flag("--wait", arguments.wait, "Return when it has stopped");
  CLI::App* version = app.add_subcommand("version", "Print the version");
  version->add_flag("--json", arguments.json, "Print the answer as JSON");
  app.set_version_flag("--version", std::string("holdfast ") + HOLDFAST_VERSION);

  std::vector<std::string> words(all.begin() + 1, separator);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return ExitNow{kExitOk};
  } catch (const CLI::CallForAllHelp&) {
    std::fputs(app.help("", CLI::AppFormatMode::All).c_str(), stdout);
    return ExitNow{kExitOk};
  } catch (const CLI::CallForVersion& answer) {
    std::puts(answer.what());
    return ExitNow{kExitOk};
  } catch (const CLI::ExtrasError&) {
    const CLI::App* used = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
    const std::vector<std::string> extras = app.remaining(true);
    const std::string first = extras.empty() ? "?" : extras.front();
    std::string text = with_suggestion(*used, first);
    if (used == run && command.empty() && !first.starts_with("-")) text += " The worker's command goes after `--`.";
    return mistake(text + " (see `holdfast " + (used == &app ? "" : used->get_name() + " ") + "--help`)");
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
  if (run->parsed()) return finish_run(arguments, std::move(command));
  if (!command.empty()) return mistake("only `holdfast run` takes a command after `--`");
  if (status->parsed()) return StatusInvocation{arguments.target, form};
  if (route->parsed()) return RouteInvocation{arguments.target, form, arguments.address};
  if (restart->parsed()) return RestartInvocation{arguments.target, form, arguments.slot, waiting};
  if (stop->parsed()) return StopInvocation{arguments.target, form, waiting};
  return VersionInvocation{form};
}

}  // namespace holdfast
