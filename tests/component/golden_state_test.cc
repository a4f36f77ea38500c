// States that released versions have written down: this one goes on where they stopped.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "config/config_text.h"
#include "test_paths.h"
#include "wire/saved_state.h"

namespace holdfast {
namespace {

using nlohmann::json;

// A member that is read under another name, or not at all, is not among what we write of it.
void expect_within(const json& part, const json& whole, const std::string& where) {
  if (part.is_object() && whole.is_object()) {
    for (const auto& [name, member] : part.items()) {
      if (whole.contains(name)) {
        expect_within(member, whole[name], where + "/" + name);
      } else {
        ADD_FAILURE() << where + "/" + name << " is lost";
      }
    }
  } else if (part.is_array() && whole.is_array() && part.size() == whole.size()) {
    for (std::size_t i = 0; i < part.size(); i++) expect_within(part[i], whole[i], where + "/" + std::to_string(i));
  } else {
    EXPECT_EQ(part, whole) << where;
  }
}

TEST(GoldenState, WhatEarlierVersionsHaveWrittenIsReadInFull) {
  unsigned states = 0;
  for (const auto& file : std::filesystem::directory_iterator(HOLDFAST_SOURCE "/tests/golden/upgrade")) {
    if (file.path().extension() != ".json") continue;
    SCOPED_TRACE(file.path().filename().string());
    std::ifstream stream(file.path());
    const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    const Result<SavedState> state = decode_saved_state(text);
    ASSERT_TRUE(state) << state.error().message();
    expect_within(json::parse(text), json::parse(encode(*state)), "");
    const Result<Config> config = config_of_text(state->config);
    ASSERT_TRUE(config) << config.error().message();
    EXPECT_EQ(config->pools.size(), state->pools.size());
    states++;
  }
  EXPECT_GT(states, 0U);
}

}  // namespace
}  // namespace holdfast
