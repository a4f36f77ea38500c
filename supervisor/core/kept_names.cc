#include "core/kept_names.h"

#include <algorithm>
#include <iterator>

namespace holdfast {

KeptNames::Change KeptNames::change_to(const std::set<std::string>& wanted) {
  Change change;
  std::set_difference(wanted.begin(), wanted.end(), kept_.begin(), kept_.end(), std::back_inserter(change.given));
  std::set_difference(kept_.begin(), kept_.end(), wanted.begin(), wanted.end(), std::back_inserter(change.taken_back));
  kept_ = wanted;
  return change;
}

}  // namespace holdfast
