#pragma once

namespace holdfast {

// How the messages of a Node.js channel are written. The supervisor chooses, and the worker is told by its environment.
enum class NodeSerialization {
  Json,      // a line of JSON for each
  Advanced,  // V8's own: it knows bytes, dates, maps, and values that are in themselves
};

}  // namespace holdfast
