#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "support/http_client.h"
#include "support/supervisor.h"

namespace holdfast::test {

// Headers as a proxy writes them, made here and not with the product's own code.

inline std::string header_v1(std::string_view line) { return "PROXY " + std::string(line) + "\r\n"; }

inline std::string big_endian(unsigned number) {
  return {static_cast<char>(number >> 8 & 0xff), static_cast<char>(number & 0xff)};
}
inline std::string tlv(unsigned type, const std::string& value) {
  return static_cast<char>(type) + big_endian(static_cast<unsigned>(value.size())) + value;
}

// Version 2; `command` with its version ("\x21" is PROXY), `family` with its transport ("\x11" is TCP over IPv4).
inline std::string header_v2(char command, char family, const std::string& body) {
  return std::string("\r\n\r\n\0\r\nQUIT\n", 12) + command + family + big_endian(static_cast<unsigned>(body.size())) +
         body;
}
// From 203.0.113.7 port 4000 to 192.0.2.1 port 443.
inline std::string tcp4_addresses() { return std::string("\xcb\x00\x71\x07\xc0\x00\x02\x01\x0f\xa0\x01\xbb", 12); }

// `client` comes through a proxy and stays, as the last of `open`. Answers the code that it got; 0: none.
inline int come_by_a_proxy(const Supervisor& supervisor, const std::string& client, std::deque<HttpClient>& open) {
  open.emplace_back(supervisor.target());
  open.back().send_raw(header_v1("TCP4 " + client + " 192.0.2.1 4000 443") + request_for("/", "keep-alive"));
  const std::optional<Response> answer = open.back().receive();
  return answer ? answer->code : 0;
}

// What whoami answers of itself and of the connection.
inline std::optional<nlohmann::json> told(HttpClient& client) {
  const std::optional<Response> response = client.receive();
  if (!response || response->code != 200) return std::nullopt;
  return nlohmann::json::parse(response->body);
}

inline SupervisorPlan passed(const std::string& listen, std::vector<std::string> options = {}) {
  SupervisorPlan plan;
  plan.listen = {listen};
  plan.options = std::move(options);
  plan.options.insert(plan.options.end(), {"--intake", "sdk"});
  return plan;
}

// A pool of four slots whose clients are placed by `key`.
inline SupervisorPlan by_key(const std::string& key, std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--key", key});
  SupervisorPlan plan = passed("127.0.0.1:0", std::move(more));
  plan.workers = 4;
  return plan;
}

inline std::string request(const std::string& target, const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" + fields + "\r\n";
}

// Asks once, from a source, in one segment; -1, and a failure: there was no answer.
inline int slot_of(const Supervisor& supervisor, const std::string& bytes, const std::string& source = "127.0.0.1") {
  HttpClient client(supervisor.target(), source);
  client.send_raw(bytes);
  const auto answer = told(client);
  EXPECT_TRUE(answer) << name_of(client.ending());
  return answer ? (*answer)["slot"].get<int>() : -1;
}

}  // namespace holdfast::test
