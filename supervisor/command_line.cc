#include "command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <optional>
#include <string_view>
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
  Config config;
  std::vector<std::string> listeners;
  std::string workers = "auto";
  ControlTarget target;
  bool json = false;
  bool wait = false;
  std::string address;
  std::string slot;
  std::vector<std::string> scale;
  bool dry_run = false;
  std::map<std::string, std::string> variables;  // flag -> variable, of the options that the environment gave
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
      ->allow_extra_args(false);
  run->add_option("-w,--workers", arguments.workers, "Number of workers; auto: one for each CPU")
      ->type_name("N")
      ->default_str("auto");
  const Config defaults;
  for (const Option& option : options()) {
    const auto set = [&option, &arguments](const std::string& text) {
      const Outcome outcome = option.set(arguments.config, text);
      if (!outcome) throw CLI::ValidationError(option.flag, outcome.error().message());
    };
    run->add_option_function<std::string>(option.flag, set, option.help)
        ->type_name(option.value_name)
        ->default_str(option.get(defaults))
        ->group(option.group);
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

// Options that the command line leaves open come from the environment. Not through CLI11, which does not tell where a
// value came from: the message would name an option that nobody gave.
Outcome read_environment(const CLI::App& run, Arguments& arguments) {
  const auto take = [&](const std::string& flag, const std::string& variable, const auto& set) -> Outcome {
    const std::optional<std::string> text = environment_variable(variable);
    if (!text || run.get_option(flag)->count() > 0) return Done{};
    arguments.variables[flag] = variable;
    const Outcome outcome = set(*text);
    return outcome ? outcome : Error{{}, variable + ": " + outcome.error().message()};
  };
  Outcome outcome = take("-l", "HOLDFAST_LISTEN", [&](const std::string& text) -> Outcome {
    arguments.listeners.push_back(text);
    return Done{};
  });
  if (outcome) {
    outcome = take("-w", "HOLDFAST_WORKERS", [&](const std::string& text) -> Outcome {
      arguments.workers = text;
      return Done{};
    });
  }
  for (auto option = options().begin(); outcome && option != options().end(); ++option) {
    outcome = take(option->flag, environment_name(*option),
                   [&](const std::string& text) { return option->set(arguments.config, text); });
  }
  return outcome;
}

// Adds where the options that a mistake names came from, if it was not the command line.
std::string with_sources(std::string mistake, const std::map<std::string, std::string>& variables) {
  std::string sources;
  for (const auto& [flag, variable] : variables) {
    const std::size_t at = mistake.find(flag);
    if (at == std::string::npos) continue;
    const char next = at + flag.size() < mistake.size() ? mistake[at + flag.size()] : ' ';
    if (next == '-' || std::isalnum(static_cast<unsigned char>(next))) continue;  // another one, that is longer
    sources += (sources.empty() ? "" : ", ") + flag + " is from " + variable;
  }
  return sources.empty() ? mistake : mistake + " (" + sources + ")";
}

Outcome set_workers(PoolConfig& pool, const std::string& text) {
  if (text == "auto") {
    pool.workers = usable_cpus();
  } else if (const Outcome parsed = parse_value(text, pool.workers); !parsed || pool.workers == 0) {
    return Error{{}, "'" + text + "' is not a number of workers (from 1) or auto"};
  }
  return Done{};
}

// Everything that is wrong with the command line of `run` and its environment, or the finished configuration.
Invocation finish_run(const CLI::App& run, Arguments& arguments, std::vector<std::string> command) {
  if (const Outcome read = read_environment(run, arguments); !read) return mistake(read.error().message());
  const auto source = [&](const std::string& flag) {
    const auto variable = arguments.variables.find(flag);
    return variable == arguments.variables.end() ? flag : variable->second;
  };
  Config config = arguments.config;
  config.pools.front().command = std::move(command);
  for (const std::string& text : arguments.listeners) {
    const std::string default_name =
        config.listeners.empty() ? "main" : "main-" + std::to_string(config.listeners.size() + 1);
    Result<ListenerConfig> listener = parse_listener(text, default_name);
    if (!listener) return mistake(source("-l") + ": " + listener.error().message());
    config.listeners.push_back(*std::move(listener));
  }
  if (const Outcome set = set_workers(config.pools.front(), arguments.workers); !set)
    return mistake(source("-w") + ": " + set.error().message());
  if (const std::vector<std::string> mistakes = find_mistakes(config); !mistakes.empty()) {
    for (const std::string& text : mistakes) (void)mistake(with_sources(text, arguments.variables));
    return ExitNow{kExitUsage};
  }
  return RunInvocation{std::move(config)};
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
    return ExitNow{print(app.help())};
  } catch (const CLI::CallForAllHelp&) {
    return ExitNow{print(app.help("", CLI::AppFormatMode::All))};
  } catch (const CLI::CallForVersion& answer) {
    return ExitNow{print(std::string(answer.what()) + "\n")};
  } catch (const CLI::ExtrasError&) {
    const CLI::App* used = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
    const std::vector<std::string> extras = app.remaining(true);
    const std::string first = extras.empty() ? "?" : extras.front();
    std::string text = with_suggestion(*used, first);
    if (used == run && command.empty() && !first.starts_with("-")) text += " The worker's command goes after `--`.";
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
  if (run->parsed()) return finish_run(*run, arguments, std::move(command));
  if (!command.empty()) return mistake("only `holdfast run` takes a command after `--`");
  if (status->parsed()) return StatusInvocation{arguments.target, form};
  if (route->parsed()) return RouteInvocation{arguments.target, form, arguments.address};
  if (restart->parsed()) return finish_restart(arguments, form, waiting);
  if (drain->parsed()) return finish_drain(arguments, form, Draining::On, waiting);
  if (undrain->parsed()) return finish_drain(arguments, form, Draining::Off, waiting);
  if (scale->parsed()) return finish_scale(arguments, form, waiting);
  if (stop->parsed()) return StopInvocation{arguments.target, form, waiting};
  return VersionInvocation{form};
}

}  // namespace holdfast
