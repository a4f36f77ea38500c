#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace holdfast {

// Where control sockets live, for the supervisor that makes one and for the subcommand that looks for it.
//
//   root                      /run/holdfast/NAME.sock
//   others                    $XDG_RUNTIME_DIR/holdfast/NAME.sock
//   others without a session  /tmp/holdfast-UID/NAME.sock
//
// Anybody can make a directory in /tmp first. So ours is used only if it is a directory, not a link to one, belongs to
// us and nobody else may write in it.
struct ControlHome {
  uid_t user = 0;
  std::string runtime_directory;  // XDG_RUNTIME_DIR if that is an absolute path to a directory of `user`; else empty
};
[[nodiscard]] ControlHome control_home();  // of this process

[[nodiscard]] std::string control_directory(const ControlHome& home);
// An error if the directory is not there, or is not one that may be trusted.
[[nodiscard]] Outcome check_control_directory(const std::string& directory, uid_t user);
// Makes it (0700) if it is missing.
[[nodiscard]] Outcome make_control_directory(const std::string& directory, uid_t user);

// DIRECTORY/NAME.sock. A name is one path component that does not begin with a dot, and short enough for the path of a
// socket.
[[nodiscard]] Result<std::string> control_path(const std::string& directory, std::string_view name);
// The names that have a socket in the directory, live or not, sorted.
[[nodiscard]] std::vector<std::string> control_names(const std::string& directory);

}  // namespace holdfast
