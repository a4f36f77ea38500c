#include "ctl/control_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "component/kernel_fixtures.h"
#include "sys/control_path.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const ControlRequest kStatus{"status", {}};

ControlFailure failure_of(const ControlResponse& response) {
  const auto* const failure = std::get_if<ControlFailure>(&response);
  EXPECT_NE(failure, nullptr);
  return failure == nullptr ? ControlFailure{} : *failure;
}

UniqueFd listening_at(const std::string& path) {
  Result<ListeningSocket> listening = listen_on(UnixAddress{path}, 8);
  EXPECT_TRUE(listening) << listening.error().message();
  return std::move(listening->fd);
}

// Takes one client in a thread and lets `serve` do what a supervisor should not.
class OddSupervisor {
 public:
  OddSupervisor(const std::string& path, std::function<void(int)> serve)
      : listener_(listening_at(path)), thread_([this, serve = std::move(serve)] {
          if (!wait_for(listener_, POLLIN)) return;
          const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
          serve(client.get());
        }) {}
  ~OddSupervisor() { thread_.join(); }

 private:
  UniqueFd listener_;
  std::thread thread_;
};

TEST(ControlClient, SaysThatNothingRunsThere) {
  const TemporaryDirectory directory;
  const std::string missing = directory / "none.sock";
  EXPECT_EQ(failure_of(ask_supervisor(missing, kStatus, 5s)).error,
            "no supervisor is running at " + missing + " (start one with `holdfast run`)");
  const std::string stale = directory / "stale.sock";
  listening_at(stale).reset();  // the file stays
  ASSERT_TRUE(std::filesystem::exists(stale));
  const ControlFailure failure = failure_of(ask_supervisor(stale, kStatus, 5s));
  EXPECT_EQ(failure.error, "no supervisor is running at " + stale + " (start one with `holdfast run`)");
  EXPECT_EQ(failure.exit_code, 1);
}

TEST(ControlClient, SaysThatThePermissionIsMissing) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.sock";
  const UniqueFd listener = listening_at(path);
  const auto expect_refusal = [&] {
    const ControlFailure failure = failure_of(ask_supervisor(path, kStatus, 5s));
    return failure.exit_code == 77 && failure.error.find("Permission denied") != std::string::npos;
  };
  if (::geteuid() != 0) {
    ASSERT_EQ(::chmod(path.c_str(), 0), 0);
    EXPECT_TRUE(expect_refusal());
    return;
  }
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::setuid(65534) == 0 && expect_refusal() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(ControlClient, DoesNotWaitForEverForASilentSupervisor) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.sock";
  const UniqueFd listener = listening_at(path);
  EXPECT_THAT(failure_of(ask_supervisor(path, kStatus, 50ms)).error,
              AllOf(HasSubstr("no answer from the supervisor at " + path), HasSubstr("timed out")));
}

TEST(ControlClient, DoesNotWaitForEverForASupervisorThatDoesNotAccept) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.sock";
  Result<ListeningSocket> listening = listen_on(UnixAddress{path}, 0);
  ASSERT_TRUE(listening);
  ASSERT_EQ(::listen(listening->fd.get(), 0), 0);
  std::vector<UniqueFd> filling;
  while (filling.size() < 8) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) break;
    filling.push_back(std::move(fd));
  }
  EXPECT_THAT(failure_of(ask_supervisor(path, kStatus, 50ms)).error, HasSubstr("timed out"));
}

TEST(ControlClient, SaysThatTheSupervisorClosedTheConnection) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.sock";
  const OddSupervisor odd(path, [](int) {});
  EXPECT_THAT(failure_of(ask_supervisor(path, kStatus, 5s)).error, HasSubstr("it closed the connection"));
}

TEST(ControlClient, AnAnswerThatIsNotOneIsAFailure) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.sock";
  const OddSupervisor odd(path, [](int client) { (void)!::write(client, "hello\n", 6); });
  EXPECT_THAT(failure_of(ask_supervisor(path, kStatus, 5s)).error, HasSubstr("not understood"));
}

// The default directory below a runtime directory of our own. Root's is fixed, so root plays another user there.
struct Home {
  TemporaryDirectory runtime;
  ControlHome home{::geteuid() == 0 ? 65534 : ::geteuid(), runtime.path()};
  std::string directory = control_directory(home);

  Home() {
    EXPECT_EQ(::mkdir(directory.c_str(), 0700), 0);
    if (::geteuid() == 0) {
      EXPECT_EQ(::chown(directory.c_str(), home.user, home.user), 0);
    }
  }
  [[nodiscard]] std::string socket(const std::string& name) const { return directory + "/" + name + ".sock"; }
  [[nodiscard]] std::string error(const ControlChoice& choice) const {
    const Result<std::string> found = find_control_path(choice, home);
    EXPECT_FALSE(found) << *found;
    return found ? "" : found.error().message();
  }
};

TEST(ControlClient, TakesAnExplicitPathAsItIs) {
  const Result<std::string> path = find_control_path({.path = "some/where", .name = {}}, ControlHome{});
  ASSERT_TRUE(path);
  EXPECT_EQ(*path, "some/where");
}

TEST(ControlClient, FindsASupervisorByItsName) {
  const Home home;
  const Result<std::string> path = find_control_path({.path = {}, .name = "web"}, home.home);
  ASSERT_TRUE(path) << path.error().message();
  EXPECT_EQ(*path, home.socket("web"));
  EXPECT_THAT(home.error({.path = {}, .name = "../web"}), HasSubstr("has no '/'"));
}

TEST(ControlClient, FindsTheOnlySupervisorThatIsAlive) {
  const Home home;
  EXPECT_EQ(home.error({}), "no supervisor is running in " + home.directory + " (start one with `holdfast run`)");
  listening_at(home.socket("dead")).reset();
  std::ofstream(home.socket("file")) << "not a socket";
  EXPECT_THAT(home.error({}), HasSubstr("no supervisor is running"));
  const UniqueFd live = listening_at(home.socket("live"));
  const Result<std::string> path = find_control_path({}, home.home);
  ASSERT_TRUE(path) << path.error().message();
  EXPECT_EQ(*path, home.socket("live"));
}

TEST(ControlClient, ListsTheNamesOfSeveralSupervisors) {
  const Home home;
  const UniqueFd web = listening_at(home.socket("web"));
  const UniqueFd api = listening_at(home.socket("api"));
  EXPECT_EQ(home.error({}), "several supervisors are running: choose one with --name (api, web)");
}

TEST(ControlClient, SaysThatNothingRunsWhereTheDirectoryIsMissing) {
  const TemporaryDirectory runtime;
  const ControlHome home{12345, runtime.path()};
  const Result<std::string> path = find_control_path({.path = {}, .name = "web"}, home);
  ASSERT_FALSE(path);
  EXPECT_THAT(path.error().message(), HasSubstr("no supervisor is running in " + runtime.path()));
}

TEST(ControlPath, TheDirectoryFollowsTheUser) {
  EXPECT_EQ(control_directory({0, "/run/user/0"}), "/run/holdfast");
  EXPECT_EQ(control_directory({1000, "/run/user/1000"}), "/run/user/1000/holdfast");
  EXPECT_EQ(control_directory({1000, ""}), "/tmp/holdfast-1000");
}

TEST(ControlPath, MakesAPrivateDirectoryAndTakesItAgain) {
  const TemporaryDirectory parent;
  const std::string directory = parent / "holdfast";
  ASSERT_TRUE(make_control_directory(directory, ::geteuid()));
  struct stat status {};
  ASSERT_EQ(::stat(directory.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
  EXPECT_TRUE(make_control_directory(directory, ::geteuid()));
}

TEST(ControlPath, TrustsNoDirectoryThatAnotherCouldHaveMade) {
  const TemporaryDirectory parent;
  const auto refusal = [&](const std::string& directory, uid_t user) {
    const Outcome outcome = make_control_directory(directory, user);
    return outcome ? "" : outcome.error().message();
  };
  EXPECT_THAT(refusal(parent / "", ::geteuid() + 1), HasSubstr("belongs to user"));
  std::filesystem::create_directory(parent / "real");
  std::filesystem::create_symlink(parent / "real", parent / "link");
  EXPECT_THAT(refusal(parent / "link", ::geteuid()), HasSubstr("symbolic link"));
  std::filesystem::create_directory(parent / "open");
  ASSERT_EQ(::chmod((parent / "open").c_str(), 0777), 0);
  EXPECT_THAT(refusal(parent / "open", ::geteuid()), HasSubstr("others may write"));
  std::ofstream(parent / "file") << "";
  EXPECT_THAT(refusal(parent / "file", ::geteuid()), HasSubstr("not a directory"));
  EXPECT_THAT(refusal(parent / "no/such/parent", ::geteuid()), HasSubstr("No such file"));
}

TEST(ControlPath, RefusesNamesThatAreNoFileNames) {
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string(".x"),
                                  std::string("a/b"), std::string("a\0b", 3), std::string(120, 'a')}) {
    EXPECT_FALSE(control_path("/run/holdfast", name)) << name;
  }
  EXPECT_EQ(*control_path("/run/holdfast", "web-1"), "/run/holdfast/web-1.sock");
}

}  // namespace
}  // namespace holdfast
