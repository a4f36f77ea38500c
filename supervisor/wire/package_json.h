#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// What we want to know of a package of Node.js.
struct PackageJson {
  std::string version;
  std::string main;                                 // the file that stands for the directory; empty: index.js
  std::map<std::string, std::string> dependencies;  // name -> version as required; not those of its developers
};
// Members of another kind than they should be are as if they were not there: npm itself is patient with them.
[[nodiscard]] Result<PackageJson> parse_package_json(std::string_view text);

}  // namespace holdfast
