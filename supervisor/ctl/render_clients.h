#pragma once

#include <string>

#include "ctl/table.h"
#include "wire/clients_answer.h"

namespace holdfast {

// `holdfast clients` for people.
[[nodiscard]] std::string render_clients(const ClientsAnswer& answer, Colours colours);

}  // namespace holdfast
