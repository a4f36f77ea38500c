// hf_open: what a program hears that is started wrongly, and what it can do without a supervisor.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <holdfast/worker.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/fake_supervisor.h"
#include "support/sdk_worker.h"

namespace holdfast::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

int open_status(const hf_options* options = nullptr) {
  hf_worker* worker = nullptr;
  const int status = hf_open(options, &worker);
  hf_close(worker);
  return status;
}

struct Standalone {
  explicit Standalone(const char* listen_address) : address(listen_address) {
    options.size = sizeof options;
    options.standalone = &address;
    options.standalone_count = 1;
  }
  const char* address;
  hf_options options{};
};

SdkWorker open_standalone(const Standalone& standalone) {
  hf_worker* worker = nullptr;
  EXPECT_EQ(hf_open(&standalone.options, &worker), 0) << hf_error_text();
  return SdkWorker(worker);
}

int connect_to(const sockaddr* address, socklen_t size) {
  const int client = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(client, address, size), 0);
  return client;
}

// The port in "127.0.0.1:8080".
sockaddr_in loopback_address(const hf_worker* worker) {
  const std::string text = hf_info(worker)->listener[0].address;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(text.substr(text.rfind(':') + 1))));
  return address;
}

TEST(WorkerSdkOpen, SaysHowToStartAProgramWithoutSupervisor) {
  EXPECT_EQ(open_status(), -ENOENT);
  EXPECT_THAT(hf_error_text(), AllOf(HasSubstr("HOLDFAST_CHANNEL is not set"), HasSubstr("holdfast run -- PROGRAM")));
}

TEST(WorkerSdkOpen, RefusesAnEnvironmentThatMakesNoSense) {
  FakeSupervisor supervisor;
  for (const char* text : {"", "x", "-1", "3x", "99999999999999999999"}) {
    ::setenv(HF_ENV_CHANNEL, text, 1);
    EXPECT_EQ(open_status(), -EINVAL) << text;
    EXPECT_THAT(hf_error_text(), HasSubstr("HOLDFAST_CHANNEL is"));
  }
  ::setenv(HF_ENV_CHANNEL, "987654", 1);
  EXPECT_EQ(open_status(), -EBADF);
  EXPECT_THAT(hf_error_text(), HasSubstr("descriptor 987654"));
  ::setenv(HF_ENV_CHANNEL, std::to_string(::open("/dev/null", O_RDONLY | O_CLOEXEC)).c_str(), 1);
  EXPECT_EQ(open_status(), -EINVAL);
  EXPECT_THAT(hf_error_text(), HasSubstr("not a SOCK_SEQPACKET socket"));
}

TEST(WorkerSdkOpen, RefusesAPageThatIsNone) {
  FakeSupervisor supervisor;
  supervisor.offer();
  const int shorter = ::memfd_create("short", MFD_CLOEXEC);
  ASSERT_GE(shorter, 0);
  ::setenv(HF_ENV_PAGE, std::to_string(shorter).c_str(), 1);
  EXPECT_EQ(open_status(), -EINVAL);
  EXPECT_THAT(hf_error_text(), HasSubstr("shorter than a page"));
  supervisor.page().magic = 1;
  supervisor.offer();
  EXPECT_EQ(open_status(), -EINVAL);
  EXPECT_THAT(hf_error_text(), HasSubstr("counter page"));
}

TEST(WorkerSdkOpen, MarksItsDescriptorsCloseOnExec) {
  FakeSupervisor supervisor;
  supervisor.offer();
  const int channel = std::atoi(std::getenv(HF_ENV_CHANNEL));
  const int page = std::atoi(std::getenv(HF_ENV_PAGE));
  hf_worker* worker = nullptr;
  ASSERT_EQ(hf_open(nullptr, &worker), 0);
  for (const int descriptor : {channel, page, hf_fd(worker)}) EXPECT_NE(::fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0);
  hf_close(worker);
}

TEST(WorkerSdkOpen, IsOnceForAProcess) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  EXPECT_EQ(open_status(), -EBUSY);
  ASSERT_TRUE(supervisor.send_connections(1));
  EXPECT_EQ(take_all(worker.get()), 1u) << "the refused second open harmed the first";
}

TEST(WorkerSdkOpen, RefusesALimitThatLeavesNoRoomForABatch) {
  FakeSupervisor supervisor;
  supervisor.offer();
  rlimit saved;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &saved), 0);
  rlimit low = saved;
  low.rlim_cur = 80;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(open_status(), -EMFILE);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &saved), 0);
  EXPECT_THAT(hf_error_text(), AllOf(HasSubstr("RLIMIT_NOFILE is 80"), HasSubstr("ulimit -n")));
}

TEST(WorkerSdkOpen, LeavesTheEnvironmentAndIgnoresStandaloneUnderASupervisor) {
  FakeSupervisor supervisor;
  supervisor.offer();
  const Standalone standalone("127.0.0.1:0");
  const SdkWorker worker = open_standalone(standalone);
  EXPECT_STREQ(hf_info(worker.get())->plane, "pass");
  EXPECT_NE(std::getenv(HF_ENV_CHANNEL), nullptr);
}

TEST(WorkerSdkOpen, ListensByItselfWhenAsked) {
  const Standalone standalone("127.0.0.1:0");
  const SdkWorker worker = open_standalone(standalone);
  EXPECT_STREQ(hf_info(worker.get())->plane, "self");
  EXPECT_STREQ(hf_info(worker.get())->pool, "standalone");
  hf_ready(worker.get());
  const sockaddr_in address = loopback_address(worker.get());
  const int client = connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  hf_event event;
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_CONNECTION);
  EXPECT_EQ(event.connection.remote.ipv4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_EQ(event.connection.local.ipv4.sin_port, address.sin_port);
  EXPECT_STREQ(event.connection.listener_name, hf_info(worker.get())->listener[0].address);
  hf_release(worker.get(), event.connection.fd);
  ::close(client);
}

TEST(WorkerSdkOpen, FoldsIpv4ClientsOfADualStackListener) {
  const Standalone standalone(":0");
  const SdkWorker worker = open_standalone(standalone);
  const sockaddr_in address = loopback_address(worker.get());
  const int client = connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  hf_event event;
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_CONNECTION);
  EXPECT_EQ(event.connection.remote.generic.sa_family, AF_INET);
  EXPECT_EQ(event.connection.remote.ipv4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  hf_release(worker.get(), event.connection.fd);
  ::close(client);
}

TEST(WorkerSdkOpen, SharesItsPortOnlyWhenAsked) {
  Standalone first("127.0.0.1:0");
  first.options.flags = HF_OPEN_REUSEPORT;
  const SdkWorker worker = open_standalone(first);
  const std::string bound = hf_info(worker.get())->listener[0].address;
  Standalone second(bound.c_str());
  EXPECT_EQ(open_status(&second.options), -EADDRINUSE);
  EXPECT_THAT(hf_error_text(), AllOf(HasSubstr(bound), HasSubstr("another program has this address")));
  second.options.flags = HF_OPEN_REUSEPORT;
  EXPECT_EQ(open_status(&second.options), 0) << hf_error_text();
}

TEST(WorkerSdkOpen, TakesAStaleUnixPathAndRemovesItAtTheEnd) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("holdfast-sdk-" + std::to_string(::getpid()) + ".sock");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  const int dead = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(dead);

  const std::string text = "unix:" + path.string();
  const Standalone standalone(text.c_str());
  {
    const SdkWorker worker = open_standalone(standalone);
    EXPECT_EQ(open_status(&standalone.options), -EADDRINUSE) << "a path that a live program owns was taken";
    const int client = connect_to(reinterpret_cast<sockaddr*>(&address), sizeof address);
    hf_event event;
    ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_CONNECTION);  // the probe of the refused open
    hf_release(worker.get(), event.connection.fd);
    ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_CONNECTION);
    EXPECT_EQ(event.connection.remote.generic.sa_family, AF_UNIX);
    hf_release(worker.get(), event.connection.fd);
    ::close(client);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(WorkerSdkOpen, NamesAnAddressThatIsNone) {
  for (const char* text : {"", "8080", "localhost:80", "127.0.0.1:65536", "127.0.0.1:", "127.0.0.1:-1", "[::1:80",
                           "::1:80", "unix:", "300.0.0.1:1"}) {
    const Standalone standalone(text);
    EXPECT_EQ(open_status(&standalone.options), -EINVAL) << text;
    EXPECT_THAT(hf_error_text(), HasSubstr("\"" + std::string(text) + "\"")) << text;
  }
}

}  // namespace
}  // namespace holdfast::test
