#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/ids.h"

namespace holdfast {

// A worker that makes session ids can put its slot into them: "ID~SLOT", the slot in decimal. '~' needs no escape in a URL or a
// cookie, and the usual alphabets of ids (hexadecimal, base64 in both forms, UUIDs) do not have it. A client can write
// any slot there: it chooses its worker by that, and nothing else.

[[nodiscard]] std::string tagged_id(std::string_view id, SlotId slot);
// Nothing if there is no tag, or none that a pool could have.
[[nodiscard]] std::optional<SlotId> slot_of_tag(std::string_view tagged);

}  // namespace holdfast
