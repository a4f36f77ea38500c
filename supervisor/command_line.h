#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "load_config.h"

namespace holdfast {

// What the user asked for.
struct RunInvocation {
  ConfigSource source;
};

struct ControlTarget {
  std::string control_path;
  std::string name;
};  // both may be empty: the only supervisor that runs
enum class OutputForm { Text, Json };
struct CheckInvocation {
  ConfigSource source;
  OutputForm form = OutputForm::Text;
};
struct InitInvocation {
  std::string path;  // "-": standard output
};
struct StatusInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
};
struct ClientsInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  std::string listener;  // empty: all
  unsigned count = 10;
};
struct RouteInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  std::string address;
  std::string pool;
  std::string listener;
  bool is_proxied = false;
  std::string request_target;        // of an HTTP request
  std::vector<std::string> headers;  // of the same: "NAME: VALUE"
  std::string server_name;
  std::string alpn;
  bool explain = false;
};
enum class Waiting { No, Yes };
// Pools and slots that a verb is about.
struct SlotTarget {
  std::string pool;  // empty: the first, or all
  std::optional<unsigned> slot;
};
struct RestartInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  SlotTarget slots;
  Waiting waiting = Waiting::No;
};
enum class Draining { Off, On };
struct DrainInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  SlotTarget slots;
  Draining draining = Draining::On;
  Waiting waiting = Waiting::No;
};
struct ScaleInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  std::string pool;
  unsigned size = 0;
  bool only_tell = false;  // what would move
  Waiting waiting = Waiting::No;
};
struct ReloadInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  Waiting waiting = Waiting::No;
};
struct StopInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  Waiting waiting = Waiting::No;
};
struct PublishInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  std::string topic;
  std::string message;  // taken as it is, unless a file is given
  std::string file;     // "-": standard input
};
struct TailInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  std::string pattern;
};
struct UpgradeInvocation {
  ControlTarget target;
  OutputForm form = OutputForm::Text;
  std::string binary;  // empty: what stands where the supervisor's own program was
  Waiting waiting = Waiting::No;
};
// What a supervisor asks of a program that is to take its place; nobody else.
struct CheckUpgradeInvocation {
  int state = -1;  // descriptor
};
struct ImportInvocation {
  std::string path;  // an ecosystem file of PM2
};
struct VersionInvocation {
  OutputForm form = OutputForm::Text;
};

struct ExitNow {
  int code;
};  // help was printed, or a mistake was reported

using Invocation = std::variant<RunInvocation, CheckInvocation, InitInvocation, StatusInvocation, ClientsInvocation,
                                RouteInvocation, RestartInvocation, DrainInvocation, ScaleInvocation, ReloadInvocation,
                                StopInvocation, ImportInvocation, UpgradeInvocation, CheckUpgradeInvocation,
                                PublishInvocation, TailInvocation, VersionInvocation, ExitNow>;

// Reads the command line and the HOLDFAST_ environment (the command line goes first). Help goes to standard output,
// mistakes to standard error, each in one line that says what is wrong and what would be right.
[[nodiscard]] Invocation read_command_line(int argc, char** argv);

}  // namespace holdfast
