#include "load_config.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/bucket_table.h"
#include "sys/machine.h"
#include "sys/text_file.h"

namespace holdfast {

Assembled load_config(const ConfigSource& source) {
  if (source.file.empty()) return assemble(std::nullopt, source.given);
  constexpr std::size_t kLongest = 1 << 20;  // ten thousand times what a large one needs
  Result<std::string> text = read_text_file(source.file, kLongest);
  if (text) return assemble(ConfigFile{source.file, *std::move(text)}, source.given);
  Assembled nothing;
  const Error& error = text.error();
  const bool missing = error.code == std::errc::no_such_file_or_directory;
  nothing.mistakes.push_back({{Origin::Kind::CommandLine, "-c", {}, ""},
                              error.message() + (missing ? " (`holdfast init " + source.file + "` writes one)" : "")});
  return nothing;
}

void choose_workers(Config& config) {
  const unsigned cpus = std::min(usable_cpus(), kMaxSlots);
  for (PoolConfig& pool : config.pools) {
    if (pool.workers != 0) continue;
    pool.workers = cpus;
    pool.workers_auto = true;
  }
}

}  // namespace holdfast
