#include "config/listener_text.h"

#include <algorithm>

namespace holdfast {

namespace {

struct Found {
  std::size_t at = std::string_view::npos;  // of the comma
  const Option* option = nullptr;
  std::size_t value = 0;
};

// The first ",KEY=" from `from` on.
Found find_key(std::string_view text, std::size_t from) {
  Found first;
  for (const Option& option : options()) {
    if (option.scope != Scope::Listener || option.key == "address") continue;
    const std::string wanted = "," + option.key + "=";
    const std::size_t at = text.find(wanted, from);
    if (at < first.at) first = {at, &option, at + wanted.size()};
  }
  return first;
}

}  // namespace

ListenerText split_listener_text(std::string_view text) {
  Found key = find_key(text, 0);
  ListenerText split{text.substr(0, key.at), {}};
  while (key.option != nullptr) {
    const Found next = find_key(text, key.value);
    const std::size_t end = std::min(next.at, text.size());
    split.given.push_back({key.option, std::string(text.substr(key.value, end - key.value))});
    key = next;
  }
  return split;
}

}  // namespace holdfast
