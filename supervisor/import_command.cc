#include <cstdio>
#include <string>
#include <vector>

#include "config/pm2_import.h"
#include "config/pomelo_import.h"
#include "config_commands.h"
#include "exit_code.h"
#include "standard_output.h"
#include "sys/program_output.h"
#include "sys/text_file.h"
#include "wire/pm2_file.h"
#include "wire/pomelo_file.h"

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

Result<std::string> imported(const ImportInvocation& invocation) {
  const bool is_pomelo = invocation.format == "pomelo";
  const Result<std::string> json = is_pomelo ? read_text_file(invocation.path, kLongestFile) : json_of(invocation.path);
  if (!json) return json.error();
  const auto at_fault = [&](const Error& error) { return Error{{}, invocation.path + ": " + error.message()}; };
  if (is_pomelo) {
    const Result<PomeloEnvironments> environments = parse_pomelo_file(*json);
    return environments ? Result<std::string>(import_pomelo(*environments)) : at_fault(environments.error());
  }
  const Result<std::vector<Pm2App>> apps = parse_pm2_file(*json);
  return apps ? Result<std::string>(import_pm2(*apps)) : at_fault(apps.error());
}

}  // namespace

int import_config(const ImportInvocation& invocation) {
  const Result<std::string> text = imported(invocation);
  if (text) return print(*text);
  std::fprintf(stderr, "holdfast: %s\n", text.error().message().c_str());
  return kExitFailure;
}

}  // namespace holdfast
