#pragma once

#include <set>
#include <string>
#include <vector>

namespace holdfast {

// Which descriptors somebody else keeps for us, by name, and what has to be said to him so that he keeps those that we have now.
//
// The order is what makes a sudden death harmless: first those that are new are given away, then the state that names them is
// written, then those that it no longer names are taken back. Whatever was the last thing done, the state finds all that it names.
class KeptNames {
 public:
  struct Change {
    std::vector<std::string> given;       // before the state is written
    std::vector<std::string> taken_back;  // after it
  };

  // What is kept already, at our start.
  void assume(std::set<std::string> names) { kept_ = std::move(names); }
  // `wanted` is what there is to be kept from now on. What is answered counts as done.
  [[nodiscard]] Change change_to(const std::set<std::string>& wanted);
  [[nodiscard]] const std::set<std::string>& names() const { return kept_; }

 private:
  std::set<std::string> kept_;
};

}  // namespace holdfast
