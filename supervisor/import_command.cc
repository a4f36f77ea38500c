#include <cstdio>
#include <string>
#include <vector>

#include "config/pm2_import.h"
#include "config_commands.h"
#include "exit_code.h"
#include "standard_output.h"
#include "sys/program_output.h"
#include "sys/text_file.h"
#include "wire/pm2_file.h"

namespace holdfast {

namespace {

constexpr std::size_t kLongestFile = std::size_t{1} << 20;

// A configuration of PM2 is a program: only Node.js can tell what it says.
Result<std::string> json_of(const std::string& path) {
  if (path.ends_with(".yaml") || path.ends_with(".yml")) {
    return Error{{}, path + ": YAML is not read: give it in JSON, or as ecosystem.config.js"};
  }
  if (path.ends_with(".json")) return read_text_file(path, kLongestFile);
  constexpr const char* kScript =
      "const file = require('path').resolve(process.argv[1]);"
      "(async () => { let value;"
      "  try { value = require(file); } catch (error) {"
      "    if (error.code !== 'ERR_REQUIRE_ESM') throw error;"
      "    value = (await import(require('url').pathToFileURL(file))).default; }"
      "  process.stdout.write(JSON.stringify(value.default || value)); })()"
      "  .catch((error) => { console.error(String(error)); process.exit(1); });";
  return output_of({"node", "-e", kScript, "--", path});
}

}  // namespace

int import_config(const ImportInvocation& invocation) {
  const Result<std::string> json = json_of(invocation.path);
  const Result<std::vector<Pm2App>> apps = json ? parse_pm2_file(*json) : Result<std::vector<Pm2App>>(json.error());
  if (apps) return print(import_pm2(*apps));
  const std::string about = json ? invocation.path + ": " : "";
  std::fprintf(stderr, "holdfast: %s%s\n", about.c_str(), apps.error().message().c_str());
  return kExitFailure;
}

}  // namespace holdfast
