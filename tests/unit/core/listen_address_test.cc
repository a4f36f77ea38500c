#include "core/listen_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using Family = TcpAddress::Family;

IpAddress ip(std::string_view text) {
  const std::optional<IpAddress> address = IpAddress::parse(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(IpAddress());
}

ListenAddress parsed(std::string_view text) {
  const Result<ListenAddress> address = parse_listen_address(text);
  EXPECT_TRUE(address.has_value()) << address.error().message();
  return address ? *address : ListenAddress{UnixAddress{"refused"}};
}

std::string refusal(std::string_view text) {
  const Result<ListenAddress> address = parse_listen_address(text);
  EXPECT_FALSE(address.has_value()) << text;
  return address ? "accepted" : address.error().message();
}

TEST(ListenAddress, APortAloneMeansBothFamilies) {
  EXPECT_EQ(parsed(":8080"), ListenAddress(TcpAddress{Family::DualStack, IpAddress(), 8080}));
}

TEST(ListenAddress, ReadsIpv4) {
  EXPECT_EQ(parsed("127.0.0.1:8080"), ListenAddress(TcpAddress{Family::V4, ip("127.0.0.1"), 8080}));
  EXPECT_EQ(parsed("0.0.0.0:0"), ListenAddress(TcpAddress{Family::V4, IpAddress(), 0}));
}

TEST(ListenAddress, ReadsIpv6InBrackets) {
  EXPECT_EQ(parsed("[::1]:8080"), ListenAddress(TcpAddress{Family::V6, ip("::1"), 8080}));
  EXPECT_EQ(parsed("[::]:65535"), ListenAddress(TcpAddress{Family::V6, ip("::"), 65535}));
}

TEST(ListenAddress, AMappedAddressIsIpv4) {
  EXPECT_EQ(parsed("[::ffff:127.0.0.1]:80"), ListenAddress(TcpAddress{Family::V4, ip("127.0.0.1"), 80}));
}

TEST(ListenAddress, ReadsUnixPathsAndAbstractNames) {
  EXPECT_EQ(parsed("unix:/run/x.sock"), ListenAddress(UnixAddress{"/run/x.sock"}));
  EXPECT_EQ(parsed("unix:x.sock"), ListenAddress(UnixAddress{"x.sock"}));
  EXPECT_EQ(parsed("unix:@name"), ListenAddress(UnixAddress{"@name"}));
  EXPECT_EQ(parsed("unix:/odd:name]"), ListenAddress(UnixAddress{"/odd:name]"}));
}

UnixAddress unix_address(std::string_view text) {
  const ListenAddress address = parsed(text);
  return std::holds_alternative<UnixAddress>(address) ? std::get<UnixAddress>(address) : UnixAddress{};
}

TEST(ListenAddress, ReadsTheModeAndTheOwnerOfAUnixPath) {
  EXPECT_EQ(unix_address("unix:/x").file.mode, std::nullopt);
  EXPECT_EQ(unix_address("unix:/x,mode=660").file.mode, 0660U);
  EXPECT_EQ(unix_address("unix:/x,mode=0600").file.mode, 0600U);
  EXPECT_EQ(unix_address("unix:/x,mode=777").file.mode, 0777U);
  EXPECT_EQ(unix_address("unix:/x,mode=0").file.mode, 0U);
  const UnixAddress all = unix_address("unix:/x.sock,group=www,user=33,mode=0660");
  EXPECT_EQ(all, (UnixAddress{"/x.sock", {0660, "33", "www"}}));
  EXPECT_EQ(to_text(all), "unix:/x.sock");
}

TEST(ListenAddress, ACommaThatNoWordFollowsBelongsToThePath) {
  for (const std::string path : {"/a,b", "/a,", "/a,,b", "/a,=b", "/a,MODE=b", "/a,b,c/d=e", "/mode=660"}) {
    EXPECT_EQ(unix_address("unix:" + path), UnixAddress{path}) << path;
  }
  EXPECT_EQ(unix_address("unix:/a,b,mode=600"), (UnixAddress{"/a,b", {0600, "", ""}}));
}

TEST(ListenAddress, RefusesAModeOrAnOwnerThatIsNone) {
  for (const char* mode : {"", "8", "0888", "1777", "rw", "-1", "66 0", "0o660", "660x"})
    EXPECT_THAT(refusal("unix:/x,mode=" + std::string(mode)), HasSubstr("write for instance mode=0660")) << mode;
  EXPECT_THAT(refusal("unix:/x,user="), HasSubstr("the user is empty"));
  EXPECT_THAT(refusal("unix:/x,mode=600,group="), HasSubstr("the group is empty"));
  EXPECT_THAT(refusal("unix:/x,moed=660"), HasSubstr("mode=, user= and group=, not 'moed=660'"));
  EXPECT_THAT(refusal("unix:/x,mode=660,"), HasSubstr("not ''"));
  EXPECT_THAT(refusal("unix:,mode=660"), HasSubstr("the path is empty"));
  EXPECT_THAT(refusal("unix:@x,mode=660"), HasSubstr("has no file"));
}

TEST(ListenAddress, ReadsUdp) {
  EXPECT_EQ(parsed("udp://:5353"), ListenAddress(UdpAddress{Family::DualStack, IpAddress(), 5353}));
  EXPECT_EQ(parsed("udp://127.0.0.1:53"), ListenAddress(UdpAddress{Family::V4, ip("127.0.0.1"), 53}));
  EXPECT_EQ(parsed("udp://[::1]:53"), ListenAddress(UdpAddress{Family::V6, ip("::1"), 53}));
  EXPECT_NE(parsed("udp://:53"), parsed(":53"));
}

TEST(ListenAddress, ShowsTheFormOfUdpThatIsRight) {
  EXPECT_THAT(refusal("udp:5353"), HasSubstr("a UDP address begins with udp://; write for instance udp://:5353"));
  EXPECT_THAT(refusal("udp://5353"), HasSubstr("write udp://:5353"));
  EXPECT_THAT(refusal("udp://"), HasSubstr("there is no port; write for instance udp://127.0.0.1:8080"));
  EXPECT_THAT(refusal("udp://[::1]"), HasSubstr("write for instance udp://[::1]:8080"));
  EXPECT_THAT(refusal("udp://::1:53"), HasSubstr("write for instance udp://[::1]:8080"));
  EXPECT_THAT(refusal("udp://localhost:53"), HasSubstr("write for instance udp://127.0.0.1:53, or udp://:53 for"));
  EXPECT_THAT(refusal("udp://[fe80::1%eth0]:53"), HasSubstr("for instance udp://[fd00::1]:53"));
  EXPECT_THAT(refusal("udp://:99999"), HasSubstr("the port is not a number from 0 to 65535"));
  EXPECT_THAT(refusal("udp://unix:/x"), HasSubstr("the port is not a number"));
}

TEST(ListenAddress, TakesTheLongestUnixPathThatTheKernelTakes) {
  EXPECT_EQ(parsed("unix:/" + std::string(106, 'x')), ListenAddress(UnixAddress{"/" + std::string(106, 'x')}));
  EXPECT_THAT(refusal("unix:/" + std::string(107, 'x')), HasSubstr("longer than the 107 bytes"));
  EXPECT_EQ(parsed("unix:@" + std::string(107, 'x')), ListenAddress(UnixAddress{"@" + std::string(107, 'x')}));
  EXPECT_THAT(refusal("unix:@" + std::string(108, 'x')), HasSubstr("longer than the 107 bytes"));
}

TEST(ListenAddress, WritesTheTextThatItReads) {
  for (const char* text : {":8080", ":0", "127.0.0.1:8080", "0.0.0.0:1", "[::1]:8080", "[::]:80", "[2001:db8::1]:65535",
                           "unix:/run/x.sock", "unix:@name", "udp://:53", "udp://10.0.0.1:53", "udp://[::]:53"}) {
    EXPECT_EQ(to_text(parsed(text)), text);
  }
}

TEST(ListenAddress, ARefusalQuotesTheTextAndShowsAFormThatIsRight) {
  EXPECT_EQ(refusal("8080"), "listen address '8080': a port stands after a colon; write :8080");
  EXPECT_THAT(refusal(""), HasSubstr("write for instance :8080"));
  EXPECT_THAT(refusal("127.0.0.1"), HasSubstr("there is no port; write for instance 127.0.0.1:8080"));
  EXPECT_THAT(refusal("[::1]"), HasSubstr("there is no port; write for instance [::1]:8080"));
  EXPECT_THAT(refusal("localhost"), HasSubstr("there is no port; write for instance 127.0.0.1:8080"));
  EXPECT_THAT(
      refusal("localhost:8080"),
      HasSubstr("'localhost' is not an IP address (names are not looked up); write for instance 127.0.0.1:8080"));
  EXPECT_THAT(refusal("*:8080"), HasSubstr("or :8080 for every address"));
  EXPECT_THAT(refusal("[fe80::1%eth0]:80"), HasSubstr("a zone"));
  EXPECT_THAT(refusal("[127.0.0.1]:80"), HasSubstr("brackets are for IPv6; write 127.0.0.1:80"));
  EXPECT_THAT(refusal("/run/x.sock"), HasSubstr("write unix:/run/x.sock"));
  EXPECT_THAT(refusal("unix:"), HasSubstr("the path is empty"));
  EXPECT_THAT(refusal("unix:@"), HasSubstr("the path is empty"));
  EXPECT_THAT(refusal(std::string_view("unix:/a\0b", 9)), HasSubstr("zero byte"));
}

TEST(ListenAddress, AsksForBracketsAroundIpv6) {
  for (const char* text : {"::1:8080", "::", "::1", "2001:db8::1", "fe80::abcd", "::ffff:127.0.0.1:80"}) {
    EXPECT_THAT(refusal(text), HasSubstr("stands in brackets before its port; write for instance [::1]:8080")) << text;
  }
}

TEST(ListenAddress, RefusesWhatIsNoPort) {
  for (const char* text : {":", ":65536", ":-1", ":+1", ":80x", ": 80", ":http", "127.0.0.1:", "[::1]:", "[::1]:99999",
                           ":99999999999999999999"}) {
    EXPECT_THAT(refusal(text), HasSubstr("the port is not a number from 0 to 65535")) << text;
  }
}

TEST(ListenAddress, RefusesWhatIsNoHost) {
  for (const char* text : {"[]:80", "[::1:80", "::1]:80", "[::g]:80", "1.2.3:80", "1.2.3.4.5:80", "[::1]x:80",
                           "256.0.0.1:80", "127.0.0.01:80"}) {
    EXPECT_NE(refusal(text), "accepted") << text;
  }
}

bool in_the_way(std::string_view one, std::string_view other) {
  const bool answer = in_each_others_way(parsed(one), parsed(other));
  EXPECT_EQ(in_each_others_way(parsed(other), parsed(one)), answer) << one << " " << other;
  return answer;
}

TEST(ListenAddress, OfTwoOnOnePortOneIsInTheWayIfItIsOrCoversTheOther) {
  EXPECT_TRUE(in_the_way("127.0.0.1:80", "127.0.0.1:80"));
  EXPECT_TRUE(in_the_way("127.0.0.1:80", "0.0.0.0:80"));
  EXPECT_TRUE(in_the_way("127.0.0.1:80", ":80"));
  EXPECT_TRUE(in_the_way("[::1]:80", ":80"));
  EXPECT_TRUE(in_the_way("[::1]:80", "[::]:80"));
  EXPECT_TRUE(in_the_way("0.0.0.0:80", ":80"));
  EXPECT_TRUE(in_the_way("[::]:80", ":80"));
  EXPECT_TRUE(in_the_way(":80", ":80"));
  EXPECT_FALSE(in_the_way("127.0.0.1:80", "127.0.0.2:80"));
  EXPECT_FALSE(in_the_way("127.0.0.1:80", "127.0.0.1:81"));
  EXPECT_FALSE(in_the_way("0.0.0.0:80", "[::]:80"));
  EXPECT_FALSE(in_the_way("127.0.0.1:80", "[::]:80"));
  EXPECT_FALSE(in_the_way("127.0.0.1:0", "127.0.0.1:0"));
  EXPECT_FALSE(in_the_way(":0", "127.0.0.1:0"));
}

TEST(ListenAddress, TheSamePathIsInItsOwnWay) {
  EXPECT_TRUE(in_the_way("unix:/x", "unix:/x,mode=600"));
  EXPECT_TRUE(in_the_way("unix:@x", "unix:@x"));
  EXPECT_FALSE(in_the_way("unix:/x", "unix:/y"));
  EXPECT_FALSE(in_the_way("unix:@x", ":80"));
}

TEST(ListenAddress, ReadsTheNamesOfActivatedSockets) {
  EXPECT_EQ(parsed("systemd:web"), ListenAddress(ActivatedAddress{"web"}));
  EXPECT_EQ(parsed("systemd:holdfast@web.socket"), ListenAddress(ActivatedAddress{"holdfast@web.socket"}));
  EXPECT_EQ(to_text(parsed("systemd:web")), "systemd:web");
  EXPECT_THAT(refusal("systemd:"), HasSubstr("the name is empty"));
  for (const std::string name : {"a b", "a:b", "a\n", "\xc3\xa4"}) {
    EXPECT_THAT(refusal("systemd:" + name), HasSubstr("FileDescriptorName=")) << name;
  }
  EXPECT_THAT(refusal("systemd:" + std::string(256, 'a')), HasSubstr("FileDescriptorName="));
}

TEST(ListenAddress, ANameIsInTheWayOfItself) {
  EXPECT_TRUE(in_each_others_way(parsed("systemd:web"), parsed("systemd:web")));
  EXPECT_FALSE(in_each_others_way(parsed("systemd:web"), parsed("systemd:api")));
  EXPECT_FALSE(in_each_others_way(parsed("systemd:web"), parsed(":8080")));
}

TEST(ListenAddress, UdpPortsAreInEachOthersWayLikeThoseOfTcp) {
  EXPECT_TRUE(in_each_others_way(parsed("udp://:5353"), parsed("udp://127.0.0.1:5353")));
  EXPECT_FALSE(in_each_others_way(parsed("udp://:5353"), parsed("udp://:5354")));
  EXPECT_FALSE(in_each_others_way(parsed("udp://:5353"), parsed(":5353")));
}

}  // namespace
}  // namespace holdfast
