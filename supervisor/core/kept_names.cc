#include "core/kept_names.h"

#include <set>
#include <utility>

namespace holdfast {

KeptNames::Change KeptNames::change_to(const Files& wanted) {
  std::set<std::string> files;
  for (const auto& [name, file] : wanted) files.insert(file);
  Change change;
  Files next;
  for (const auto& [name, file] : kept_) {
    // Once is enough: of two names for one file the second was never his.
    if (files.erase(file) > 0) {
      next.emplace(name, file);
    } else {
      change.taken_back.push_back(name);
    }
  }
  for (const auto& [name, file] : wanted) {
    if (files.erase(file) == 0) continue;
    change.given.push_back(name);
    next.emplace(name, file);
  }
  kept_ = std::move(next);
  return change;
}

}  // namespace holdfast
