#include "wire/control_message.h"
#include "test_paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string without_newline(std::string line) {
  EXPECT_EQ(line.back(), '\n');
  line.pop_back();
  EXPECT_EQ(line.find('\n'), std::string::npos);
  return line;
}

ControlFailure refusal_of(std::string_view line) {
  const auto decoded = decode_request(line);
  const auto* const failure = std::get_if<ControlFailure>(&decoded);
  EXPECT_NE(failure, nullptr) << line.substr(0, 200);
  return failure == nullptr ? ControlFailure{} : *failure;
}

TEST(ControlMessage, ARequestComesBackAsItWas) {
  ControlRequest request{"restart", {{"slot", std::int64_t{3}}, {"wait", true}, {"reason", "a \"quoted\"\nline"}}};
  const auto decoded = decode_request(without_newline(encode(request)));
  ASSERT_TRUE(std::holds_alternative<ControlRequest>(decoded));
  EXPECT_EQ(std::get<ControlRequest>(decoded), request);
}

TEST(ControlMessage, ItsBytesAreThoseOfTheDocument) {
  EXPECT_EQ(encode(ControlRequest{"status", {}}), "{\"v\":1,\"verb\":\"status\",\"arguments\":{}}\n");
  EXPECT_EQ(encode(ControlResponse{ControlSuccess{"{\"pid\":7}"}}), "{\"v\":1,\"ok\":true,\"result\":{\"pid\":7}}\n");
  EXPECT_EQ(encode(ControlResponse{ControlFailure{.error = "no slot 9", .exit_code = 2, .versions = {}}}),
            "{\"v\":1,\"ok\":false,\"error\":\"no slot 9\",\"exit_code\":2}\n");
}

TEST(ControlMessage, ArgumentsAreReadByTheirType) {
  const ControlRequest request{"x", {{"n", std::int64_t{4}}, {"t", "text"}, {"b", true}}};
  EXPECT_EQ(request.number("n"), 4);
  EXPECT_EQ(request.text("t"), "text");
  EXPECT_TRUE(request.is_set("b"));
  EXPECT_FALSE(request.number("t"));
  EXPECT_FALSE(request.text("missing"));
  EXPECT_FALSE(request.is_set("n"));
}

TEST(ControlMessage, MembersThatAreNotKnownAreIgnored) {
  const auto decoded = decode_request(R"({"v":1,"verb":"status","since":"tomorrow"})");
  ASSERT_TRUE(std::holds_alternative<ControlRequest>(decoded));
  EXPECT_EQ(std::get<ControlRequest>(decoded), (ControlRequest{"status", {}}));
}

TEST(ControlMessage, AnUnknownVersionIsToldWhichOnesAreSpoken) {
  for (const char* line : {R"({"v":2,"verb":"status"})", R"({"verb":"status"})", R"({"v":"1","verb":"status"})",
                           R"({"v":-1,"verb":"status"})", R"({"v":1.0,"verb":"status"})"}) {
    const ControlFailure failure = refusal_of(line);
    EXPECT_THAT(failure.versions, ElementsAre(1)) << line;
    EXPECT_THAT(failure.error, HasSubstr("speaks version 1")) << line;
  }
  // A version that is not ours may have any other members: the version is what is answered.
  EXPECT_THAT(refusal_of(R"({"v":2,"verb":["status"]})").versions, ElementsAre(1));
}

TEST(ControlMessage, RefusesWhatIsNotARequest) {
  for (const std::string& line :
       {std::string(), std::string("{"), std::string("null"), std::string("[]"), std::string("42"),
        std::string("\"status\""), std::string("{\"v\":1}"), std::string("{\"v\":1,\"verb\":7}"),
        std::string("{\"v\":1,\"verb\":\"\"}"), std::string("{\"v\":1,\"verb\":\"x\",\"arguments\":[]}"),
        std::string("{\"v\":1,\"verb\":\"x\",\"arguments\":{\"a\":{}}}"),
        std::string("{\"v\":1,\"verb\":\"x\",\"arguments\":{\"a\":null}}"),
        std::string("{\"v\":1,\"verb\":\"x\",\"arguments\":{\"a\":1.5}}"),
        std::string("{\"v\":1,\"verb\":\"x\",\"arguments\":{\"a\":18446744073709551615}}"),
        std::string("{\"v\":1,\"verb\":\"x\"} trailing"), std::string("{\"v\":1,\"verb\":\"\xff\xfe\"}"),
        std::string("{\"v\":1,\"verb\":1e999}"), std::string("\0\0\0\0", 4)}) {
    const ControlFailure failure = refusal_of(line);
    EXPECT_EQ(failure.exit_code, 2) << line;
    EXPECT_FALSE(failure.error.empty());
  }
}

TEST(ControlMessage, RefusesDeepNestingAndGreatLength) {
  (void)refusal_of(std::string(60000, '['));
  (void)refusal_of("{\"v\":1,\"verb\":\"x\",\"y\":" + std::string(20000, '[') + std::string(20000, ']') + "}");
  std::string long_one = R"({"v":1,"verb":"x","y":")" + std::string(kMaxControlRequest, 'a') + "\"}";
  EXPECT_THAT(refusal_of(long_one).error, HasSubstr("65536"));
  // Brackets inside a string nest nothing.
  EXPECT_TRUE(std::holds_alternative<ControlRequest>(
      decode_request(R"({"v":1,"verb":"x","arguments":{"a":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}})")));
}

TEST(ControlMessage, AResponseComesBackAsItWas) {
  const ControlResponse success = ControlSuccess{R"({"b":1,"a":[2,null]})"};
  EXPECT_EQ(decode_response(without_newline(encode(success))), success);
  const ControlResponse failure = ControlFailure{.error = "slot 3 did not start", .exit_code = 75, .versions = {}};
  EXPECT_EQ(decode_response(without_newline(encode(failure))), failure);
}

TEST(ControlMessage, AResponseThatIsNotOneIsAFailure) {
  for (const char* line :
       {"", "{}", "[]", "{\"ok\":1}", "{\"ok\":false,\"exit_code\":\"x\"}", "{\"ok\":true", "HTTP/1.1 200 OK"}) {
    const ControlResponse response = decode_response(line);
    ASSERT_TRUE(std::holds_alternative<ControlFailure>(response)) << line;
    EXPECT_THAT(std::get<ControlFailure>(response).error, HasSubstr("not understood"));
  }
  EXPECT_EQ(std::get<ControlFailure>(decode_response(R"({"ok":false,"exit_code":0})")).exit_code, 1);
  EXPECT_EQ(std::get<ControlFailure>(decode_response(R"({"ok":false,"exit_code":256})")).exit_code, 255);
}

TEST(ControlMessage, AResultThatIsNotJsonBecomesAFailureAndNeverBreaksTheLine) {
  const ControlResponse response =
      decode_response(without_newline(encode(ControlResponse{ControlSuccess{"{\n\"a\":"}})));
  EXPECT_TRUE(std::holds_alternative<ControlFailure>(response));
}

std::vector<std::string> corpus() {
  std::vector<std::string> texts;
  for (const auto& entry : std::filesystem::directory_iterator(HOLDFAST_SOURCE "/tests/fuzz/control_request_corpus")) {
    std::ifstream file(entry.path(), std::ios::binary);
    texts.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return texts;
}

TEST(ControlMessage, EveryRandomChangeOfTheCorpusGetsAnAnswer) {
  const std::vector<std::string> texts = corpus();
  ASSERT_GE(texts.size(), 8U);
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 5000; ++round) {
    std::string text = texts[random() % texts.size()];
    for (unsigned change = random() % 6; change > 0 && !text.empty(); --change) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random() % 256);
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        case 2:
          text.insert(at, std::string(1 + random() % 40, "[{\"\\\xc3\x80"[random() % 6]));
          break;
        default:
          text.insert(at, texts[random() % texts.size()]);
          break;
      }
    }
    const auto decoded = decode_request(text);
    if (const auto* const request = std::get_if<ControlRequest>(&decoded)) {
      // What was understood is understood the same when it is said again.
      const auto again = decode_request(without_newline(encode(*request)));
      ASSERT_TRUE(std::holds_alternative<ControlRequest>(again)) << text;
      ASSERT_EQ(std::get<ControlRequest>(again), *request) << text;
    } else {
      (void)without_newline(encode(ControlResponse{std::get<ControlFailure>(decoded)}));
    }
    (void)decode_response(text);
  }
}

}  // namespace
}  // namespace holdfast
