#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "core/result.h"

namespace holdfast {

// The text form of each type of value that an option can have. An error says what is wrong with the text and what would
// be right.

[[nodiscard]] Result<Duration> parse_duration(
    std::string_view text);                            // "250us", "500ms", "2s", "1.5s", "5m", "1h", "0"
[[nodiscard]] std::string to_text(Duration duration);  // the shortest of those forms

[[nodiscard]] Outcome parse_value(std::string_view text, Duration& value);
[[nodiscard]] Outcome parse_value(std::string_view text, unsigned& value);
[[nodiscard]] Outcome parse_value(std::string_view text, int& value);
[[nodiscard]] Outcome parse_value(std::string_view text, std::string& value);
[[nodiscard]] Outcome parse_value(std::string_view text, std::vector<int>& value);  // "2,78", "none"
[[nodiscard]] Outcome parse_value(std::string_view text, CpuList& value);           // "0-3,8", "all"
[[nodiscard]] Outcome parse_value(std::string_view text, ResourceLimits& value);    // "nofile=65536,core=0", "none"
[[nodiscard]] Outcome parse_value(std::string_view text, FileMask& value);          // "0027", "none"
[[nodiscard]] Outcome parse_value(std::string_view text, Overflow& value);
[[nodiscard]] Outcome parse_value(std::string_view text, Fleet::StartOrder& value);
[[nodiscard]] Outcome parse_value(std::string_view text, Fleet::RestartGroup& value);
[[nodiscard]] Outcome parse_value(std::string_view text, DrainWait& value);
[[nodiscard]] Outcome parse_value(std::string_view text, SignalName& value);  // "TERM", "SIGTERM"
[[nodiscard]] Outcome parse_value(std::string_view text, LogLevel& value);
[[nodiscard]] Outcome parse_value(std::string_view text, BusFull& value);
[[nodiscard]] Outcome parse_value(std::string_view text, KeepState& value);
[[nodiscard]] Outcome parse_value(std::string_view text, Intake& value);
[[nodiscard]] Outcome parse_value(std::string_view text, Plane& value);
[[nodiscard]] Outcome parse_value(std::string_view text, NodeDialect& value);
[[nodiscard]] Outcome parse_value(std::string_view text, NodeConfig::Ready& value);
[[nodiscard]] Outcome parse_value(std::string_view text, NodeConfig::Farewell& value);
[[nodiscard]] Outcome parse_value(std::string_view text, NodeConfig::Messages& value);
[[nodiscard]] Outcome parse_value(std::string_view text, NodeSerialization& value);
[[nodiscard]] Outcome parse_value(std::string_view text, NodeConfig::StickyBy& value);
[[nodiscard]] Outcome parse_value(std::string_view text, HealthAction& value);
[[nodiscard]] Outcome parse_value(std::string_view text, ByteCount& value);  // "512M", "65536", "0"
[[nodiscard]] Outcome parse_value(std::string_view text, HashKey& value);    // 16 hexadecimal digits
[[nodiscard]] Outcome parse_value(std::string_view text, ListenAddress& value);

[[nodiscard]] std::string value_text(Duration value);
[[nodiscard]] std::string value_text(unsigned value);
[[nodiscard]] std::string value_text(int value);
[[nodiscard]] std::string value_text(const std::string& value);
[[nodiscard]] std::string value_text(const std::vector<int>& value);
[[nodiscard]] std::string value_text(const CpuList& value);
[[nodiscard]] std::string value_text(const ResourceLimits& value);
[[nodiscard]] std::string value_text(FileMask value);
[[nodiscard]] std::string value_text(Overflow value);
[[nodiscard]] std::string value_text(Fleet::StartOrder value);
[[nodiscard]] std::string value_text(Fleet::RestartGroup value);
[[nodiscard]] std::string value_text(DrainWait value);
[[nodiscard]] std::string value_text(SignalName value);
[[nodiscard]] std::string value_text(LogLevel value);
[[nodiscard]] std::string value_text(BusFull value);
[[nodiscard]] std::string value_text(KeepState value);
[[nodiscard]] std::string value_text(Intake value);
[[nodiscard]] std::string value_text(Plane value);
[[nodiscard]] std::string value_text(NodeDialect value);
[[nodiscard]] std::string value_text(NodeConfig::Ready value);
[[nodiscard]] std::string value_text(NodeConfig::Farewell value);
[[nodiscard]] std::string value_text(NodeConfig::Messages value);
[[nodiscard]] std::string value_text(NodeSerialization value);
[[nodiscard]] std::string value_text(NodeConfig::StickyBy value);
[[nodiscard]] std::string value_text(HealthAction value);
[[nodiscard]] std::string value_text(ByteCount value);
[[nodiscard]] std::string value_text(HashKey value);
[[nodiscard]] std::string value_text(const ListenAddress& value);  // with what is chosen for the file of a path

// "[NAME=]ADDRESS". A listener without a name gets `default_name`.
[[nodiscard]] Result<ListenerConfig> parse_listener(std::string_view text, std::string_view default_name);
// Names of listeners, pools and supervisors: 1 to 64 of letters, digits, '.', '_', '-', and no '.' or '-' in front.
[[nodiscard]] bool is_name(std::string_view text);

}  // namespace holdfast
