#pragma once

#include "config/config.h"

namespace holdfast {

// The intake that a pool starts with: the one that was wished; where that is auto, Node's if the command is Node.js with
// a script, or a dialect of Node.js was asked for. In the plane steer such workers are captured like any other program.
[[nodiscard]] Intake chosen_intake(const PoolConfig& pool);

}  // namespace holdfast
