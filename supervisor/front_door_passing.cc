// The part of the front door that gives connections on to their pools.
#include <utility>

#include "front_door.h"

namespace holdfast {

namespace {

// Between two looks whether others are closed: short beside what a connection lives.
constexpr Duration kLookForRoom = std::chrono::milliseconds(10);

}  // namespace

void FrontDoor::hand_over(const Way& way, const Target& target, Arrival arrival) {
  Queued arrived{&way, &target, target.dispatcher->described(std::move(arrival)), loop_.now()};
  // Who waits has come first.
  const bool has_room = queue_.empty() && keeper_->has_room();
  if (!has_room) return queue(std::move(arrived));
  pass_on(std::move(arrived));
}

void FrontDoor::queue(Queued queued) {
  if (queue_.size() >= own_pool().wait_limit)
    return refuse_by_choice(*queued.way, std::move(queued.connection.fd), Refusal::TotalConnections);
  if (queue_.empty()) room_.arm(loop_.now() + kLookForRoom);
  queue_.push_back(std::move(queued));
}

void FrontDoor::pass_on(Queued queued) {
  const Target& target = *queued.target;
  Connection& connection = queued.connection;
  if (target.alive.expired()) return refuse_by_choice(*queued.way, std::move(connection.fd), Refusal::Removed);
  keeper_->on_passed_on(connection.fd);
  const Target& home = queued.way->front();
  if (target.dispatcher != home.dispatcher) {
    account_of(home).count_passed_on();
    account_of(target).count_adopted();
  }
  target.dispatcher->arrive(std::move(connection));
  if (std::exchange(flush_due_, true)) return;
  // Those that a turn of accepting has brought go together.
  loop_.defer([this, alive = alive_] {
    if (*alive) flush_guests();
  });
}

void FrontDoor::look_for_room() {
  while (!queue_.empty() && keeper_->has_room()) {
    Queued first = std::move(queue_.front());
    queue_.pop_front();
    pass_on(std::move(first));
  }
  while (!queue_.empty() && loop_.now() - queue_.front().since >= own_pool().wait_timeout) {
    Queued first = std::move(queue_.front());
    queue_.pop_front();
    refuse_by_choice(*first.way, std::move(first.connection.fd), Refusal::TotalConnections);
  }
  if (!queue_.empty()) room_.arm(loop_.now() + kLookForRoom);
}

void FrontDoor::let_all_in() {
  for (Queued& queued : std::exchange(queue_, {})) pass_on(std::move(queued));
  room_.disarm();
  flush_guests();
}

void FrontDoor::flush_guests() {
  if (!std::exchange(flush_due_, false)) return;
  for (const Target& target : ways_.front()) {  // the pools of every way
    if (!target.alive.expired()) target.dispatcher->flush_adopted();
  }
}

}  // namespace holdfast
