// What bad input gets: one line that says what was attempted, why it failed and what to do; the right exit code;
// nothing left.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <ostream>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kUsage = 2;
constexpr int kCannotBind = 69;
constexpr int kCrashLoop = 75;
constexpr int kPermission = 77;
constexpr int kBadConfiguration = 78;

struct BadInput {
  const char* name;
  std::vector<std::string> arguments;  // of `holdfast`; "{dir}" is the test's directory, "{whoami}" a good worker
  int exit_code;
  std::vector<std::string> said;              // in one line of standard error
  std::vector<std::string> environment = {};  // NAME=VALUE
};

std::ostream& operator<<(std::ostream& out, const BadInput& input) { return out << input.name; }

std::vector<BadInput> bad_inputs() {
  return {
      {"AnUnknownOption", {"run", "--frobnicate", "-l", "127.0.0.1:0", "--", "{whoami}"}, kUsage, {"--frobnicate"}},
      {"AnUnknownCommand", {"statsu"}, kUsage, {"statsu", "status"}},
      {"NoWorkerCommand", {"run", "-l", "127.0.0.1:0"}, kUsage, {"command"}},
      {"NoListener", {"run", "--", "{whoami}"}, kUsage, {"-l"}},
      {"AnAddressWithoutAPort", {"run", "-l", "127.0.0.1", "--", "{whoami}"}, kUsage, {"127.0.0.1", "port"}},
      {"AnAddressThatIsNone", {"run", "-l", "300.0.0.1:80", "--", "{whoami}"}, kUsage, {"300.0.0.1"}},
      {"APortThatIsNone", {"run", "-l", "127.0.0.1:99999", "--", "{whoami}"}, kUsage, {"99999"}},
      {"AWorkerNumberThatIsNone", {"run", "-l", "127.0.0.1:0", "-w", "many", "--", "{whoami}"}, kUsage, {"-w", "many"}},
      {"TooManyWorkers", {"run", "-l", "127.0.0.1:0", "-w", "100000", "--", "{whoami}"}, kUsage, {"100000"}},
      {"ADurationThatIsNone",
       {"run", "-l", "127.0.0.1:0", "--drain-timeout", "5 parsecs", "--", "{whoami}"},
       kUsage,
       {"--drain-timeout", "5 parsecs"}},
      {"AHashKeyThatIsNone",
       {"run", "-l", "127.0.0.1:0", "--hash-key", "xyzzy", "--", "{whoami}"},
       kUsage,
       {"--hash-key"}},
      {"ACpuThatIsNotThere",
       {"run", "-l", "127.0.0.1:0", "--cpus", "4000", "--", "{whoami}"},
       kBadConfiguration,
       {"CPU 4000", "this machine lets us run on"}},
      {"AnExitCodeThatIsNone",
       {"run", "-l", "127.0.0.1:0", "--no-restart-codes", "300", "--", "{whoami}"},
       kUsage,
       {"--no-restart-codes 300", "0 to 255"}},
      {"AStopSignalThatIsNone",
       {"run", "-l", "127.0.0.1:0", "--stop-signal", "KILL", "--", "{whoami}"},
       kUsage,
       {"--stop-signal", "KILL", "TERM or INT or QUIT"}},
      {"AnOptionInFrontOfItsCommand",
       {"--name", "b", "status"},
       kUsage,
       {"'--name' goes after the command: holdfast status --name"}},
      {"AnOverflowThatIsNone",
       {"run", "-l", "127.0.0.1:0", "--overflow", "explode", "--", "{whoami}"},
       kUsage,
       {"explode"}},
      {"AnAddressOfAnotherMachine", {"run", "-l", "192.0.2.1:8080", "--", "{whoami}"}, kCannotBind, {"192.0.2.1:8080"}},
      {"AUnixPathInNoDirectory", {"run", "-l", "unix:{dir}/none/x", "--", "{whoami}"}, kCannotBind, {"{dir}/none/x"}},
      {"ACommandThatDoesNotExist",
       {"run", "-l", "127.0.0.1:0", "--", "{dir}/nothing"},
       kBadConfiguration,
       {"{dir}/nothing", "No such file"}},
      {"ACommandThatIsNotInThePath",
       {"run", "-l", "127.0.0.1:0", "--", "no-such-server"},
       kBadConfiguration,
       {"no-such-server", "No such file"}},
      {"ACommandThatIsNotExecutable",
       {"run", "-l", "127.0.0.1:0", "--", "{dir}/text"},
       kPermission,
       {"{dir}/text", "Permission denied"}},
      {"ADirectoryThatDoesNotExist",
       {"run", "-l", "127.0.0.1:0", "--working-directory", "{dir}/none", "--", "{whoami}"},
       kBadConfiguration,
       {"{dir}/none", "No such file"}},
      {"AWorkerThatExitsAtOnce",
       {"run", "-l", "127.0.0.1:0", "--start-limit", "3", "--restart-delay-step", "0", "--", "/bin/sh", "-c", "exit 3"},
       kCrashLoop,
       {"exited with code 3"}},
      {"AStatusOfNobody", {"status", "--control", "{dir}/none"}, 1, {"{dir}/none", "holdfast run"}},
      {"AnAddressGivenTwice",
       {"run", "-l", "127.0.0.1:9876", "-l", "127.0.0.1:9876", "--", "{whoami}"},
       kUsage,
       {"-l 127.0.0.1:9876 is given twice"}},
      {"AnAddressSaysOnceWhatIsWrong",
       {"run", "-l", "foo", "--", "{whoami}"},
       kUsage,
       {"holdfast: -l: listen address 'foo': there is no port"}},
      {"AnOptionGivenTwice",
       {"run", "-l", "127.0.0.1:0", "-w", "1", "-w", "2", "--", "{whoami}"},
       kUsage,
       {"--workers is given more than once"}},
      {"AnOptionWithoutItsValue", {"run", "--surge"}, kUsage, {"--surge needs a value"}},
      {"AFlagWithAValue", {"status", "--json=maybe"}, kUsage, {"takes no value", "--json"}},
      {"ASlotThatIsNoNumber",
       {"restart", "main/x", "--control", "{dir}/none"},
       kUsage,
       {"'main/x' is not the number of a slot", "holdfast status"}},
      {"ASlotBeyondAllNumbers",
       {"restart", "99999999999", "--control", "{dir}/none"},
       kUsage,
       {"not the number of a slot"}},
      {"AVariableThatIsNoDuration",
       {"run", "-l", "127.0.0.1:0", "--", "{whoami}"},
       kUsage,
       {"HOLDFAST_DRAIN_TIMEOUT: '5 parsecs' is not a time"},
       {"HOLDFAST_DRAIN_TIMEOUT=5 parsecs"}},
      {"AVariableThatIsNoNumberOfWorkers",
       {"run", "-l", "127.0.0.1:0", "--", "{whoami}"},
       kUsage,
       {"HOLDFAST_WORKERS: 'many'"},
       {"HOLDFAST_WORKERS=many"}},
      {"AVariableThatIsNoAddress",
       {"run", "--", "{whoami}"},
       kUsage,
       {"HOLDFAST_LISTEN: listen address 'nowhere'"},
       {"HOLDFAST_LISTEN=nowhere"}},
      {"AVariableWhoseValueIsOutOfRange",
       {"run", "-l", "127.0.0.1:0", "--start-limit-interval", "0", "--", "{whoami}"},
       kUsage,
       {"--queue-limit 0", "(--queue-limit is from HOLDFAST_QUEUE_LIMIT)"},
       {"HOLDFAST_QUEUE_LIMIT=0", "HOLDFAST_START_LIMIT=1"}},
      {"TooManyWorkersByVariables",
       {"run", "--", "{whoami}"},
       kUsage,
       {"-w 300: at most 256 workers (-w is from HOLDFAST_WORKERS)"},
       {"HOLDFAST_LISTEN=127.0.0.1:0", "HOLDFAST_WORKERS=300"}},
      {"AVariableOfAnOptionWhoseNameIsLonger",
       {"run", "-l", "127.0.0.1:0", "--", "{whoami}"},
       kUsage,
       {"--restart-delay-step (--restart-delay-max is from HOLDFAST_RESTART_DELAY_MAX)\n"},
       {"HOLDFAST_RESTART_DELAY_MAX=1ms", "HOLDFAST_RESTART_DELAY=1s"}},
      {"AVariableThatTheCommandLineOverridesIsNotToBlame",
       {"run", "-l", "127.0.0.1:0", "--queue-limit", "0", "--", "{whoami}"},
       kUsage,
       {"--queue-limit 0 would let nobody in\n"},
       {"HOLDFAST_QUEUE_LIMIT=junk"}},
      {"ARouteOfNoAddress", {"route", "nowhere", "--control", "{dir}/none"}, kUsage, {"nowhere"}},
  };
}

class BadInputs : public testing::TestWithParam<BadInput> {
 protected:
  BadInputs() { write_text(directory_ / "text", "not a program\n"); }

  [[nodiscard]] std::string filled(std::string text) const {
    for (const auto& [placeholder, value] :
         {std::pair<std::string, std::string>{"{dir}", directory_.path().string()}, {"{whoami}", whoami_program()}}) {
      for (std::size_t at = text.find(placeholder); at != std::string::npos; at = text.find(placeholder, at)) {
        text.replace(at, placeholder.size(), value);
      }
    }
    return text;
  }
  [[nodiscard]] std::vector<std::string> command() const {
    std::vector<std::string> words = {holdfast_program()};
    for (const std::string& word : GetParam().arguments) words.push_back(filled(word));
    // A control socket of the test's own, before the worker command.
    if (words[1] == "run") words.insert(words.begin() + 2, {"--control", directory_ / "control"});
    return words;
  }

  TempDirectory directory_;
};

// Whether one line has all the words.
bool says(const std::string& text, const std::vector<std::string>& words) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin) + "\n";
    if (std::all_of(words.begin(), words.end(),
                    [&](const std::string& word) { return line.find(word) != std::string::npos; })) {
      return true;
    }
    begin = end + 1;
  }
  return words.empty();
}

TEST_P(BadInputs, GetsAClearLineAndTheRightExitCodeAndNothingIsLeft) {
  adopt_orphans();
  const Ran ran = run(command(), GetParam().environment);
  EXPECT_EQ(ran.exit_code, GetParam().exit_code) << ran.errors;
  std::vector<std::string> words;
  for (const std::string& word : GetParam().said) words.push_back(filled(word));
  EXPECT_TRUE(says(ran.errors, words)) << "no line says all of " << testing::PrintToString(words) << ":\n"
                                       << ran.errors;
  EXPECT_EQ(ran.output, "") << "complaints belong on standard error";
  const auto lines = std::count(ran.errors.begin(), ran.errors.end(), '\n');
  EXPECT_GE(lines, 1);
  // Faults that are found before anything starts are told in one line; a crash loop has a history.
  if (GetParam().exit_code != kCrashLoop) {
    EXPECT_EQ(lines, 1) << ran.errors;
  }
  EXPECT_TRUE(eventually([] { return orphans().empty(); }, std::chrono::seconds(3)));
  EXPECT_TRUE(directory_.sockets().empty());
}

INSTANTIATE_TEST_SUITE_P(All, BadInputs, testing::ValuesIn(bad_inputs()),
                         [](const auto& instance) { return instance.param.name; });

TEST(BadInput, ADirectoryOfThePathThatMayNotBeSearchedHasNothingForUs) {
  const TempDirectory directory;
  const fs::path closed = directory / "closed";
  fs::create_directory(closed);
  fs::permissions(closed, fs::perms::none);
  const Ran ran =
      run({holdfast_program(), "run", "--control", directory / "c", "-l", "127.0.0.1:0", "--", "no-such-server"},
          {"PATH=" + closed.string() + ":/usr/bin:/bin"});
  fs::permissions(closed, fs::perms::owner_all);
  EXPECT_EQ(ran.exit_code, kBadConfiguration) << ran.errors;
  EXPECT_TRUE(says(ran.errors, {"no-such-server", "No such file"})) << ran.errors;
}

// Through a shell: /dev/full takes the place of the file that `run` gives.
Ran run_into_a_full_disk(const std::string& arguments) {
  return run({"/bin/sh", "-c", "exec " + holdfast_program() + " " + arguments + " >/dev/full"});
}

TEST(BadInput, AnAnswerThatCannotBeWrittenIsAFailure) {
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  const std::string control = " --control " + supervisor.control();
  for (const std::string& arguments :
       {std::string("version"), std::string("version --json"), std::string("--version"), std::string("--help"),
        std::string("--help-all"), std::string("run --help"), "status" + control, "status --json" + control,
        "route 127.0.0.1" + control, "route --json 127.0.0.1" + control, "restart" + control}) {
    const Ran ran = run_into_a_full_disk(arguments);
    EXPECT_EQ(ran.exit_code, 1) << arguments;
    EXPECT_TRUE(says(ran.errors, {"write to standard output: No space left on device\n"})) << arguments << ran.errors;
  }
}

TEST(BadInput, IsToldAllAtOnceByCheck) {
  const Ran ran =
      run({holdfast_program(), "check", "-l", "127.0.0.1:0", "--surge", "0", "--cpus", "4000", "--", "no-such-server"});
  EXPECT_EQ(ran.exit_code, kBadConfiguration);
  for (const char* mistake : {"--surge 0", "CPU 4000", "no-such-server"}) {
    EXPECT_TRUE(says(ran.errors, {mistake})) << mistake << "\n" << ran.errors;
  }
}

TEST(BadInput, APortInUseIsTold) {
  const Supervisor owner;
  owner.wait_until_serving();
  const std::string address = owner.address();
  const TempDirectory directory;
  const Ran ran = run({holdfast_program(), "run", "--control", directory / "c", "-l", address, "--", whoami_program()});
  EXPECT_EQ(ran.exit_code, kCannotBind);
  EXPECT_TRUE(says(ran.errors, {address, "in use"})) << ran.errors;
  EXPECT_TRUE(directory.sockets().empty());
  EXPECT_TRUE(get_once(owner.target(), "/"));
}

TEST(BadInput, OneListenerThatCannotBeBoundTakesTheOtherWithIt) {
  const Supervisor owner;
  owner.wait_until_serving();
  const TempDirectory directory;
  const Ran ran = run({holdfast_program(), "run", "--control", directory / "c", "-l", "unix:" + (directory / "front"),
                       "-l", owner.address(), "--", whoami_program()});
  EXPECT_EQ(ran.exit_code, kCannotBind);
  EXPECT_TRUE(directory.sockets().empty()) << "the listener that was bound is left behind";
}

TEST(BadInput, AUnixPathThatALiveServerOwnsIsRefused) {
  const TempDirectory directory;
  SupervisorPlan plan;
  plan.listen = {"unix:{dir}/front"};
  const Supervisor owner(plan, &directory);
  owner.wait_until_serving();
  const Ran ran = run({holdfast_program(), "run", "--control", directory / "c", "-l", "unix:" + (directory / "front"),
                       "--", whoami_program()});
  EXPECT_EQ(ran.exit_code, kCannotBind);
  EXPECT_TRUE(says(ran.errors, {directory / "front"})) << ran.errors;
  EXPECT_TRUE(get_once(owner.target(), "/")) << "the owner must not be harmed";
}

TEST(BadInput, AControlSocketThatALiveSupervisorOwnsIsRefused) {
  const Supervisor owner;
  owner.wait_until_serving();
  const Ran ran =
      run({holdfast_program(), "run", "--control", owner.control(), "-l", "127.0.0.1:0", "--", whoami_program()});
  EXPECT_NE(ran.exit_code, 0);
  EXPECT_TRUE(says(ran.errors, {owner.control()})) << ran.errors;
  EXPECT_TRUE(owner.status().answered());
}

TEST(BadInput, APathThatIsNotASocketIsNotReplaced) {
  const TempDirectory directory;
  write_text(directory / "precious", "data");
  const Ran ran = run({holdfast_program(), "run", "--control", directory / "c", "-l",
                       "unix:" + (directory / "precious"), "--", whoami_program()});
  EXPECT_EQ(ran.exit_code, kCannotBind) << ran.errors;
  EXPECT_EQ(text_of(directory / "precious"), "data");
}

TEST(BadInput, APrivilegedPortNeedsPermission) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may bind every port";
  if (std::stoi(text_of("/proc/sys/net/ipv4/ip_unprivileged_port_start")) <= 81)
    GTEST_SKIP() << "anyone may bind every port here";
  const TempDirectory directory;
  const Ran ran =
      run({holdfast_program(), "run", "--control", directory / "c", "-l", "127.0.0.1:81", "--", whoami_program()});
  EXPECT_EQ(ran.exit_code, kPermission);
  EXPECT_TRUE(says(ran.errors, {"127.0.0.1:81", "Permission denied"})) << ran.errors;
}

}  // namespace
}  // namespace holdfast::test
