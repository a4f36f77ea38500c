// One channel of the bus, whose worker reads nothing.
#include "bus/bus_port.h"

#include <gtest/gtest.h>

#include "loop/loop.h"
#include "wire/bus_frames.h"

namespace holdfast {
namespace {

// Keeps the other end, too.
struct Port {
  explicit Port(std::size_t limit) : channel(make()) {
    port.emplace(loop, std::move(channel.supervisor_end), BusQueue<BusRun>::Limit{limit, BusFull::DropOldest},
                 BusPort::Hooks{[] { return true; }, [](auto) {}, [](auto) {}, [] {}, [](auto) {}, [](auto) {}});
  }
  static ChannelPair make() {
    Result<ChannelPair> made = make_channel(0);
    EXPECT_TRUE(made);
    return *std::move(made);
  }
  void fill() {
    for (int i = 0; i < 1000 && port->queue().empty(); i++) {
      push_frame_of(1);
      port->flush();
    }
    EXPECT_FALSE(port->queue().empty());
  }
  // Forwards the first of so many messages that came in a frame; answers who keeps the whole frame.
  std::weak_ptr<const BusBatch> push_frame_of(int messages) {
    const std::vector<std::byte> record =
        encode_bus_record({HF_BUS_PUBLISH, "a", "", std::string(static_cast<std::size_t>(50000 / messages), 'x')}, {});
    std::vector<std::byte> frame;
    for (int i = 0; i < messages; i++) frame.insert(frame.end(), record.begin(), record.end());
    BusRun run = run_of(frame);
    run.length = record.size();
    std::weak_ptr<const BusBatch> batch = run.batch;
    EXPECT_TRUE(port->push(std::move(run)));
    return batch;
  }

  Loop loop;
  ChannelPair channel;
  std::optional<BusPort> port;
};

TEST(BusPort, ASmallPartOfAFrameDoesNotKeepTheFrameWhileItWaits) {
  Port port(8 << 20);
  port.fill();
  EXPECT_FALSE(port.push_frame_of(1).expired()) << "what is most of it is not copied";
  EXPECT_TRUE(port.push_frame_of(100).expired());
}

TEST(BusPort, ThatIsSoForWhatCameBeforeItHadToWait) {
  Port port(8 << 20);
  std::weak_ptr<const BusBatch> whole;
  std::weak_ptr<const BusBatch> part;
  for (int i = 0; i < 50; i++) {
    whole = port.push_frame_of(1);
    part = port.push_frame_of(100);
  }
  EXPECT_FALSE(part.expired());
  port.port->flush();
  ASSERT_FALSE(port.port->queue().empty()) << "the test must fill the channel";
  EXPECT_TRUE(part.expired());
  EXPECT_FALSE(whole.expired());
}

TEST(BusPort, ManySmallRunsCountForWhatTheyTake) {
  Port port(64 << 10);
  port.fill();
  for (int i = 0; i < 2000; i++) (void)port.push_frame_of(300);
  EXPECT_LT(port.port->queue().messages(), 200u);
}

}  // namespace
}  // namespace holdfast
