#include "core/forwarded_for.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace holdfast {
namespace {

IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }

const CidrSet kTrusted({*parse_cidr("10.0.0.0/8"), *parse_cidr("2001:db8:ffff::/48")});

// What the fields say of the client when 10.0.0.1 sends them; "-": nothing.
std::string client(std::vector<HttpField> fields, ForwardedField which = ForwardedField::XForwardedFor,
                   std::string_view peer = "10.0.0.1") {
  const HttpRequest request{"GET", "/", 1, std::move(fields)};
  const std::optional<IpAddress> address = forwarded_for(request, which, kTrusted, ip(peer));
  return address ? address->text() : "-";
}
std::string x(std::string_view value) { return client({{"x-forwarded-for", value}}); }
std::string forwarded(std::string_view value) { return client({{"Forwarded", value}}, ForwardedField::Forwarded); }

TEST(ForwardedFor, IsTheFirstFromTheRightThatIsNoTrustedProxy) {
  EXPECT_EQ(x("203.0.113.7"), "203.0.113.7");
  EXPECT_EQ(x("198.51.100.1, 203.0.113.7"), "203.0.113.7") << "what stands left of it the client wrote";
  EXPECT_EQ(x("203.0.113.7, 10.0.0.3,10.0.0.2"), "203.0.113.7");
  EXPECT_EQ(x("garbage, 203.0.113.7 , 10.0.0.2"), "203.0.113.7");
}

TEST(ForwardedFor, IsTheLeftmostIfAllAreTrusted) { EXPECT_EQ(x("10.0.0.3, 10.0.0.2"), "10.0.0.3"); }

TEST(ForwardedFor, IsNothingFromASenderThatIsNotTrusted) {
  EXPECT_EQ(client({{"X-Forwarded-For", "203.0.113.7"}}, ForwardedField::XForwardedFor, "198.51.100.1"), "-");
}

TEST(ForwardedFor, IsNothingWhereATrustedProxyWroteNoAddress) {
  EXPECT_EQ(x("203.0.113.7, unknown"), "-");
  EXPECT_EQ(x("203.0.113.7, unknown, 10.0.0.2"), "-");
  EXPECT_EQ(x("203.0.113.7, 10.0.0.256"), "-");
  EXPECT_EQ(x(""), "-");
  EXPECT_EQ(x(" , "), "-");
  EXPECT_EQ(client({}), "-");
}

TEST(ForwardedFor, TakesAddressesWithAndWithoutPort) {
  EXPECT_EQ(x("203.0.113.7:4711"), "203.0.113.7");
  EXPECT_EQ(x("2001:db8::7"), "2001:db8::7");
  EXPECT_EQ(x("[2001:db8::7]"), "2001:db8::7");
  EXPECT_EQ(x("[2001:db8::7]:4711"), "2001:db8::7");
  EXPECT_EQ(x("::ffff:203.0.113.7"), "203.0.113.7");
  for (const char* const bad : {"[2001:db8::7", "[203.0.113.7]", "[2001:db8::7]x", "203.0.113.7:80:80", ":80"}) {
    EXPECT_EQ(x(bad), "-") << bad;
  }
}

TEST(ForwardedFor, SeveralFieldsAreOneList) {
  EXPECT_EQ(
      client({{"X-Forwarded-For", "198.51.100.1, 203.0.113.7"}, {"Other", "1.1.1.1"}, {"X-FORWARDED-FOR", "10.0.0.2"}}),
      "203.0.113.7");
}

TEST(ForwardedFor, ReadsOneFieldAndNotTheOther) {
  EXPECT_EQ(client({{"Forwarded", "for=203.0.113.7"}}), "-");
  EXPECT_EQ(client({{"X-Forwarded-For", "203.0.113.7"}}, ForwardedField::Forwarded), "-");
}

TEST(Forwarded, ReadsItsElements) {
  EXPECT_EQ(forwarded("for=203.0.113.7;proto=http;by=10.0.0.9"), "203.0.113.7");
  EXPECT_EQ(forwarded("proto=https; For=\"[2001:db8::7]:4711\""), "2001:db8::7");
  EXPECT_EQ(forwarded("for=198.51.100.1, for=203.0.113.7, for=10.0.0.2"), "203.0.113.7");
  EXPECT_EQ(forwarded("for=203.0.113.7, for=\"[2001:db8:ffff::1]\";by=x"), "203.0.113.7");
  EXPECT_EQ(forwarded("for=\"203.0.113\\.7\""), "203.0.113.7") << "a quoted pair";
  EXPECT_EQ(forwarded("for=203.0.113.7;by=\"a,b;for=1.2.3.4\""), "203.0.113.7") << "separators inside quotes";
}

TEST(Forwarded, IsNothingWhereATrustedProxyHidesItsClient) {
  EXPECT_EQ(forwarded("for=203.0.113.7, for=unknown"), "-");
  EXPECT_EQ(forwarded("for=203.0.113.7, for=_hidden"), "-");
  EXPECT_EQ(forwarded("for=203.0.113.7, proto=http"), "-");
  EXPECT_EQ(forwarded("for=\"203.0.113.7"), "-") << "an open quote";
  EXPECT_EQ(forwarded("for=\"\\"), "-");
}

}  // namespace
}  // namespace holdfast
