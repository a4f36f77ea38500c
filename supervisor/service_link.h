#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "core/time.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "wire/service_news.h"

namespace holdfast {

// Tells the service manager that started us how we are, and from the loop that we live (WATCHDOG=1): a loop that stands still
// is a supervisor that hangs. Does nothing where there is no such manager.
class ServiceLink {
 public:
  // `look` answers how things stand; it is asked after each `on_change`, outside of the caller.
  ServiceLink(Loop& loop, std::function<ServiceState()> look);

  void on_change();
  // The same at once: somebody is about to hear elsewhere what the manager must know first.
  void tell_now();

 private:
  void tell();
  void extend();
  void beat();
  void send(const std::string& lines);

  Loop& loop_;
  const std::function<ServiceState()> look_;
  const bool present_;
  const std::optional<Duration> watchdog_;
  bool told_of_failure_ = false;
  bool due_ = false;
  ServiceNews news_;
  Timer extending_;
  Timer beating_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what is deferred looks whether we are
};

}  // namespace holdfast
