#pragma once

#include <map>
#include <string>
#include <vector>

namespace holdfast {

// Which descriptors somebody else keeps for us, by name, and what has to be said to him so that he keeps those that we have now.
//
// The order is what makes a sudden death harmless: first those that are new are given away, then the state that names them is
// written, then those that it no longer names are taken back. Whatever was the last thing done, the state finds all that it names.
//
// He keeps each open file once. One that has several names lies with him under the first that it was given by, and stays there as
// long as any of its names is wanted.
class KeptNames {
 public:
  using Files = std::map<std::string, std::string>;  // name -> which open file that is
  struct Change {
    std::vector<std::string> given;       // before the state is written
    std::vector<std::string> taken_back;  // after it
  };

  // What is kept already, at our start.
  void assume(Files kept) { kept_ = std::move(kept); }
  // `wanted` is what there is to be kept from now on. What is answered counts as done, unless he could not be told of it: then it
  // is answered again the next time.
  [[nodiscard]] Change change_to(const Files& wanted);
  void was_not_given(const std::string& name) { kept_.erase(name); }
  void was_not_taken_back(const std::string& name) { kept_.emplace(name, std::string()); }  // no file has this name
  [[nodiscard]] const Files& kept() const { return kept_; }

 private:
  Files kept_;
};

}  // namespace holdfast
