#pragma once

#include <string>
#include <utility>

#include "config/options.h"

namespace holdfast {

// How the table of options is written: a row is made of a name and of a member, whose type chooses how values are read and told.

inline constexpr auto kSupervisor = [](auto& config, const Place&) -> auto& { return config; };
inline constexpr auto kListener = [](auto& config, const Place& place) -> auto& {
  return config.listeners[place.index];
};
inline constexpr auto kPool = [](auto& config, const Place& place) -> auto& { return config.pools[place.index]; };

// `owner` finds the struct, `access` names the member; its type chooses how values are read and told.
template <class Owner, class Access>
Option row(Scope scope, Owner owner, std::string key, std::string value_name, std::string group, Effect effect,
           std::string help, Access access) {
  Option option{std::move(key), scope, std::move(value_name), std::move(group), effect, std::move(help), {}, {}};
  option.flag = "--" + option.key;
  option.set = [owner, access](Config& config, const Place& place, const Value& value) {
    return read_value(value, access(owner(config, place)));
  };
  option.get = [owner, access](const Config& config, const Place& place) {
    return value_of(access(owner(config, place)));
  };
  return option;
}

template <class Access>
Option supervisor_row(std::string key, std::string value_name, std::string group, Effect effect, std::string help,
                      Access access) {
  return row(Scope::Supervisor, kSupervisor, std::move(key), std::move(value_name), std::move(group), effect,
             std::move(help), access);
}

template <class Access>
Option pool_row(std::string key, std::string value_name, std::string group, Effect effect, std::string help,
                Access access) {
  return row(Scope::Pool, kPool, std::move(key), std::move(value_name), std::move(group), effect, std::move(help),
             access);
}

// The command line has no flag for it: it stands in the file, or behind --set.
inline Option without_flag(Option option) {
  option.flag.clear();
  return option;
}

template <class Access>
Option listener_row(std::string key, std::string value_name, std::string group, Effect effect, std::string help,
                    Access access) {
  return without_flag(row(Scope::Listener, kListener, std::move(key), std::move(value_name), std::move(group), effect,
                          std::move(help), access));
}

}  // namespace holdfast
