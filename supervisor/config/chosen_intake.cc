#include "config/chosen_intake.h"

#include "core/node_command.h"

namespace holdfast {

Intake chosen_intake(const PoolConfig& pool) {
  if (pool.intake != Intake::Auto || pool.plane == Plane::Steer) return pool.intake;
  const bool by_command = runs_node(pool.command) && !why_no_node_worker(pool.command);
  return by_command || pool.node.dialect != NodeDialect::Auto ? Intake::Node : Intake::Auto;
}

}  // namespace holdfast
