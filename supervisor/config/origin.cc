#include "config/origin.h"

#include "config/value.h"

namespace holdfast {

namespace {

std::string with_position(const Origin& origin) {
  if (origin.position.line == 0) return origin.name;
  return origin.name + ":" + std::to_string(origin.position.line) + ":" + std::to_string(origin.position.column);
}

}  // namespace

std::string to_text(const KeyPath& path) {
  std::string text = "supervisor";
  if (path.scope == Scope::Bus) text = "bus";
  if (path.scope == Scope::Pool) text = "pools." + key_text(path.name);
  if (path.scope == Scope::Listener) text = "listeners." + key_text(path.name);
  if (!path.key.empty()) text += "." + path.key;
  if (!path.entry.empty()) text += "." + key_text(path.entry);
  return text;
}

std::string to_text(const Origin& origin) {
  if (origin.kind == Origin::Kind::Default) return "default";
  if (origin.kind != Origin::Kind::File || origin.position.line == 0) return origin.name;
  return origin.name + ":" + std::to_string(origin.position.line);
}

std::string to_text(const Mistake& mistake) {
  return mistake.origin.kind == Origin::Kind::File ? with_position(mistake.origin) + ": " + mistake.text : mistake.text;
}

}  // namespace holdfast
