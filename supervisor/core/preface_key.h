#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/cidr.h"
#include "core/forwarded_for.h"
#include "core/placement_key.h"
#include "core/placement_strategy.h"
#include "core/preface_facts.h"
#include "core/result.h"

namespace holdfast {

// What a connection can be placed by, and the text form of each:
//
//   proxy-address            the client's address, if a PROXY header named it
//   remote-address           the client's address: of the PROXY header if there is one, else of the connection
//   remote-prefix(24,56)     so many bits of it, for IPv4 and IPv6
//   forwarded-for(trusted = [10.0.0.0/8, ...])                       the client that trusted proxies wrote into X-Forwarded-For
//   forwarded-for(field = Forwarded, trusted = [10.0.0.0/8, ...])    or into Forwarded
//   header(NAME)             a field of the HTTP head
//   cookie(NAME)  query(NAME)  path-segment(N)                       parts of the HTTP head; segments count from 1
//   sni                      the name in the TLS hello, or the one that the proxy got and put into the PROXY header
//   tagged(query(sid))       the slot that a worker put into a session id (core/slot_tag.h): straight to that slot.
//                            Takes header, cookie, query and path-segment.
//
// A pool has an ordered list of them, "cookie(sid), remote-address": the first that is present is the connection's key. An
// empty value is not present.

struct ProxyAddressKey {
  bool operator==(const ProxyAddressKey&) const = default;
};
struct RemoteAddressKey {
  bool operator==(const RemoteAddressKey&) const = default;
};
struct RemotePrefixKey {
  KeyPrefix prefix;
  bool operator==(const RemotePrefixKey&) const = default;
};
struct ForwardedForKey {
  ForwardedField field = ForwardedField::XForwardedFor;
  std::vector<Cidr> trusted;
  CidrSet trusted_set;  // the same, for lookups
  bool operator==(const ForwardedForKey& other) const { return field == other.field && trusted == other.trusted; }
};
struct TextKey {
  enum class Where { Header, Cookie, Query, PathSegment, ServerName };
  Where where = Where::Header;
  std::string name;      // of Header, Cookie, Query
  unsigned segment = 0;  // of PathSegment
  bool operator==(const TextKey&) const = default;
};
struct TaggedKey {
  TextKey id;
  bool operator==(const TaggedKey&) const = default;
};
using PrefaceKey =
    std::variant<ProxyAddressKey, RemoteAddressKey, RemotePrefixKey, ForwardedForKey, TextKey, TaggedKey>;

[[nodiscard]] Result<PrefaceKey> parse_preface_key(std::string_view text);
// At least one key, and none twice.
[[nodiscard]] Result<std::vector<PrefaceKey>> parse_preface_keys(std::string_view text);
[[nodiscard]] std::string to_text(const PrefaceKey& key);

// Which first bytes must be looked at to know whether the key is present.
[[nodiscard]] bool needs_http(const PrefaceKey& key);
[[nodiscard]] bool needs_server_name(const PrefaceKey& key);

// A key that is present: an address, a text, or a slot.
struct FoundKey {
  std::size_t index = 0;  // in the list
  std::optional<IpAddress> address;
  KeyPrefix prefix;  // how much of the address is the key
  std::string text;
  std::optional<SlotId> slot;

  // As a strategy wants it; the text is borrowed from this.
  [[nodiscard]] PlacementKey placement_key(HashKey key) const;
};

// `prefix` is the pool's: how much of an address makes a client where the key itself does not say it. `slots`: of the pool; a tag with
// a slot beyond is not present.
[[nodiscard]] std::optional<FoundKey> first_present(const std::vector<PrefaceKey>& keys, const PrefaceFacts& facts,
                                                    KeyPrefix prefix, unsigned slots);

}  // namespace holdfast
