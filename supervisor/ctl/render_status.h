#pragma once

#include <string>

#include "core/time.h"
#include "ctl/table.h"
#include "wire/status.h"

namespace holdfast {

// `holdfast status` for people: at most 100 columns, whatever names and numbers there are.
[[nodiscard]] std::string render_status(const Status& status, Colours colours);

// "850ms", "12s", "4m 10s", "3h 5m", "12d 4h".
[[nodiscard]] std::string short_duration(Duration duration);
// "999999", "12.3M": at most seven characters.
[[nodiscard]] std::string short_count(std::uint64_t count);
// Of memory, in units of 1024: "812K", "97M", "1.2G": at most four characters below an exabyte.
[[nodiscard]] std::string short_bytes(std::uint64_t bytes);
// "SIGKILL", "SIGSEGV, core", "code 3": the words that tell, of the sentence in SlotStatus::last_exit.
[[nodiscard]] std::string short_exit(const std::string& last_exit);

}  // namespace holdfast
