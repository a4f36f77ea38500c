#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// The head of an HTTP/1 request, and what keys and routes ask of it. The views point into the bytes that were parsed.

struct HttpField {
  std::string_view name;   // as it was written; names are compared without case
  std::string_view value;  // without the blanks around it
};

struct HttpRequest {
  std::string_view method;
  std::string_view target;  // as it was written: "/chat?sid=1", "http://example.com/", "*"
  unsigned minor_version = 1;
  std::vector<HttpField> fields;
};

// The value of the first field of that name which has one. A field with an empty value is taken as absent.
[[nodiscard]] std::optional<std::string_view> field_value(const HttpRequest& request, std::string_view name);

// The name that the client asked for: of the target if that is in absolute form, else of Host (RFC 9112, 3.2.2). In lower
// case, without port and without a dot at its end; "[::1]" keeps its brackets. Nothing if there is none, or more than one Host.
[[nodiscard]] std::optional<std::string> host_of(const HttpRequest& request);

// Whether it asks for a WebSocket: "websocket" in Upgrade, as HAProxy's `hdr(upgrade) -i websocket` has it. RFC 6455 wants "upgrade" in
// Connection too; a request without that is the server's to refuse, which should be the one that knows WebSockets.
[[nodiscard]] bool is_websocket(const HttpRequest& request);

// The value of the first cookie of that name in the Cookie fields, in their order. Names have case. Quotes around the value are
// taken off; nothing is decoded, because cookies have no encoding of their own.
[[nodiscard]] std::optional<std::string> cookie(const HttpRequest& request, std::string_view name);

// Percent-decoding, the same everywhere: '%' and two hexadecimal digits are that byte, decoded once; a '%' without them stands
// for itself. So two spellings of one text are one key, and no text is refused for its spelling.
enum class Plus {
  IsPlus,   // in a path
  IsSpace,  // in a query, as forms write it
};
[[nodiscard]] std::string percent_decoded(std::string_view text, Plus plus = Plus::IsPlus);

// What stands between the authority and '?' or '#', not decoded: "/a%20b". "*" for the asterisk form, empty for CONNECT's.
[[nodiscard]] std::string_view path_of(std::string_view target);

// The n-th segment of the path, counted from 1, decoded. The path is split first, so that "%2F" is no separator; empty
// segments are not counted ("//a/b" has two); "." and ".." are segments like others.
[[nodiscard]] std::optional<std::string> path_segment(std::string_view target, unsigned number);

// The value of the first parameter of that name in the query, decoded; parameters are separated by '&'. The name is
// compared after it was decoded.
[[nodiscard]] std::optional<std::string> query_parameter(std::string_view target, std::string_view name);

}  // namespace holdfast
