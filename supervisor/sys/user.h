#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/result.h"

namespace holdfast {

// As whom a process runs.
struct Credentials {
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> groups;  // all of the user's, `group` too
};

// Names or numbers; an empty user is the present one, an empty group that of the user. Errors say which of the two there is not,
// and have no code; that the lookup itself failed has one.
[[nodiscard]] Result<Credentials> credentials_of(const std::string& user, const std::string& group);

// Whether this process may start others with these credentials: EPERM if it would have to be root, or what it is already.
[[nodiscard]] Outcome check_may_become(const Credentials& credentials, const std::string& user);

}  // namespace holdfast
