#include "config/pomelo_import.h"

#include <gmock/gmock.h>

#include "wire/pomelo_file.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string imported(std::string_view json) {
  const Result<PomeloEnvironments> read = parse_pomelo_file(json);
  return read ? import_pomelo(*read) : read.error().message();
}

// As Pomelo's chat example has it.
constexpr std::string_view kServers = R"({
  "development": {
    "connector": [
      {"id": "connector-server-1", "host": "127.0.0.1", "port": 4050, "clientPort": 3050, "frontend": true},
      {"id": "connector-server-2", "host": "127.0.0.1", "port": 4051, "clientPort": 3051, "frontend": true}],
    "chat": [{"id": "chat-server-1", "host": "127.0.0.1", "port": 6050}],
    "gate": [{"id": "gate-server-1", "host": "127.0.0.1", "clientPort": 3014, "frontend": true}]},
  "production": {
    "connector": [
      {"id": "c1", "host": "10.0.0.1", "port": 4050, "clientPort": 3050, "frontend": true},
      {"id": "c2", "host": "10.0.0.2", "port": 4050, "clientPort": 3050, "frontend": true}],
    "chat": [{"id": "chat-server-1", "host": "127.0.0.1", "port": 6050, "clusterCount": 3}],
    "gate": [{"id": "gate-server-1", "host": "127.0.0.1", "clientPort": 80, "frontend": true}]}})";

TEST(PomeloImport, MakesAPoolOfEachKindOfServers) {
  const std::string text = imported(kServers);
  EXPECT_THAT(text, HasSubstr("[listeners.gate]\naddress = \":3014\"\npool = \"gate\"\n"));
  EXPECT_THAT(text, HasSubstr("[pools.connector]\ncommand = [\"./server\", \"connector\"]"));
  EXPECT_THAT(text, HasSubstr("environment = { CLIENT_PORT = 3050 }\nintake = \"sdk\"\nworkers = 2\n"));
  EXPECT_THAT(text, HasSubstr("[pools.chat]\n"));
  EXPECT_THAT(text, Not(HasSubstr("[listeners.chat]")));
}

TEST(PomeloImport, OtherEnvironmentsSayOnlyWhatTheyHaveOtherwise) {
  const std::string text = imported(kServers);
  EXPECT_THAT(text, HasSubstr("[environments.production.pools.chat]\nworkers = 3\n"));
  EXPECT_THAT(text, HasSubstr("[environments.production.listeners.gate]\naddress = \":80\"\n"));
  EXPECT_THAT(text, Not(HasSubstr("[environments.production.pools.gate]")));
  EXPECT_THAT(text, HasSubstr("scope = \"fleet\""));
}

TEST(PomeloImport, WhatIsNoFileOfItIsTold) {
  EXPECT_THAT(imported("["), HasSubstr("no object of JSON"));
  EXPECT_THAT(imported(R"({"development": {"chat": {}}})"), HasSubstr("development: 'chat' is not a list"));
  EXPECT_THAT(imported(R"({"chat": [7]})"), HasSubstr("is not an object"));
  EXPECT_THAT(imported(R"({"chat": [{"id": "a"}]})"), HasSubstr("[pools.chat]")) << "a file of one environment";
}

}  // namespace
}  // namespace holdfast
