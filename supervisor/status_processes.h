#pragma once

#include "wire/status.h"

namespace holdfast {

// Adds what the system knows of the workers' processes, whatever they are: their memory, and how many connections a departing one
// has open that does not tell. Costs a look at all processes of this machine: for who asks, and for nobody else.
void look_at_processes(Status& status);

}  // namespace holdfast
