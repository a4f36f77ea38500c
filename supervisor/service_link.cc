#include "service_link.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "sys/service_manager.h"

namespace holdfast {

ServiceLink::ServiceLink(Loop& loop, std::function<ServiceState()> look)
    : loop_(loop),
      look_(std::move(look)),
      present_(has_service_manager()),
      watchdog_(watchdog_interval()),
      extending_(loop, [this] { extend(); }),
      beating_(loop, [this] { beat(); }) {
  if (!present_) return;
  extend();
  if (watchdog_) beat();
}

void ServiceLink::on_change() {
  if (!present_ || std::exchange(due_, true)) return;
  loop_.defer([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    due_ = false;
    tell();
  });
}

void ServiceLink::tell_now() {
  if (present_) tell();
}

void ServiceLink::tell() {
  const ServiceState state = look_();
  while (const std::optional<std::string> lines = news_.on_state(state, loop_.now())) send(*lines);
  extend();
}

void ServiceLink::extend() {
  const std::optional<std::string> lines = news_.on_period();
  if (!lines) return extending_.disarm();
  send(*lines);
  extending_.arm(loop_.now() + kExtensionPeriod);
}

void ServiceLink::beat() {
  send("WATCHDOG=1");
  beating_.arm(loop_.now() + *watchdog_ / 2);
}

void ServiceLink::send(const std::string& lines) {
  const Outcome sent = tell_service_manager(lines);
  if (sent) return;
  if (!std::exchange(told_of_failure_, true)) spdlog::warn("{}: it is tried again", sent.error().message());
}

}  // namespace holdfast
