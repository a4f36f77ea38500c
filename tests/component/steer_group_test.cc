#include "steering/steer_group.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "component/run_until.h"
#include "component/steer_fixtures.h"
#include "core/bucket_table.h"
#include "core/placement_key.h"
#include "support/eventually.h"
#include "support/network_namespace.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using Domain = SocketDomain;
using namespace std::chrono_literals;

constexpr HashKey kKey{0x01234567, 0x89abcdef};
constexpr KeyPrefix kWholeAddress{.v4 = 32, .v6 = 128};

// A group as its owner keeps it: with a table, a turn for each slot, and the account of what it was told.
class Steered {
 public:
  explicit Steered(const GroupAddress& address, unsigned slots, Sibling sibling = Sibling::None)
      : turns_(kMaxSlots, Turn::First) {
    Result<std::unique_ptr<SteerGroup>> group = SteerGroup::create(
        loop, address, {.backlog = 512, .slots = slots, .sibling = sibling},
        {.on_replaced = [this](SlotId slot, Turn turn) { replaced.emplace_back(slot, turn); },
         .on_renumbered =
             [this] {
               ++renumbered;
               attach();
             },
         .on_waiting = [this](SlotId slot, Turn turn) { heard_waiting.emplace_back(slot, turn); },
         .on_stray = [this](AcceptedConnection connection) { strays.push_back(std::move(connection)); }});
    if (!group) {
      ADD_FAILURE() << group.error().message();
      std::abort();
    }
    group_ = *std::move(group);
  }

  SteerGroup* operator->() { return group_.get(); }
  SteerGroup& operator*() { return *group_; }
  [[nodiscard]] std::uint16_t port() const { return group_->address().port; }
  void retire() { group_.reset(); }
  void set_turn(SlotId slot, Turn turn) { turns_[slot.value] = turn; }

  [[nodiscard]] const BucketTable& table() const {
    if (table_.slots() != group_->slots()) table_ = BucketTable(std::vector<std::uint32_t>(group_->slots(), 1));
    return table_;
  }
  [[nodiscard]] SlotId slot_of(const IpAddress& client) const {
    return table().home(bucket_of(hash_address(client, kWholeAddress, kKey)));
  }
  // A client of the slot, the `n`th.
  [[nodiscard]] IpAddress client_of(SlotId slot, unsigned n = 0) const {
    for (std::uint32_t i = 0;; ++i) {
      const IpAddress client = loopback_client(i);
      if (slot_of(client) == slot && n-- == 0) return client;
    }
  }
  void attach() {
    SteeringTable members{};
    for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
      const SlotId slot = table().home(bucket);
      members[bucket] = group_->index(slot, turns_[slot.value]);
    }
    const Outcome attached = group_->attach(compile_steering(members, kWholeAddress, kKey));
    EXPECT_TRUE(attached) << attached.error().message();
  }
  [[nodiscard]] BorrowedFd current(SlotId slot) const {
    return group_->member(slot, turns_[slot.value]).value_or(BorrowedFd(-1));
  }
  // As a worker gets it, and keeps it whatever we do.
  [[nodiscard]] UniqueFd worker_copy(SlotId slot, Turn turn = Turn::First) const {
    return UniqueFd(::fcntl(group_->member(slot, turn).value_or(BorrowedFd(-1)).get(), F_DUPFD_CLOEXEC, 0));
  }
  // What waits in the whole group apart from spares, in connections.
  [[nodiscard]] std::uint32_t waiting() const {
    std::uint32_t all = accept_queue_length(group_->control());
    for (std::uint32_t slot = 0; slot < group_->slots(); ++slot) {
      all += group_->waiting(SlotId{slot}, Turn::First) + group_->waiting(SlotId{slot}, Turn::Second);
    }
    return all;
  }

  Loop loop;
  std::vector<std::pair<SlotId, Turn>> replaced;
  std::vector<std::pair<SlotId, Turn>> heard_waiting;
  int renumbered = 0;
  std::vector<AcceptedConnection> strays;

 private:
  std::vector<Turn> turns_;
  mutable BucketTable table_;
  std::unique_ptr<SteerGroup> group_;
};

std::optional<AcceptedConnection> take(Result<std::variant<AcceptedConnection, AcceptStop>> accepted) {
  if (!accepted || !std::holds_alternative<AcceptedConnection>(*accepted)) return std::nullopt;
  return std::get<AcceptedConnection>(*std::move(accepted));
}

// Connects from there, and tells whether exactly this socket got it.
::testing::AssertionResult arrives(const IpAddress& client, std::uint16_t port, BorrowedFd at) {
  const UniqueFd connection = connect_from(client, port);
  if (!connection) return ::testing::AssertionFailure() << client.text() << ": " << std::strerror(errno);
  if (!wait_for(at, POLLIN)) return ::testing::AssertionFailure() << client.text() << " came elsewhere";
  const std::optional<AcceptedConnection> accepted = take(accept_connection(at));
  if (!accepted) return ::testing::AssertionFailure() << client.text() << " was not accepted";
  if (accepted->remote.address != client) {
    return ::testing::AssertionFailure() << accepted->remote.address.text() << " came, not " << client.text();
  }
  return ::testing::AssertionSuccess();
}

// Every index is what the group says: a program that names it brings a connection to its socket and nowhere else.
void expect_exact_indexes(Steered& group) {
  const auto expect = [&](std::uint16_t index, BorrowedFd at, const std::string& what) {
    ASSERT_TRUE(group->attach(constant_program(index)));
    EXPECT_TRUE(arrives(*IpAddress::parse("127.0.0.1"), group.port(), at)) << what << " at index " << index;
  };
  expect(0, group->control(), "the control socket");
  for (std::uint32_t slot = 0; slot < group->slots(); ++slot) {
    for (const Turn turn : {Turn::First, Turn::Second}) {
      const std::optional<BorrowedFd> member = group->member(SlotId{slot}, turn);
      ASSERT_TRUE(member) << slot;
      expect(group->index(SlotId{slot}, turn), *member, "slot " + std::to_string(slot));
    }
  }
}

TEST(SteerGroup, TheKernelSteersIpv4AsTheTableSays) {
  Steered group(group_of("127.0.0.1:0"), 5);
  group.set_turn(SlotId{3}, Turn::Second);
  group.attach();
  std::set<SlotId> met;
  for (std::uint32_t n = 0; n < 2000; ++n) {
    const IpAddress client = loopback_client(n);
    const SlotId slot = group.slot_of(client);
    met.insert(slot);
    ASSERT_TRUE(arrives(client, group.port(), group.current(slot)));
  }
  EXPECT_EQ(met.size(), 5U);
  EXPECT_EQ(group.waiting(), 0U);
}

TEST(SteerGroup, ADualStackGroupSteersBothFamilies) {
  const test::NetworkNamespace network;
  if (!network.missing().empty()) GTEST_SKIP() << "no network of our own: " << network.missing();
  Steered group(group_of(":0"), 4);
  group.attach();
  for (const std::string& source : test::ipv6_sources(1000)) {
    const IpAddress client = *IpAddress::parse(source);
    ASSERT_TRUE(arrives(client, group.port(), group.current(group.slot_of(client))));
  }
  for (std::uint32_t n = 0; n < 1000; ++n) {
    const IpAddress client = loopback_client(n);
    ASSERT_TRUE(arrives(client, group.port(), group.current(group.slot_of(client))));
  }
  EXPECT_EQ(group.waiting(), 0U);
}

TEST(SteerGroup, ADualStackGroupSteersTheLoopbackOfBothFamilies) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  Steered group(group_of(":0"), 4);
  for (const char* text : {"127.0.0.1", "::1"}) {
    const IpAddress client = *IpAddress::parse(text);
    const SlotId slot = group.slot_of(client);
    group.attach();
    EXPECT_TRUE(arrives(client, group.port(), group.current(slot)));
  }
}

TEST(SteerGroup, SendsEverybodyToTheControlSocketUntilItIsTold) {
  Steered group(group_of("127.0.0.1:0"), 3);
  for (std::uint32_t n = 0; n < 50; ++n) ASSERT_TRUE(arrives(loopback_client(n), group.port(), group->control()));
}

TEST(SteerGroup, ASecondGroupOnTheAddressIsRefusedAndTheFirstUntouched) {
  for (const char* text : {"127.0.0.1:0", "udp://127.0.0.1:0"}) {
    Steered group(group_of(text), 2);
    const std::uint64_t before = open_file_count();
    for (const Domain domain : {Domain::Inet, Domain::Inet6}) {
      if (domain == Domain::Inet6 && !has_v6()) continue;
      GroupAddress same = group_of(text, domain);
      same.port = group.port();
      Loop loop;
      const auto second = SteerGroup::create(loop, same, {.backlog = 8, .slots = 2}, {});
      ASSERT_FALSE(second) << text;
      EXPECT_EQ(second.error().code, std::errc::address_in_use);
      EXPECT_EQ(second.error().doing, "listen on " + to_text(same));
    }
    EXPECT_EQ(open_file_count(), before);
    if (group->address().transport == Transport::Stream) expect_exact_indexes(group);
  }
}

TEST(SteerGroup, TheTwoFamiliesOfOneListenerAreTwoGroups) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  Steered both(group_of(":0"), 3);
  GroupAddress address = group_of(":0", Domain::Inet);
  address.port = both.port();
  std::optional<Steered> v4(std::in_place, address, 3U, Sibling::Holds);
  both.attach();
  v4->attach();
  const IpAddress client_v6 = *IpAddress::parse("::1");
  EXPECT_TRUE(arrives(client_v6, both.port(), both.current(both.slot_of(client_v6))));
  for (std::uint32_t n = 0; n < 100; ++n) {
    const IpAddress client = loopback_client(n);
    ASSERT_TRUE(arrives(client, both.port(), v4->current(v4->slot_of(client))));
  }
  expect_exact_indexes(*v4);
  v4.reset();  // the IPv6 sockets take IPv4 clients again
  for (std::uint32_t n = 0; n < 100; ++n) {
    const IpAddress client = loopback_client(n);
    ASSERT_TRUE(arrives(client, both.port(), both.current(both.slot_of(client))));
  }
}

TEST(SteerGroup, AnIpv4AddressIsServedByIpv6Sockets) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  for (const char* text : {"127.0.0.1:0", "0.0.0.0:0"}) {
    Steered mapped(group_of(text, Domain::Inet6), 3);
    mapped.attach();
    GroupAddress address = group_of(text, Domain::Inet);
    address.port = mapped.port();
    for (std::uint32_t n = 0; n < 50; ++n) {
      const IpAddress client = loopback_client(n);
      ASSERT_TRUE(arrives(client, mapped.port(), mapped.current(mapped.slot_of(client)))) << text;
    }
    Steered v4(address, 3, Sibling::Holds);
    v4.attach();
    const IpAddress client = loopback_client(7);
    EXPECT_TRUE(arrives(client, mapped.port(), v4.current(v4.slot_of(client)))) << text;
  }
}

TEST(SteerGroup, SwappingTheProgramUnderLoadLosesNothing) {
  constexpr unsigned kSlots = 4;
  constexpr unsigned kSwaps = 4000 / test::kSlowness;
  constexpr unsigned kSwapsBetweenAccepts = 4;
  Steered group(group_of("127.0.0.1:0"), kSlots);
  // Two programs that agree on nothing: a slot's first socket, or the next slot's second.
  std::array<SteeringTable, 2> tables{};
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    const SlotId home = group.table().home(bucket);
    tables[0][bucket] = group->index(home, Turn::First);
    tables[1][bucket] = group->index(SlotId{(home.value + 1) % kSlots}, Turn::Second);
  }
  const std::array programs{compile_steering(tables[0], kWholeAddress, kKey),
                            compile_steering(tables[1], kWholeAddress, kKey)};
  std::uint32_t connected = 0;
  std::uint32_t failed = 0;
  std::atomic<bool> enough = false;
  ASSERT_TRUE(group->attach(programs[1]));
  std::thread clients([&] {
    while (!enough) {
      UniqueFd client = connect_from(loopback_client(connected + failed), group.port());
      ++(client ? connected : failed);
      refuse_connection(std::move(client));  // with a reset, or tens of thousands would be in TIME_WAIT
    }
  });
  std::uint32_t accepted = 0;
  std::uint32_t misplaced = 0;
  const auto drain = [&] {
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
      for (const Turn turn : {Turn::First, Turn::Second}) {
        while (const auto connection = take(group->accept_from(SlotId{slot}, turn))) {
          ++accepted;
          const unsigned bucket = bucket_of(hash_address(connection->remote.address, kWholeAddress, kKey));
          const std::uint16_t index = group->index(SlotId{slot}, turn);
          if (index != tables[0][bucket] && index != tables[1][bucket]) ++misplaced;
        }
      }
    }
  };
  for (unsigned swap = 0; swap < kSwaps; ++swap) {
    EXPECT_TRUE(group->attach(programs[swap % 2]));
    if (swap % kSwapsBetweenAccepts == 0) drain();
  }
  enough = true;
  clients.join();
  EXPECT_TRUE(test::eventually([&] {
    drain();
    return accepted == connected;
  })) << accepted;
  std::cout << connected << " connections under " << kSwaps << " swaps\n";
  EXPECT_EQ(failed, 0U);
  EXPECT_EQ(misplaced, 0U);
  EXPECT_EQ(accept_queue_length(group->control()), 0U);
  EXPECT_GT(connected, kSwaps / 4) << "too few to mean anything";
}

TEST(SteerGroup, TheQueueOfADeadWorkerIsThereForTheNextAndForUs) {
  constexpr unsigned kQueued = 20;
  constexpr unsigned kTaken = 5;
  Steered group(group_of("127.0.0.1:0"), 3);
  group.attach();
  const SlotId slot{1};
  std::vector<UniqueFd> clients;
  for (unsigned n = 0; n < kQueued; ++n) clients.push_back(connect_from(group.client_of(slot, n), group.port()));
  ASSERT_EQ(group->waiting(slot, Turn::First), kQueued);

  const Pipe pipe = make_pipe();
  const pid_t worker = ::fork();
  if (worker == 0) {
    const BorrowedFd listener = group.current(slot);
    // As blocking servers do; the description is shared.
    (void)::fcntl(listener.get(), F_SETFL, 0);
    for (unsigned n = 0; n < kTaken; ++n) (void)::accept(listener.get(), nullptr, nullptr);
    (void)!::write(pipe.write.get(), "x", 1);
    for (;;) ::pause();
  }
  ASSERT_TRUE(wait_for(pipe.read, POLLIN));
  ::kill(worker, SIGKILL);
  ::waitpid(worker, nullptr, 0);
  for (unsigned n = kTaken; n < kQueued; ++n) EXPECT_TRUE(take(group->accept_from(slot, Turn::First)));
  const auto empty = group->accept_from(slot, Turn::First);  // does not wait, although the worker left it blocking
  ASSERT_TRUE(empty);
  EXPECT_EQ(std::get<AcceptStop>(*empty), AcceptStop::Empty);
}

TEST(SteerGroup, AWorkerThatShutsItsListenerDownCostsNoOtherSlotAnything) {
  Steered group(group_of("127.0.0.1:0"), 3);
  group.attach();
  const SlotId leaving{0};
  const UniqueFd worker = group.worker_copy(leaving);
  const std::uint16_t index = group->index(leaving, Turn::First);
  const std::size_t size = group->size();
  std::vector<UniqueFd> clients;
  for (const SlotId slot : {SlotId{1}, SlotId{2}}) clients.push_back(connect_from(group.client_of(slot), group.port()));

  ASSERT_EQ(::shutdown(worker.get(), SHUT_RDWR), 0);
  // Before anybody has looked: the clients of the slot wait, those of the others are where they belong.
  for (unsigned n = 0; n < 10; ++n) {
    clients.push_back(connect_from(group.client_of(leaving, n), group.port()));
    ASSERT_TRUE(clients.back());
    clients.push_back(connect_from(group.client_of(SlotId{2}, n + 1), group.port()));
  }
  EXPECT_EQ(group->waiting(SlotId{1}, Turn::First), 1U);
  EXPECT_EQ(group->waiting(SlotId{2}, Turn::First), 11U);

  ASSERT_TRUE(run_until(group.loop, [&] { return !group.replaced.empty(); }));
  EXPECT_EQ(group.replaced, (std::vector{std::pair(leaving, Turn::First)}));
  EXPECT_EQ(group.renumbered, 0);
  EXPECT_EQ(group->index(leaving, Turn::First), index);
  EXPECT_EQ(group->size(), size);
  EXPECT_EQ(group->waiting(leaving, Turn::First), 10U);
  for (unsigned n = 0; n < 10; ++n) {
    const auto connection = take(group->accept_from(leaving, Turn::First));
    ASSERT_TRUE(connection);
    EXPECT_EQ(group.slot_of(connection->remote.address), leaving);
  }
  // Whoever still holds the old one cannot come back and take a place.
  EXPECT_EQ(::listen(worker.get(), 8), -1);
  EXPECT_EQ(errno, EADDRINUSE);
  for (const SlotId slot : {SlotId{1}, SlotId{2}}) {
    while (take(group->accept_from(slot, Turn::First))) {
    }
  }
  expect_exact_indexes(group);
}

TEST(SteerGroup, SlotsThatLoseTheirListenersAtOnceGetOthersAndTheConnectionsBetweenAreHandedOver) {
  Steered group(group_of("127.0.0.1:0"), 4);
  group.attach();
  const std::vector<SlotId> leaving{SlotId{0}, SlotId{2}};
  std::vector<UniqueFd> workers;
  for (const SlotId slot : leaving) workers.push_back(group.worker_copy(slot));
  for (const UniqueFd& worker : workers) ASSERT_EQ(::shutdown(worker.get(), SHUT_RDWR), 0);
  std::vector<UniqueFd> clients;
  for (unsigned n = 0; n < 10; ++n) {
    for (const SlotId slot : leaving) {
      clients.push_back(connect_from(group.client_of(slot, n), group.port()));
      ASSERT_TRUE(clients.back());
    }
  }
  EXPECT_EQ(group.waiting(), 0U) << "they wait in spares: nobody else has got them";

  ASSERT_TRUE(run_until(group.loop, [&] { return group.replaced.size() == 2 && group.strays.size() == 20; }));
  EXPECT_EQ(group.renumbered, 1);
  for (const AcceptedConnection& stray : group.strays) {
    const SlotId slot = group.slot_of(stray.remote.address);
    EXPECT_TRUE(slot == leaving[0] || slot == leaving[1]);
  }
  for (std::uint32_t n = 0; n < 200; ++n) {
    const IpAddress client = loopback_client(n);
    ASSERT_TRUE(arrives(client, group.port(), group.current(group.slot_of(client))));
  }
  expect_exact_indexes(group);
}

// Three slots, of which all sockets but the very last member are shut down at once: three spares move into holes, and
// that member too, whose worker has done nothing.
struct MoreShutdownsThanSpares {
  explicit MoreShutdownsThanSpares(Steered& group) {
    for (std::uint32_t seat = 0; seat < 5; ++seat) {
      workers.push_back(group.worker_copy(SlotId{seat / 2}, seat % 2 == 0 ? Turn::First : Turn::Second));
    }
    innocent = group.worker_copy(SlotId{2}, Turn::Second);
    for (const UniqueFd& worker : workers) EXPECT_EQ(::shutdown(worker.get(), SHUT_RDWR), 0);
  }
  std::vector<UniqueFd> workers;
  UniqueFd innocent;
};

TEST(SteerGroup, MoreShutdownsThanSparesLeaveExactIndexes) {
  Steered group(group_of("127.0.0.1:0"), 3);
  const MoreShutdownsThanSpares left(group);
  ASSERT_TRUE(run_until(group.loop, [&] { return group.replaced.size() == 6; }));
  expect_exact_indexes(group);
}

// Whatever happens in whatever order, what the group says of its indexes is true.
TEST(SteerGroup, IndexesStayExactThroughAnyHistory) {
  std::mt19937_64 random(random_seed());
  for (int history = 0; history < 6 / (test::kSlowness > 1 ? 3 : 1); ++history) {
    Steered group(group_of("127.0.0.1:0"), 1 + static_cast<unsigned>(random() % 3));
    std::vector<UniqueFd> old;  // workers keep what they were given
    for (int step = 0; step < 12; ++step) {
      for (std::uint64_t leave = random() % 4; leave > 0; --leave) {
        const SlotId slot{static_cast<std::uint32_t>(random() % group->slots())};
        old.push_back(group.worker_copy(slot, random() % 2 == 0 ? Turn::First : Turn::Second));
        (void)::shutdown(old.back().get(), SHUT_RDWR);
      }
      if (random() % 3 == 0) {
        ASSERT_TRUE(group->grow(group->slots() + static_cast<unsigned>(random() % 3)));
      }
      run_for(group.loop, 2ms);
      for (const UniqueFd& worker : old) ASSERT_EQ(::listen(worker.get(), 8), -1) << "nobody comes back";
      expect_exact_indexes(group);
      if (HasFailure()) return;
    }
  }
}

// The kernel may take a listener out between two that join. Whichever way it went, the answer is right in the end.
TEST(SteerGroup, AWorkerMayLeaveWhileTheGroupGrows) {
  for (int round = 0; round < 40 / test::kSlowness; ++round) {
    Steered group(group_of("127.0.0.1:0"), 2);
    const UniqueFd worker = group.worker_copy(SlotId{1});
    std::atomic<bool> growing = false;
    std::thread leaver([&] {
      while (!growing) {
      }
      for (int i = 0; i < round; ++i) (void)::getppid();  // a little later each time
      (void)::shutdown(worker.get(), SHUT_RDWR);
    });
    growing = true;
    ASSERT_TRUE(group->grow(12));
    leaver.join();
    ASSERT_TRUE(run_until(group.loop, [&] { return !group.replaced.empty(); }));
    expect_exact_indexes(group);
    if (HasFailure()) return;
  }
}

TEST(SteerGroup, GrowingMovesNoIndex) {
  Steered group(group_of("127.0.0.1:0"), 2);
  std::map<std::pair<std::uint32_t, Turn>, std::uint16_t> before;
  for (std::uint32_t slot = 0; slot < 2; ++slot) {
    for (const Turn turn : {Turn::First, Turn::Second}) before[{slot, turn}] = group->index(SlotId{slot}, turn);
  }
  for (const unsigned slots : {3U, 4U, 9U, 9U, 2U}) ASSERT_TRUE(group->grow(slots));
  EXPECT_EQ(group->slots(), 9U);
  for (const auto& [seat, index] : before) EXPECT_EQ(group->index(SlotId{seat.first}, seat.second), index);
  EXPECT_EQ(group->size(), 1U + 9 * 3) << "control, two members and a spare for each slot";
  expect_exact_indexes(group);
}

TEST(SteerGroup, ASlotForWhichNoDescriptorIsFreeIsSteeredToTheControlSocketUntilItIsTriedAgain) {
  Steered group(group_of("127.0.0.1:0"), 3);
  group.set_turn(SlotId{2}, Turn::Second);
  group.attach();
  const MoreShutdownsThanSpares left(group);
  {
    const FewDescriptors none(0);  // five are given back, six are needed
    ASSERT_TRUE(run_until(group.loop, [&] { return group.replaced.size() == 6; }));
  }
  EXPECT_FALSE(group->member(SlotId{2}, Turn::Second));
  EXPECT_EQ(group->index(SlotId{2}, Turn::Second), 0U);
  EXPECT_TRUE(arrives(group.client_of(SlotId{2}), group.port(), group->control()));
  EXPECT_TRUE(arrives(group.client_of(SlotId{0}), group.port(), group.current(SlotId{0})));

  ASSERT_TRUE(group->grow(group->slots()));
  group.attach();
  EXPECT_TRUE(arrives(group.client_of(SlotId{2}), group.port(), group.current(SlotId{2})));
  expect_exact_indexes(group);
}

TEST(SteerGroup, AWorkerCannotChangeTheProgramThroughItsSocket) {
  Steered group(group_of("127.0.0.1:0"), 2);
  const Outcome changed = attach_program(group.current(SlotId{0}), constant_program(1));
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, std::errc::operation_not_permitted);
  EXPECT_TRUE(group->attach(constant_program(2)));
}

TEST(SteerGroup, SteersDatagramsAsTheTableSays) {
  Steered group(group_of("udp://127.0.0.1:0"), 5);
  const IpAddress early = loopback_client(0);
  ASSERT_EQ(::send(connect_from(early, group.port(), SOCK_DGRAM).get(), "x", 1, 0), 1);
  ASSERT_TRUE(run_until(group.loop, [&] { return group->stray_datagrams() == 1; }));
  group.set_turn(SlotId{2}, Turn::Second);
  group.attach();
  for (std::uint32_t n = 0; n < 2000; ++n) {
    const IpAddress client = loopback_client(n);
    const SlotId slot = group.slot_of(client);
    const Turn turn = slot == SlotId{2} ? Turn::Second : Turn::First;
    ASSERT_EQ(::send(connect_from(client, group.port(), SOCK_DGRAM).get(), "x", 1, 0), 1);
    ASSERT_TRUE(wait_for(group.current(slot), POLLIN)) << client.text();
    ASSERT_GT(group->waiting(slot, turn), 0U);
    ASSERT_EQ(discard_datagrams(group.current(slot)), 1U) << client.text();
    ASSERT_EQ(group->waiting(slot, turn), 0U);
  }
  EXPECT_EQ(group->stray_datagrams(), 1U);
  EXPECT_EQ(group->size(), 1U + 5 * 2);
}

TEST(SteerGroup, TheDatagramsOfADeadWorkerWaitForTheNext) {
  Steered group(group_of("udp://127.0.0.1:0"), 2);
  group.attach();
  const SlotId slot{1};
  for (unsigned n = 0; n < 20; ++n) {
    (void)::send(connect_from(group.client_of(slot, n), group.port(), SOCK_DGRAM).get(), "x", 1, 0);
  }
  { const UniqueFd worker = group.worker_copy(slot); }
  EXPECT_EQ(discard_datagrams(group.current(slot)), 20U);
}

TEST(SteerGroup, ADualStackGroupSteersDatagramsOfBothFamilies) {
  const test::NetworkNamespace network;
  if (!network.missing().empty()) GTEST_SKIP() << "no network of our own: " << network.missing();
  Steered group(group_of("udp://:0"), 3);
  group.attach();
  std::vector<IpAddress> clients;
  for (const std::string& source : test::ipv6_sources(200)) clients.push_back(*IpAddress::parse(source));
  for (std::uint32_t n = 0; n < 200; ++n) clients.push_back(loopback_client(n));
  for (const IpAddress& client : clients) {
    ASSERT_EQ(::send(connect_from(client, group.port(), SOCK_DGRAM).get(), "x", 1, 0), 1);
    ASSERT_TRUE(wait_for(group.current(group.slot_of(client)), POLLIN)) << client.text();
    ASSERT_EQ(discard_datagrams(group.current(group.slot_of(client))), 1U);
  }
}

// The room that kernels before 6.8 give a program.
TEST(SteerGroup, TheWorstTableFitsTheRoomOfOldKernels) {
  const test::NetworkNamespace network;
  if (!network.missing().empty()) GTEST_SKIP() << "no network of our own: " << network.missing();
  const auto set_room = [](const char* bytes) {
    const UniqueFd file(::open("/proc/sys/net/core/optmem_max", O_WRONLY | O_CLOEXEC));
    return file && ::write(file.get(), bytes, std::strlen(bytes)) > 0;
  };
  if (!set_room("20480")) GTEST_SKIP() << "net.core.optmem_max cannot be set for a network of our own";
  Steered group(group_of("127.0.0.1:0"), 4);
  SteeringTable worst{};
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) worst[bucket] = static_cast<std::uint16_t>(bucket);
  EXPECT_TRUE(group->attach(compile_steering(worst, kWholeAddress, kKey)));

  ASSERT_TRUE(set_room("9000"));
  const Outcome refused = group->attach(compile_steering(worst, kWholeAddress, kKey));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, std::errc::not_enough_memory);
  EXPECT_TRUE(group->attach(compile_steering(coarsen(worst, 128), kWholeAddress, kKey)));
}

TEST(SteerGroup, TellsWhatAnAttachCosts) {
  Steered group(group_of("127.0.0.1:0"), 4);
  SteeringTable worst{};
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) worst[bucket] = static_cast<std::uint16_t>(bucket % 9);
  constexpr int kTimes = 100;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kTimes; ++i) {
    worst[0] = static_cast<std::uint16_t>(i % 2);
    ASSERT_TRUE(group->attach(compile_steering(worst, kWholeAddress, kKey)));
  }
  const auto each = (std::chrono::steady_clock::now() - begin) / kTimes;
  std::cout << "compile and attach 512 buckets: " << std::chrono::duration_cast<std::chrono::microseconds>(each).count()
            << " us\n";
}

TEST(SteerGroup, TellsThatSomethingWaitsOnlyWhereItIsWatched) {
  Steered group(group_of("127.0.0.1:0"), 1);
  ASSERT_TRUE(group->attach(constant_program(group->index(SlotId{0}, Turn::First))));
  const UniqueFd client = connect_from(loopback_client(1), group.port());
  ASSERT_TRUE(wait_for(*group->member(SlotId{0}, Turn::First), POLLIN));
  run_for(group.loop, std::chrono::milliseconds(20));
  EXPECT_TRUE(group.heard_waiting.empty());
  group->watch_waiting(SlotId{0}, Turn::First, true);
  ASSERT_TRUE(run_until(group.loop, [&] { return !group.heard_waiting.empty(); }));
  EXPECT_EQ(group.heard_waiting.front(), std::make_pair(SlotId{0}, Turn::First));
}

}  // namespace
}  // namespace holdfast
