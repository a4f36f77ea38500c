#include "node_program.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "sys/text_file.h"
#include "wire/package_json.h"

namespace holdfast {

namespace {

using std::filesystem::path;

// A bundle of a large application, and more.
constexpr std::size_t kLongest = std::size_t{8} * 1024 * 1024;

// Of a regular file: what comes through a pipe is for the worker.
std::optional<std::string> text_of(const path& file) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) return std::nullopt;
  Result<std::string> text = read_text_file(file.string(), kLongest);
  return text ? std::optional(*std::move(text)) : std::nullopt;
}

std::optional<PackageJson> package_in(const path& directory) {
  const std::optional<std::string> text = text_of(directory / "package.json");
  if (!text) return std::nullopt;
  Result<PackageJson> package = parse_package_json(*text);
  return package ? std::optional(*std::move(package)) : std::nullopt;
}

// As Node.js looks for the file that is meant.
path file_of(const path& script) {
  std::error_code ignored;
  if (std::filesystem::is_directory(script, ignored)) {
    const std::optional<PackageJson> package = package_in(script);
    return package && !package->main.empty() ? file_of(script / package->main) : script / "index.js";
  }
  if (std::filesystem::exists(script, ignored)) return script;
  return path(script).concat(".js");
}

}  // namespace

NodeProgram read_node_program(const std::vector<std::string>& command, const std::string& working_directory) {
  NodeProgram program;
  const std::optional<std::string> script = node_script_in(command);
  if (!script) return program;
  std::error_code failed;
  const path file = std::filesystem::canonical(file_of(path(working_directory) / *script), failed);
  if (failed) return program;
  program.script = text_of(file).value_or("");
  for (path directory = file.parent_path();; directory = directory.parent_path()) {
    if (const std::optional<PackageJson> package = package_in(directory)) {
      program.dependencies = package->dependencies;
      // What is there counts for more than what was asked for.
      for (auto& [name, version] : program.dependencies) {
        const std::optional<PackageJson> installed = package_in(directory / "node_modules" / name);
        if (installed && !installed->version.empty()) version = installed->version;
      }
      return program;
    }
    if (directory == directory.root_path()) return program;
  }
}

}  // namespace holdfast
