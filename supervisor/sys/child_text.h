#pragma once

#include <string>
#include <vector>

#include "sys/spawn.h"

namespace holdfast {

// The texts of a plan in the form that the child of a fork can use: in memory of their own, where the child may write
// its process id, and null-terminated as exec wants them.
class ChildText {
 public:
  explicit ChildText(const SpawnPlan& plan);
  ChildText(const ChildText&) = delete;
  ChildText& operator=(const ChildText&) = delete;

  // What exec would cut short or misread without a word, and names that a receiver of sockets would: to be asked before
  // a ChildText is made.
  [[nodiscard]] static bool is_exact(const SpawnPlan& plan);

  [[nodiscard]] const std::vector<std::string>& candidates() const { return candidates_; }  // paths to try in order
  [[nodiscard]] char* const* candidate_pointers() const { return candidate_pointers_.data(); }
  [[nodiscard]] char* const* arguments() const { return argument_pointers_.data(); }
  [[nodiscard]] char* const* environment() const { return variable_pointers_.data(); }
  [[nodiscard]] const std::vector<char*>& pid_markers() const { return pid_markers_; }  // the last of a string first

 private:
  std::vector<std::string> candidates_;
  std::vector<std::string> arguments_;
  std::vector<std::string> variables_;  // NAME=VALUE
  std::vector<char*> candidate_pointers_;
  std::vector<char*> argument_pointers_;
  std::vector<char*> variable_pointers_;
  std::vector<char*> pid_markers_;
};

}  // namespace holdfast
