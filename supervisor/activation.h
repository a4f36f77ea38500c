#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/result.h"
#include "sys/activation.h"

namespace holdfast {

// The sockets that a service manager opened for us, until the listeners that name them take them.
class Activation {
 public:
  Activation() = default;
  explicit Activation(std::vector<GivenDescriptor> given) : given_(std::move(given)) {}

  // All sockets of the name that the listener's address says. An error if there is none, or if one is no listener.
  [[nodiscard]] Result<std::vector<ListeningSocket>> take(const ActivatedAddress& address);
  // An error that names the sockets that nobody has taken: their clients would wait for ever.
  [[nodiscard]] Outcome check_all_taken() const;
  // The names of those that are not among the listeners of a saved state (sys/fd_table.h).
  [[nodiscard]] std::vector<std::string> names_of_others(const std::map<std::string, std::int64_t>& saved) const;

 private:
  [[nodiscard]] std::string names() const;

  std::vector<GivenDescriptor> given_;
};

}  // namespace holdfast
