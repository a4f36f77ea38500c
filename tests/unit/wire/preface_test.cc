#include "wire/preface.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using Stream = PrefaceReader::Stream;
using Look = std::variant<NeedMore, Preface, ProxyFault>;

constexpr std::string_view kHeader = "PROXY TCP4 203.0.113.7 192.0.2.1 4000 443\r\n";
constexpr std::string_view kHead = "GET /a HTTP/1.1\r\nHost: b\r\n\r\n";
constexpr PrefaceNeeds kAll{PrefaceNeeds::Proxy::Required, true, true};

// Grows a prefix byte by byte; every answer but the last must ask for more than there is.
Look grow(PrefaceNeeds needs, const std::string& bytes, std::size_t& used) {
  PrefaceReader reader(needs);
  for (used = 0; used <= bytes.size(); ++used) {
    Look look = reader.look(std::string_view(bytes).substr(0, used), Stream::Open);
    const auto* const more = std::get_if<NeedMore>(&look);
    if (more == nullptr) return look;
    EXPECT_GT(more->at_least, used);
  }
  return NeedMore{bytes.size() + 1};
}

TEST(Preface, IsWholeWithTheLastByteOfTheHeadAndNotBefore) {
  const std::string bytes = std::string(kHeader) + std::string(kHead);
  std::size_t used = 0;
  const Look look = grow(kAll, bytes, used);
  EXPECT_EQ(used, bytes.size());
  const auto& preface = std::get<Preface>(look);
  ASSERT_TRUE(preface.proxy && preface.http);
  EXPECT_EQ(preface.proxy->length, kHeader.size());
  EXPECT_EQ(preface.http->request.target, "/a");
}

TEST(Preface, WithoutNeedOfAHeadItEndsWithTheHeader) {
  std::size_t used = 0;
  const Look look = grow({PrefaceNeeds::Proxy::Required, false, false}, std::string(kHeader) + "GET", used);
  EXPECT_TRUE(std::holds_alternative<Preface>(look));
  EXPECT_EQ(used, kHeader.size());
}

TEST(Preface, WhatDoesNotBeginLikeAnOptionalHeaderHasNone) {
  PrefaceReader reader({PrefaceNeeds::Proxy::Optional, true, false});
  const Look look = reader.look(kHead, Stream::Open);
  const auto& preface = std::get<Preface>(look);
  EXPECT_FALSE(preface.proxy);
  EXPECT_TRUE(preface.http);
}

TEST(Preface, ABrokenHeaderIsAFaultEvenWhereItIsOptional) {
  PrefaceReader reader({PrefaceNeeds::Proxy::Optional, false, false});
  const Look look = reader.look("PROXY TCP4 nobody\r\n", Stream::Open);
  EXPECT_EQ(std::get<ProxyFault>(look), ProxyFault::BadLine);
}

TEST(Preface, TheEndOfTheStreamEndsEveryWait) {
  for (std::size_t length = 0; length < kHead.size(); ++length) {
    PrefaceReader reader({PrefaceNeeds::Proxy::No, true, true});
    const Look look = reader.look(kHead.substr(0, length), Stream::Ended);
    EXPECT_EQ(std::get<Preface>(look).missing, Missing::NotHttp) << length;
  }
  PrefaceReader reader(kAll);
  EXPECT_EQ(std::get<ProxyFault>(reader.look(kHeader.substr(0, 9), Stream::Ended)), ProxyFault::NoHeader);
}

// In the first bytes a trusted sender may still be a client that says PRO; then it is one that writes a header.
TEST(Preface, AnOptionalHeaderThatWasBegunMustBecomeOne) {
  const std::string_view version2("\r\n\r\n\0\r\nQUIT\n\x21\x11", 14);
  for (const std::string_view header : {kHeader, version2}) {
    const std::size_t told = header.front() == 'P' ? 6 : 12;
    for (std::size_t length = 0; length < header.size() - 1; ++length) {
      for (const Stream stream : {Stream::Overdue, Stream::Ended}) {
        PrefaceReader reader({PrefaceNeeds::Proxy::Optional, false, false});
        const Look look = reader.look(header.substr(0, length), stream);
        EXPECT_EQ(std::holds_alternative<Preface>(look), length < told) << header.substr(0, length);
      }
    }
  }
}

TEST(Preface, WhoSaysNothingInTimeIsTakenAsHeIsAndWhoBeginsIsNot) {
  for (const PrefaceNeeds needs :
       {PrefaceNeeds{PrefaceNeeds::Proxy::No, true, false}, PrefaceNeeds{PrefaceNeeds::Proxy::Optional, true, true}}) {
    PrefaceReader silent(needs);
    const Look look = silent.look("", Stream::Overdue);
    ASSERT_TRUE(std::holds_alternative<Preface>(look));
    EXPECT_EQ(std::get<Preface>(look).missing, Missing::Silent);
    PrefaceReader slow(needs);
    (void)slow.look(kHead.substr(0, 5), Stream::Open);
    EXPECT_TRUE(std::holds_alternative<NeedMore>(slow.look(kHead.substr(0, 5), Stream::Overdue)));
  }
  PrefaceReader proxied({PrefaceNeeds::Proxy::Required, true, false});
  EXPECT_TRUE(std::holds_alternative<NeedMore>(proxied.look("", Stream::Overdue)));
  const Look behind = proxied.look(kHeader, Stream::Overdue);
  ASSERT_TRUE(std::holds_alternative<Preface>(behind));
  EXPECT_TRUE(std::get<Preface>(behind).proxy);
}

TEST(Preface, NothingIsAwaitedBeyondItsBound) {
  const std::string endless = "GET / HTTP/1.1\r\nX: " + std::string(kMaxPreface, 'x');
  PrefaceReader reader({PrefaceNeeds::Proxy::No, true, false});
  const Look look = reader.look(std::string_view(endless).substr(0, kMaxPreface), Stream::Open);
  EXPECT_EQ(std::get<Preface>(look).missing, Missing::HeadTooLarge);
  // The header counts: what the kernel is asked for is the sum.
  const std::string behind = std::string(kHeader) + endless;
  PrefaceReader both(kAll);
  const Look second = both.look(std::string_view(behind).substr(0, kMaxPreface), Stream::Open);
  EXPECT_EQ(std::get<Preface>(second).missing, Missing::HeadTooLarge);
}

TEST(Preface, TheNameThatTheProxyTellsIsTakenForTheHellos) {
  std::string v2("\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x1b\xcb\x00\x71\x07\xc0\x00\x02\x01\x0f\xa0\x01\xbb\x02\x00\x0c",
                 31);
  v2 += "Shop.example";
  PrefaceReader reader({PrefaceNeeds::Proxy::Required, false, true});
  const Look look = reader.look(v2, Stream::Open);
  ASSERT_TRUE(std::holds_alternative<Preface>(look));
  EXPECT_EQ(std::get<Preface>(look).server_name, "shop.example");
}

TEST(Preface, WhatIsOfNoKnownKindIsSaidToBeMissing) {
  PrefaceReader tls({PrefaceNeeds::Proxy::No, false, true});
  EXPECT_EQ(std::get<Preface>(tls.look("SSH-2.0-OpenSSH\r\n", Stream::Open)).missing, Missing::NotTls);
  PrefaceReader http({PrefaceNeeds::Proxy::No, true, false});
  EXPECT_EQ(std::get<Preface>(http.look("SSH-2.0-OpenSSH\r\n", Stream::Open)).missing, Missing::NotHttp);
  PrefaceReader second({PrefaceNeeds::Proxy::No, true, false});
  EXPECT_EQ(std::get<Preface>(second.look("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Stream::Open)).missing, Missing::Http2);
}

}  // namespace
}  // namespace holdfast
