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
  const std::string home = "slot " + std::to_string(answer.home);
  if (!answer.slot) return styled("nowhere", Style::Bad, colours) + ": no slot is available (its home is " + home + ")";
  const std::string slot = styled("slot " + std::to_string(*answer.slot), Style::Bold, colours);
  if (*answer.slot == answer.home) return slot + ", its home";
  return slot + " while its home, " + home + ", " + styled("is not available", Style::Warning, colours);
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

}  // namespace

std::string render_route(const RouteAnswer& answer, Colours colours) {
  const auto line = [&](std::string_view name, const std::string& value) {
    std::string label = "  " + std::string(name);
    label.resize(14, ' ');
    return styled(label, Style::Dim, colours) + value + "\n";
  };
  return fitted(answer.address, 45) + " goes to " + verdict(answer, colours) + "\n" +  // 45: the longest address
         line("key", fitted(answer.key, 50)) + line("hash", hexadecimal(answer.hash)) +
         line("bucket", std::to_string(answer.bucket) + " of " + std::to_string(answer.buckets)) +
         line("pool", fitted(answer.pool, 50)) + line("preference", preference_text(answer));
}

}  // namespace holdfast
