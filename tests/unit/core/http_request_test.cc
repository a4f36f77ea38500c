#include "core/http_request.h"

#include <optional>
#include <string>

#include <gmock/gmock.h>

#include "core/text.h"

namespace holdfast {
namespace {

using testing::Optional;

HttpRequest with(std::vector<HttpField> fields, std::string_view target = "/") {
  return {"GET", target, 1, std::move(fields)};
}

TEST(HttpRequest, FindsAFieldWithoutRegardToCase) {
  const HttpRequest request = with({{"X-Client", ""}, {"x-client", "second"}, {"X-CLIENT", "third"}});
  EXPECT_THAT(field_value(request, "X-Client"), Optional(std::string_view("second"))) << "an empty one is absent";
  EXPECT_EQ(field_value(request, "X-Clien"), std::nullopt);
}

TEST(HttpRequest, HostIsComparableText) {
  EXPECT_EQ(host_of(with({{"Host", "Example.COM"}})), "example.com");
  EXPECT_EQ(host_of(with({{"host", "example.com:8080"}})), "example.com");
  EXPECT_EQ(host_of(with({{"Host", "example.com."}})), "example.com");
  EXPECT_EQ(host_of(with({{"Host", "[2001:DB8::1]:80"}})), "[2001:db8::1]");
  EXPECT_EQ(host_of(with({{"Host", "[::1]"}})), "[::1]");
  EXPECT_EQ(host_of(with({{"Host", "[::1"}})), std::nullopt);
  EXPECT_EQ(host_of(with({{"Host", ""}})), std::nullopt);
  EXPECT_EQ(host_of(with({})), std::nullopt);
}

TEST(HttpRequest, TheTargetsHostOverrulesTheField) {
  EXPECT_EQ(host_of(with({{"Host", "other.example"}}, "http://user@Example.com:80/x")), "example.com");
  EXPECT_EQ(host_of(with({{"Host", "other.example"}}, "example.com:443")), "example.com") << "CONNECT";
  EXPECT_EQ(host_of(with({{"Host", "example.com"}}, "*")), "example.com");
}

// Two programs that each take another one of them would route one request to two places.
TEST(HttpRequest, TwoHostFieldsAreNone) {
  EXPECT_EQ(host_of(with({{"Host", "a.example"}, {"Host", "a.example"}})), std::nullopt);
}

// What HAProxy 2.6.12 answers for `hdr(upgrade) -i websocket`.
TEST(HttpRequest, AWebSocketIsAskedForByUpgrade) {
  EXPECT_TRUE(is_websocket(with({{"Upgrade", "WebSocket"}, {"Connection", "keep-alive, Upgrade"}})));
  EXPECT_TRUE(is_websocket(with({{"Upgrade", "h2c"}, {"upgrade", "x , websocket"}, {"connection", "upgrade"}})));
  EXPECT_TRUE(is_websocket(with({{"Upgrade", "websocket"}})));
  EXPECT_TRUE(is_websocket(with({{"Upgrade", "h2c, WebSocket"}, {"Connection", "close"}})));
  EXPECT_FALSE(is_websocket(with({{"Connection", "upgrade"}})));
  EXPECT_FALSE(is_websocket(with({{"Upgrade", "websockets"}, {"Connection", "upgrade"}})));
}

TEST(HttpRequest, FindsACookie) {
  const HttpRequest request = with({{"Cookie", "a=1; sid=abc ;b=; q=\"x y\""}, {"cookie", "sid=late; c = 3"}});
  EXPECT_EQ(cookie(request, "sid"), "abc");
  EXPECT_EQ(cookie(request, "a"), "1");
  EXPECT_EQ(cookie(request, "b"), "");
  EXPECT_EQ(cookie(request, "q"), "x y");
  EXPECT_EQ(cookie(request, "c"), "3");
  EXPECT_EQ(cookie(request, "SID"), std::nullopt) << "names of cookies have case";
  EXPECT_EQ(cookie(with({{"Cookie", "sid; x=sid=1"}}), "sid"), std::nullopt);
  EXPECT_EQ(cookie(with({{"Cookie", "x=sid=1"}}), "x"), "sid=1");
  EXPECT_EQ(cookie(with({{"Cookie", "x=%41\""}}), "x"), "%41\"") << "nothing is decoded";
}

TEST(HttpRequest, DecodesPercentOnceAndLeavesTheRest) {
  EXPECT_EQ(percent_decoded("a%20b%2Fc%2fd"), "a b/c/d");
  EXPECT_EQ(percent_decoded("%2541"), "%41") << "once";
  EXPECT_EQ(percent_decoded("%"), "%");
  EXPECT_EQ(percent_decoded("%4"), "%4");
  EXPECT_EQ(percent_decoded("%4g%g4%%41"), "%4g%g4%A");
  EXPECT_EQ(percent_decoded("%00"), std::string(1, '\0'));
  EXPECT_EQ(percent_decoded("a+b"), "a+b");
  EXPECT_EQ(percent_decoded("a+b%2B", Plus::IsSpace), "a b+");
}

TEST(HttpRequest, ThePathEndsBeforeQueryAndFragment) {
  EXPECT_EQ(path_of("/a/b?c/d"), "/a/b");
  EXPECT_EQ(path_of("/a#b?c"), "/a");
  EXPECT_EQ(path_of("http://example.com/a?b"), "/a");
  EXPECT_EQ(path_of("http://example.com?b"), "");
  EXPECT_EQ(path_of("*"), "*");
  EXPECT_EQ(path_of("example.com:443"), "");
  EXPECT_EQ(path_of(""), "");
}

TEST(HttpRequest, SegmentsAreSplitFirstAndDecodedThen) {
  EXPECT_EQ(path_segment("/room/a%2Fb/c", 2), "a/b");
  EXPECT_EQ(path_segment("//room///x", 2), "x") << "empty segments are not counted";
  EXPECT_EQ(path_segment("/room/+", 2), "+");
  EXPECT_EQ(path_segment("/room?x/y", 2), std::nullopt);
  EXPECT_EQ(path_segment("http://h/room", 1), "room");
  EXPECT_EQ(path_segment("/..", 1), "..");
  EXPECT_EQ(path_segment("/", 1), std::nullopt);
  EXPECT_EQ(path_segment("", 1), std::nullopt);
}

TEST(HttpRequest, FindsAQueryParameter) {
  constexpr std::string_view kTarget = "/socket.io/?EIO=4&sid=a%20b+c&sid=late&empty=&flag#sid=no";
  EXPECT_EQ(query_parameter(kTarget, "sid"), "a b c");
  EXPECT_EQ(query_parameter(kTarget, "EIO"), "4");
  EXPECT_EQ(query_parameter(kTarget, "empty"), "");
  EXPECT_EQ(query_parameter(kTarget, "flag"), "");
  EXPECT_EQ(query_parameter(kTarget, "eio"), std::nullopt);
  EXPECT_EQ(query_parameter("/?s%69d=1", "sid"), "1") << "the name is decoded too";
  EXPECT_EQ(query_parameter("/?a=1?sid=2&x=y=z", "x"), "y=z");
  EXPECT_EQ(query_parameter("/sid=1", "sid"), std::nullopt);
  EXPECT_EQ(query_parameter("http://h?sid=1", "sid"), "1");
  EXPECT_EQ(query_parameter("/?&&=x&sid=1", "sid"), "1");
}

TEST(Text, KnowsAsciiOnly) {
  EXPECT_EQ(lower_case("AbZ\xc4@["), "abz\xc4@[");
  EXPECT_TRUE(equal_ignoring_case("Host", "hOST"));
  EXPECT_FALSE(equal_ignoring_case("Host", "Hos"));
  EXPECT_EQ(trimmed(" \ta b\t "), "a b");
  EXPECT_EQ(trimmed(" \t"), "");
}

}  // namespace
}  // namespace holdfast
