#include "wire/package_json.h"

#include "wire/json_members.h"

namespace holdfast {

namespace {

std::string text_of(const Json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

}  // namespace

Result<PackageJson> parse_package_json(std::string_view text) {
  const Json json = parse_json(text);
  if (!json.is_object()) return Error{{}, "understand a package.json that is not a JSON object"};
  PackageJson package{text_of(json, "version"), text_of(json, "main"), {}};
  const auto dependencies = json.find("dependencies");
  if (dependencies == json.end() || !dependencies->is_object()) return package;
  for (const auto& [name, version] : dependencies->items()) {
    package.dependencies[name] = version.is_string() ? version.get<std::string>() : "";
  }
  return package;
}

}  // namespace holdfast
