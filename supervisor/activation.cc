#include "activation.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "sys/fd_table.h"

namespace holdfast {

Result<std::vector<ListeningSocket>> Activation::take(const ActivatedAddress& address) {
  const auto is_other = [&](const GivenDescriptor& given) { return given.name != address.name; };
  const auto first = std::stable_partition(given_.begin(), given_.end(), is_other);
  if (first == given_.end()) {
    return Error{{},
                 "no service manager gave us a socket named '" + address.name +
                     (given_.empty() ? "': start the service by its socket unit, with Sockets= and FileDescriptorName="
                                     : "': it gave " + names() + " (FileDescriptorName= of the socket unit)")};
  }
  std::vector<GivenDescriptor> meant(std::make_move_iterator(first), std::make_move_iterator(given_.end()));
  given_.erase(first, given_.end());
  std::vector<ListeningSocket> sockets;
  for (GivenDescriptor& given : meant) {
    Result<ListeningSocket> socket = as_listener(std::move(given));
    if (!socket) return std::move(socket).error();
    sockets.push_back(*std::move(socket));
  }
  return sockets;
}

Outcome Activation::check_all_taken() const {
  if (given_.empty()) return Done{};
  return Error{{},
               "the service manager gave sockets that no listener takes: " + names() + " (write -l systemd:" +
                   given_.front().name + ", or address = \"systemd:" + given_.front().name + "\" for one)"};
}

std::vector<std::string> Activation::names_of_others(const std::map<std::string, std::int64_t>& saved) const {
  std::vector<std::string> names;
  for (const GivenDescriptor& given : given_) {
    const bool same =
        saved.contains(lasting_name("listener", given.fd)) || saved.contains(lasting_name("member", given.fd));
    if (!same) names.push_back(given.name);
  }
  return names;
}

std::string Activation::names() const {
  std::string names;
  for (const GivenDescriptor& given : given_) names += (names.empty() ? "" : ", ") + given.name;
  return names;
}

}  // namespace holdfast
