#include "wire/http_head.h"

#include <string>
#include <string_view>
#include <variant>

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using namespace std::string_literals;

HttpLook look_once(std::string_view bytes) { return HttpHeadSearch().look(bytes); }

testing::Matcher<const HttpLook&> is_refused(HttpFault fault) { return testing::VariantWith<HttpFault>(fault); }
testing::Matcher<const HttpLook&> needs(std::size_t bytes) { return testing::VariantWith<NeedMore>(NeedMore{bytes}); }

// `bytes` must outlive the answer.
HttpHead head_of(std::string_view bytes) {
  const HttpLook look = look_once(bytes);
  if (const auto* const head = std::get_if<HttpHead>(&look)) return *head;
  ADD_FAILURE() << "no head: " << bytes.substr(0, 200);
  return {};
}

constexpr std::string_view kUpgrade =
    "GET /chat?sid=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade:websocket\r\nConnection: \t Upgrade \r\nCookie: "
    "a=b\r\nX-Empty:"
    "\r\n\r\n";

TEST(HttpHead, ReadsRequestLineAndFields) {
  const HttpHead head = head_of(kUpgrade);
  EXPECT_EQ(head.length, kUpgrade.size());
  EXPECT_EQ(head.request.method, "GET");
  EXPECT_EQ(head.request.target, "/chat?sid=1");
  EXPECT_EQ(head.request.minor_version, 1U);
  ASSERT_EQ(head.request.fields.size(), 5U);
  EXPECT_EQ(head.request.fields[2].name, "Connection");
  EXPECT_EQ(head.request.fields[2].value, "Upgrade");
  EXPECT_EQ(head.request.fields[4].value, "");
  EXPECT_TRUE(is_websocket(head.request));
  EXPECT_EQ(host_of(head.request), "example.com");
}

TEST(HttpHead, StopsBehindTheHeadWhateverFollows) {
  for (const std::string_view body : {"", "GET / HTTP/1.1\r\n\r\n", "\xff\0\x81 a frame", "5\r\nhello"}) {
    for (const std::string_view fields : {"", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n",
                                          "Upgrade: h2c\r\nConnection: upgrade\r\n", "Connection: close\r\n"}) {
      const std::string bytes = "POST /x HTTP/1.0\r\n" + std::string(fields) + "\r\n";
      EXPECT_EQ(head_of(bytes + std::string(body)).length, bytes.size()) << fields << body;
    }
  }
  EXPECT_EQ(head_of("CONNECT example.com:443 HTTP/1.1\r\n\r\n\x16\x03").request.target, "example.com:443");
}

TEST(HttpHead, IsTheSameWhereverItIsSplit) {
  for (const std::string_view bytes : {kUpgrade, std::string_view("\r\nPOST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n"),
                                       std::string_view("PUT * HTTP/1.1\nHost: a\n\n")}) {
    const HttpHead whole = head_of(bytes);
    for (std::size_t split = 0; split < bytes.size(); ++split) {
      HttpHeadSearch search;
      const HttpLook first = search.look(bytes.substr(0, split));
      ASSERT_THAT(first, testing::VariantWith<NeedMore>(testing::Field(&NeedMore::at_least, testing::Gt(split))))
          << split;
      const HttpLook second = search.look(bytes);
      ASSERT_TRUE(std::holds_alternative<HttpHead>(second)) << split;
      EXPECT_EQ(std::get<HttpHead>(second).length, whole.length);
      EXPECT_EQ(std::get<HttpHead>(second).request.fields.size(), whole.request.fields.size());
    }
  }
}

TEST(HttpHead, IsTheSameByteByByte) {
  HttpHeadSearch search;
  for (std::size_t length = 0; length < kUpgrade.size(); ++length) {
    ASSERT_THAT(search.look(kUpgrade.substr(0, length)), needs(length + 1)) << length;
  }
  const HttpLook look = search.look(kUpgrade);
  ASSERT_TRUE(std::holds_alternative<HttpHead>(look));
  EXPECT_EQ(std::get<HttpHead>(look).request.target.data(), kUpgrade.data() + 4) << "a view into the last prefix";
}

TEST(HttpHead, RefusesOtherProtocolsAtTheFirstByteThatShowsThem) {
  for (const std::string& bytes :
       {"\x16\x03\x01"s, "\0"s, "SSH-2.0-OpenSSH_9.2\r\n"s, "GET \x7f"s, "G\n"s, "NOMETHOD / HTTP/1.1\r\n"s,
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"s, "GET / SMTP"s, "GET / HTTP/1.1\r\n: x\r\n"s, "HTTP/1.1 200 OK\r\n"s}) {
    EXPECT_THAT(look_once(bytes), is_refused(HttpFault::NotHttp)) << bytes;
  }
}

TEST(HttpHead, RefusesWhatTwoProgramsCouldReadInTwoWays) {
  for (const std::string& field : {"Host : x"s, "Bad Name: x"s, "A: b\x01"s, "A: \0"s, "A: \x7f"s}) {
    EXPECT_THAT(look_once("GET / HTTP/1.1\r\n" + field + "\r\n\r\n"), is_refused(HttpFault::NotHttp)) << field;
  }
  EXPECT_THAT(look_once("GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n"), is_refused(HttpFault::NotHttp));
  EXPECT_THAT(look_once("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
              is_refused(HttpFault::NotHttp));
  EXPECT_THAT(look_once("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
              is_refused(HttpFault::NotHttp));
  EXPECT_THAT(look_once("GET / HTTP/3.1\r\n\r\n"), is_refused(HttpFault::NotHttp));
  EXPECT_THAT(look_once("GET /\r\n\r\n"), is_refused(HttpFault::NotHttp)) << "HTTP/0.9 has no head";
}

TEST(HttpHead, KnowsHttp2ByItsPreface) {
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (std::size_t length = 0; length < preface.size(); ++length) {
    EXPECT_THAT(look_once(std::string_view(preface).substr(0, length)),
                needs(length < 3 ? length + 1 : preface.size()));
  }
  EXPECT_TRUE(std::holds_alternative<Http2Preface>(look_once(preface)));
  EXPECT_TRUE(std::holds_alternative<Http2Preface>(look_once(preface + "\0\0\x12\x04"s)));
  EXPECT_THAT(look_once("PRI * HTTP/2.0\r\n\r\nXX"), is_refused(HttpFault::NotHttp));
  EXPECT_EQ(head_of("PROPFIND / HTTP/1.1\r\n\r\n").request.method, "PROPFIND");
}

TEST(HttpHead, TakesAHeadOf16KiBAndNoLargerOne) {
  const auto head = [](std::size_t size) {
    std::string bytes = "GET / HTTP/1.1\r\nX: ";
    return bytes + std::string(size - bytes.size() - 4, 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(head_of(head(kMaxPreface)).length, kMaxPreface);
  EXPECT_THAT(look_once(head(kMaxPreface + 1)), is_refused(HttpFault::TooLarge));
  EXPECT_THAT(look_once(head(kMaxPreface + 1).substr(0, kMaxPreface - 1)), needs(kMaxPreface));
  EXPECT_THAT(look_once(head(1 << 20)), is_refused(HttpFault::TooLarge));
  EXPECT_THAT(look_once(std::string(kMaxPreface, '\n')), is_refused(HttpFault::TooLarge)) << "only empty lines";
}

TEST(HttpHead, LeavesBytesBeyondAsciiAsTheyAre) {
  const HttpHead head = head_of("GET /\xc3\xa4 HTTP/1.1\r\nX: \xc3\xa4\t\xff\r\n\r\n");
  EXPECT_EQ(head.request.target, "/\xc3\xa4");
  EXPECT_EQ(head.request.fields[0].value, "\xc3\xa4\t\xff");
}

}  // namespace
}  // namespace holdfast
