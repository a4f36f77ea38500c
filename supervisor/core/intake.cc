#include "core/intake.h"

#include <utility>

namespace holdfast {

bool Settlement::on_sign(Intake intake) {
  if (wished_ != Intake::Auto) return false;
  if (found_ && found_ != Intake::ListenFds) return false;
  return std::exchange(found_, intake) != intake;
}

bool Settlement::on_ready_without_sign() {
  if (wished_ != Intake::Auto || found_) return false;
  found_ = Intake::ListenFds;
  return true;
}

void Settlement::forgo_steering() {
  wished_plane_ = Plane::Pass;
  if (wished_ == Intake::Auto) found_ = Intake::Sdk;
}

std::optional<Intake> Settlement::intake() const {
  if (wished_ != Intake::Auto) return wished_;
  return found_;
}

Plane Settlement::plane() const {
  const std::optional<Intake> settled = intake();
  if (settled == Intake::None) return Plane::Self;
  if (settled == Intake::Node) return Plane::Pass;
  if (settled == Intake::Sdk && wished_plane_ != Plane::Steer) return Plane::Pass;
  return Plane::Steer;
}

Settlement::Offer Settlement::offer() const {
  const std::optional<Intake> settled = intake();
  // Whom we only conclude to have taken the inherited sockets is offered the rest as well.
  if (!settled || (wished_ == Intake::Auto && settled == Intake::ListenFds)) {
    return {.channel = true, .sockets = wished_plane_ == Plane::Steer, .listen_fds = true, .capture = true};
  }
  return {.channel = settled == Intake::Sdk,
          .sockets = settled == Intake::Sdk && plane() == Plane::Steer,
          .listen_fds = settled == Intake::ListenFds,
          .capture = settled == Intake::Capture,
          .node = settled == Intake::Node};
}

}  // namespace holdfast
