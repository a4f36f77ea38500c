#include "ctl/render_route.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <string_view>

namespace holdfast {

namespace {

std::string hexadecimal(std::uint32_t hash) {
  std::array<char, 16> text{};
  (void)std::snprintf(text.data(), text.size(), "0x%08x", static_cast<unsigned>(hash));
  return text.data();
}

std::string verdict(const RouteAnswer& answer, Colours colours) {
  if (!answer.refused.empty()) return "is " + styled("refused", Style::Bad, colours) + " (" + answer.refused + ")";
  const bool has_home = !answer.preference.empty();
  const std::string home = "slot " + std::to_string(answer.home);
  if (!answer.slot) {
    return "goes to " + styled("nowhere", Style::Bad, colours) + ": no slot is available" +
           (has_home ? " (its home is " + home + ")" : "");
  }
  const std::string slot = "goes to " + styled("slot " + std::to_string(*answer.slot), Style::Bold, colours);
  if (!has_home) return slot + ", were it the next to come: " + answer.placement + " looks at no client";
  if (answer.decided_by == "tag") return slot + ", which its session id names";
  if (*answer.slot == answer.home) return slot + ", its home";
  return slot + " while its home, " + home + ", " + styled("does not take it", Style::Warning, colours);
}

// Slots from the first choice on; 256 of them would be no help to anybody.
std::string preference_text(const RouteAnswer& answer) {
  constexpr std::size_t kShown = 16;
  std::string text;
  for (std::size_t i = 0; i < answer.preference.size() && i < kShown; ++i) {
    text += (i == 0 ? "" : " ") + std::to_string(answer.preference[i]);
  }
  const std::size_t more = answer.preference.size() > kShown ? answer.preference.size() - kShown : 0;
  return more == 0 ? text : text + " and " + std::to_string(more) + " more";
}

// The lines below the verdict.
class Steps {
 public:
  explicit Steps(Colours colours) : colours_(colours) {}

  void add(std::string_view name, const std::string& value) {
    std::string label = "  " + std::string(name);
    label.resize(14, ' ');
    text_ += styled(label, Style::Dim, colours_) + value + "\n";
  }
  void add_unless_empty(std::string_view name, const std::string& value) {
    if (!value.empty()) add(name, fitted(value, 80));
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  Colours colours_;
  std::string text_;
};

std::string route_text(const RouteAnswer& answer) {
  if (!answer.route.empty()) return fitted(answer.route, 80);
  return answer.routes == 0 ? "the listener has none: its own pool" : "none holds: the listener's own pool";
}

// How it came to its pool.
void add_way_to_pool(const RouteAnswer& answer, Steps& steps) {
  steps.add_unless_empty("listener", answer.listener);
  if (!answer.address_from.empty())
    steps.add("address", answer.address_from == "proxy-header" ? "told by a PROXY header" : "of the connection itself");
  if (!answer.listener.empty()) steps.add("route", route_text(answer));
  steps.add_unless_empty("first bytes", answer.missing);
}

void add_placement(const RouteAnswer& answer, RouteDetail detail, Steps& steps) {
  const bool is_plain = answer.key_name == "remote-address" && detail == RouteDetail::Placement;
  if (answer.decided_by != "load")
    steps.add("key", fitted(answer.key, 50) + (is_plain ? "" : "  by " + fitted(answer.key_name, 50)));
  if (answer.decided_by == "bucket") {
    steps.add("hash", hexadecimal(answer.hash));
    steps.add("bucket", std::to_string(answer.bucket) + " of " + std::to_string(answer.buckets));
  }
  if (answer.decided_by != "bucket" || detail == RouteDetail::All) steps.add("placement", answer.placement);
  steps.add("pool", fitted(answer.pool, 50));
  if (!answer.preference.empty()) steps.add("preference", preference_text(answer));
}

}  // namespace

std::string render_route(const RouteAnswer& answer, RouteDetail detail, Colours colours) {
  Steps steps(colours);
  if (detail == RouteDetail::All) add_way_to_pool(answer, steps);
  if (!answer.pool.empty()) add_placement(answer, detail, steps);
  if (detail == RouteDetail::All) {
    if (answer.slot) steps.add("weight", std::to_string(answer.weight));
    if (answer.holder) steps.add("holder", "process " + std::to_string(*answer.holder));
    for (const std::string& limit : answer.limits) steps.add("limit", fitted(limit, 80));
  }
  constexpr std::size_t kLongestAddress = 45;
  return fitted(answer.address, kLongestAddress) + " " + verdict(answer, colours) + "\n" + steps.text();
}

}  // namespace holdfast
