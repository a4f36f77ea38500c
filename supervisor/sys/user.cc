#include "sys/user.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

namespace holdfast {

namespace {

// The number that a text is.
std::optional<id_t> number_of(const std::string& text) {
  id_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Error missing(const std::string& what, const std::string& name) {
  // What it is set to where there is just no such name differs from source to source.
  if (errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ERANGE || errno == EINTR) {
    return Error{std::error_code(errno, std::generic_category()), "look up the " + what + " " + name};
  }
  return Error{{}, "there is no " + what + " '" + name + "'"};
}

// All lookups are made by the one thread there is.
struct Account {
  std::string name;  // empty for a number that nobody has
  uid_t user = 0;
  gid_t group = 0;
};

Result<Account> account_of(const std::string& user) {
  errno = 0;
  const std::optional<id_t> number = user.empty() ? ::geteuid() : number_of(user);
  const passwd* entry = user.empty() ? nullptr : ::getpwnam(user.c_str());  // NOLINT(concurrency-mt-unsafe)
  if (entry == nullptr && number) entry = ::getpwuid(*number);              // NOLINT(concurrency-mt-unsafe)
  if (entry != nullptr) return Account{entry->pw_name, entry->pw_uid, entry->pw_gid};
  if (user.empty()) return Account{"", *number, ::getegid()};
  if (number) return Error{{}, "user " + user + " has no entry, so a group must be given too"};
  return missing("user", user);
}

Result<gid_t> group_of(const std::string& group) {
  errno = 0;
  const ::group* const entry = ::getgrnam(group.c_str());  // NOLINT(concurrency-mt-unsafe)
  if (entry != nullptr) return entry->gr_gid;
  if (const std::optional<id_t> number = number_of(group)) return *number;
  return missing("group", group);
}

std::vector<gid_t> groups_of(const std::string& name, gid_t group) {
  if (name.empty()) return {group};
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(name.c_str(), group, groups.data(), &count) < 0) groups.resize(static_cast<std::size_t>(count));
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

}  // namespace

Result<Credentials> credentials_of(const std::string& user, const std::string& group) {
  Result<Account> account = account_of(user);
  const bool only_number = !account && !group.empty() && number_of(user);
  if (!account && !only_number) return std::move(account).error();
  const Account who = only_number ? Account{"", *number_of(user), 0} : *std::move(account);
  Credentials credentials{who.user, who.group, {}};
  if (!group.empty()) {
    const Result<gid_t> chosen = group_of(group);
    if (!chosen) return chosen.error();
    credentials.group = *chosen;
  }
  credentials.groups = groups_of(who.name, credentials.group);
  return credentials;
}

Outcome check_may_become(const Credentials& credentials, const std::string& user) {
  if (::geteuid() == 0) return Done{};
  if (credentials.user == ::geteuid() && credentials.group == ::getegid()) return Done{};
  return Error{std::make_error_code(std::errc::operation_not_permitted), "start workers as " + user};
}

}  // namespace holdfast
