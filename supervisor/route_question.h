#pragma once

#include <memory>
#include <vector>

#include "config/config.h"
#include "core/result.h"
#include "pool.h"
#include "wire/clients_answer.h"
#include "wire/control_message.h"
#include "wire/route_answer.h"

namespace holdfast {

// Answers `route ADDRESS`: leads a client that is only described through the front door and the placement of its listener, with the
// code that decides for real ones, and changes nothing. Arguments of the request:
//
//   address      the client's
//   proxied      true: a PROXY header has told it (where every connection begins with one, it always has)
//   listener     where it connects to; without it that of the configuration which is first
//   pool         in the place of a listener: straight to the pool, past every door
//   head         of an HTTP request, as it is on the wire
//   server_name  that its TLS hello asks for, and alpn, the protocols that it offers, separated by commas
//
// Errors: an argument that is none, or names what there is not.
[[nodiscard]] Result<RouteAnswer> answer_route(const ControlRequest& request,
                                               const std::vector<ListenerConfig>& listeners,
                                               const std::vector<std::unique_ptr<Pool>>& pools);

// Answers `clients`: what the front doors remember of the sources. Arguments: listener (without it all), and count, how many of each.
[[nodiscard]] Result<ClientsAnswer> answer_clients(const ControlRequest& request,
                                                   const std::vector<ListenerConfig>& listeners,
                                                   const std::vector<std::unique_ptr<Pool>>& pools);

}  // namespace holdfast
