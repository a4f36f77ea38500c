#include "core/preface_key.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "core/slot_tag.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

constexpr HashKey kHashKey{0x01234567, 0x89abcdef};
constexpr unsigned kSlots = 8;

IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }

std::vector<PrefaceKey> keys_of(std::string_view text) {
  Result<std::vector<PrefaceKey>> keys = parse_preface_keys(text);
  if (!keys) ADD_FAILURE() << keys.error().message();
  return keys ? *keys : std::vector<PrefaceKey>{};
}

// "0: text", "1: address/bits", "2: slot 3", or "-": what is found, and of which key of the list.
std::string found(std::string_view keys, const PrefaceFacts& facts) {
  const std::optional<FoundKey> key = first_present(keys_of(keys), facts, KeyPrefix{}, kSlots);
  if (!key) return "-";
  const std::string index = std::to_string(key->index) + ": ";
  if (key->slot) return index + "slot " + std::to_string(key->slot->value);
  if (!key->address) return index + key->text;
  return index + key->address->text() + "/" + std::to_string(key->address->is_v6() ? key->prefix.v6 : key->prefix.v4);
}

const HttpRequest kRequest{
    "GET",
    "/rooms/blue?sid=abc~3&user=&x=%31",
    1,
    {{"Cookie", "id=c00kie; tag=x~9; good=y~7"}, {"X-User", "u1"}, {"X-Forwarded-For", "203.0.113.7"}}};

PrefaceFacts facts_with(const HttpRequest* request = &kRequest) {
  PrefaceFacts facts;
  facts.remote = ip("10.0.0.1");
  facts.request = request;
  return facts;
}

TEST(PrefaceKey, ReadsItsTextAndWritesTheSame) {
  for (const char* const text :
       {"proxy-address", "remote-address", "remote-prefix(24,56)", "header(X-User)", "cookie(sid)", "query(sid)",
        "query(a b)", "path-segment(2)", "sni", "tagged(query(sid))", "tagged(cookie(io))", "tagged(header(X-Session))",
        "forwarded-for(trusted = [10.0.0.0/8, 2001:db8::/32])",
        "forwarded-for(field = Forwarded, trusted = [10.0.0.1])"}) {
    const Result<PrefaceKey> key = parse_preface_key(text);
    ASSERT_TRUE(key) << key.error().message();
    EXPECT_EQ(to_text(*key), text);
  }
  EXPECT_EQ(to_text(*parse_preface_key(" forwarded-for( trusted=[ 10.0.0.0/8 ] , field=x-forwarded-for ) ")),
            "forwarded-for(trusted = [10.0.0.0/8])");
  EXPECT_EQ(to_text(*parse_preface_key("remote-prefix( 24 , 56 )")), "remote-prefix(24,56)");
}

TEST(PrefaceKey, ReadsAList) {
  const std::vector<PrefaceKey> keys =
      keys_of("tagged(query(sid)), forwarded-for(trusted = [10.0.0.0/8, 192.0.2.1]), remote-prefix(24,56),sni");
  ASSERT_EQ(keys.size(), 4U);
  EXPECT_EQ(to_text(keys[1]), "forwarded-for(trusted = [10.0.0.0/8, 192.0.2.1])");
  EXPECT_EQ(to_text(keys[3]), "sni");
}

TEST(PrefaceKey, SaysWhatIsWrongAndWhatWouldBeRight) {
  const auto error = [](std::string_view text) {
    const Result<std::vector<PrefaceKey>> keys = parse_preface_keys(text);
    return keys ? "no error" : keys.error().message();
  };
  EXPECT_THAT(error(""), HasSubstr("there is no such key"));
  EXPECT_THAT(error("remote-adress"), HasSubstr("'remote-adress': there is no such key; there are proxy-address"));
  EXPECT_THAT(error("cookie"), HasSubstr("cookie(sid)"));
  EXPECT_THAT(error("cookie()"), HasSubstr("cookie(sid)"));
  EXPECT_THAT(error("cookie(a b)"), HasSubstr("cookie(sid)"));
  EXPECT_THAT(error("header(Host:)"), HasSubstr("no name"));
  EXPECT_THAT(error("query()"), HasSubstr("query(sid)"));
  EXPECT_THAT(error("path-segment(0)"), HasSubstr("count from 1"));
  EXPECT_THAT(error("path-segment(x)"), HasSubstr("count from 1"));
  EXPECT_THAT(error("cookie(sid"), HasSubstr("not closed"));
  EXPECT_THAT(error("sni(x)"), HasSubstr("nothing in parentheses"));
  EXPECT_THAT(error("remote-prefix(33,56)"), HasSubstr("remote-prefix(24,56)"));
  EXPECT_THAT(error("remote-prefix(24)"), HasSubstr("remote-prefix(24,56)"));
  EXPECT_THAT(error("remote-prefix(24,56,1)"), HasSubstr("remote-prefix(24,56)"));
  EXPECT_THAT(error("forwarded-for"), HasSubstr("what any client writes"));
  EXPECT_THAT(error("forwarded-for(trusted = [])"), HasSubstr("what any client writes"));
  EXPECT_THAT(error("forwarded-for(trusted = [10.0.0.1/8])"), HasSubstr("write 10.0.0.0/8"));
  EXPECT_THAT(error("forwarded-for(trusted = 10.0.0.0/8)"), HasSubstr("trusted = [RANGE, ...]"));
  EXPECT_THAT(error("forwarded-for(field = Via, trusted = [10.0.0.0/8])"), HasSubstr("X-Forwarded-For or Forwarded"));
  EXPECT_THAT(error("tagged(sni)"), HasSubstr("tagged(query(sid))"));
  EXPECT_THAT(error("tagged(remote-address)"), HasSubstr("tagged(query(sid))"));
  EXPECT_THAT(error("tagged(cookie())"), HasSubstr("cookie(sid)"));
  EXPECT_THAT(error("cookie(a), cookie(a)"), HasSubstr("twice"));
  EXPECT_THAT(error("cookie(a),,sni"), HasSubstr("there is no such key"));
}

TEST(PrefaceKey, TheFirstThatIsPresentIsTheKey) {
  EXPECT_EQ(found("cookie(none), header(x-user), remote-address", facts_with()), "1: u1");
  EXPECT_EQ(found("cookie(id)", facts_with()), "0: c00kie");
  EXPECT_EQ(found("query(user), query(x)", facts_with()), "1: 1") << "an empty value is not present";
  EXPECT_EQ(found("path-segment(3), path-segment(2)", facts_with()), "1: blue");
  EXPECT_EQ(found("cookie(id), remote-address", facts_with(nullptr)), "1: 10.0.0.1/32") << "no HTTP";
  EXPECT_EQ(found("cookie(none)", facts_with()), "-");
}

TEST(PrefaceKey, AddressesAreThoseOfTheClient) {
  PrefaceFacts facts = facts_with();
  EXPECT_EQ(found("proxy-address, remote-address", facts), "1: 10.0.0.1/32");
  facts.proxy = facts.remote = ip("2001:db8:1:2:3::1");
  EXPECT_EQ(found("proxy-address, remote-address", facts), "0: 2001:db8:1:2:3::1/64");
  EXPECT_EQ(found("remote-prefix(24,56)", facts), "0: 2001:db8:1::/56");
  facts.remote = ip("192.0.2.77");
  EXPECT_EQ(found("remote-prefix(24,56)", facts), "0: 192.0.2.0/24");
  facts.remote = facts.proxy = std::nullopt;  // a Unix client
  EXPECT_EQ(found("proxy-address, remote-address, remote-prefix(24,56)", facts), "-");
}

TEST(PrefaceKey, ForwardedForTrustsOnlyItsProxies) {
  PrefaceFacts facts = facts_with();
  EXPECT_EQ(found("forwarded-for(trusted = [10.0.0.0/8]), remote-address", facts), "0: 203.0.113.7/32");
  EXPECT_EQ(found("forwarded-for(trusted = [10.1.0.0/16]), remote-address", facts), "1: 10.0.0.1/32");
  EXPECT_EQ(found("forwarded-for(field = Forwarded, trusted = [10.0.0.0/8])", facts), "-");
  facts.remote.reset();
  EXPECT_EQ(found("forwarded-for(trusted = [10.0.0.0/8])", facts), "-");
  EXPECT_EQ(found("forwarded-for(trusted = [10.0.0.0/8])", facts_with(nullptr)), "-");
}

TEST(PrefaceKey, TheServerNameNeedsNoHttp) {
  PrefaceFacts facts = facts_with(nullptr);
  EXPECT_EQ(found("sni", facts), "-");
  facts.server_name = "a.example";
  EXPECT_EQ(found("sni", facts), "0: a.example");
}

TEST(PrefaceKey, ATagNamesItsSlot) {
  EXPECT_EQ(found("tagged(query(sid)), remote-address", facts_with()), "0: slot 3");
  EXPECT_EQ(found("tagged(cookie(tag)), remote-address", facts_with()), "1: 10.0.0.1/32") << "the pool has no slot 9";
  EXPECT_EQ(found("tagged(cookie(tag)), tagged(cookie(good))", facts_with()), "1: slot 7");
  EXPECT_EQ(found("tagged(cookie(id)), cookie(id)", facts_with()), "1: c00kie") << "no tag in it";
}

TEST(PrefaceKey, KnowsWhatItMustSee) {
  const auto needs = [](std::string_view text) {
    const PrefaceKey key = *parse_preface_key(text);
    return std::string(needs_http(key) ? "http" : "") + (needs_server_name(key) ? "tls" : "");
  };
  EXPECT_EQ(needs("remote-address"), "");
  EXPECT_EQ(needs("proxy-address"), "");
  EXPECT_EQ(needs("remote-prefix(24,56)"), "");
  EXPECT_EQ(needs("sni"), "tls");
  for (const char* const key : {"cookie(a)", "header(a)", "query(a)", "path-segment(1)", "tagged(query(a))",
                                "forwarded-for(trusted = [10.0.0.0/8])"}) {
    EXPECT_EQ(needs(key), "http") << key;
  }
}

TEST(PrefaceKey, AnAddressIsHashedAsEveryPlaneDoes) {
  FoundKey key;
  key.address = ip("2001:db8:1:2:3:4:5:6");
  key.prefix = {32, 56};
  EXPECT_EQ(key.placement_key(kHashKey).hash, hash_address(*key.address, {32, 56}, kHashKey));
  EXPECT_EQ(key.placement_key(kHashKey).address, key.address);
  FoundKey text;
  text.text = "abc";
  EXPECT_EQ(text.placement_key(kHashKey).hash, hash_text("abc", kHashKey));
  EXPECT_EQ(text.placement_key(kHashKey).text, "abc");
}

TEST(SlotTag, IsReadAsItIsWritten) {
  EXPECT_EQ(tagged_id("f00d", SlotId(12)), "f00d~12");
  for (const std::uint32_t slot : {0U, 7U, 255U}) EXPECT_EQ(slot_of_tag(tagged_id("a~b", SlotId(slot))), SlotId(slot));
}

TEST(SlotTag, IsNothingElse) {
  for (const char* const text :
       {"", "abc", "abc~", "~x", "abc~256", "abc~-1", "abc~+1", "abc~1 ", "abc~0x1", "1", "abc~99999999999999999999"}) {
    EXPECT_EQ(slot_of_tag(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace holdfast
