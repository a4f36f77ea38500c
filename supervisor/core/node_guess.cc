#include "core/node_guess.h"

#include <algorithm>
#include <array>
#include <set>

namespace holdfast {

namespace {

// What is written in quotes in a program of that dialect.
struct Literal {
  std::string_view text;
  NodeDialect dialect;
};
// Of sticky-session the version decides, and of sticky-cluster nothing need be known: its workers call listen().
constexpr std::array<Literal, 3> kPackages{{
    {"sticky-session", NodeDialect::StickySession},
    {"sticky-listen", NodeDialect::StickyListen},
    {"@socket.io/sticky", NodeDialect::SocketIo},
}};
// Recipes have the words themselves, and so have bundles, into which the package has gone.
constexpr std::array<Literal, 2> kWords{{
    {"sticky-session:connection", NodeDialect::StickySession0},
    {"sticky:connection", NodeDialect::SocketIo},
}};

bool has_literal(std::string_view script, std::string_view text) {
  const auto is_quote = [](char c) { return c == '\'' || c == '"' || c == '`'; };
  for (std::size_t at = script.find(text); at != std::string_view::npos; at = script.find(text, at + 1)) {
    const std::size_t end = at + text.size();
    if (at > 0 && end < script.size() && is_quote(script[at - 1]) && script[end] == script[at - 1]) return true;
  }
  return false;
}

// "0.1.4", "^0.1", "~0.x"
bool is_before_one(std::string_view version) {
  const std::size_t digit = version.find_first_of("0123456789");
  if (digit == std::string_view::npos || version[digit] != '0') return false;
  return digit + 1 == version.size() || version[digit + 1] == '.';
}

NodeDialect dialect_of(const Literal& package, const NodeProgram& program) {
  const auto version = program.dependencies.find(std::string(package.text));
  const bool old = package.dialect == NodeDialect::StickySession && version != program.dependencies.end() &&
                   is_before_one(version->second);
  return old ? NodeDialect::StickySession0 : package.dialect;
}

// Of several dialects none is a guess.
class Guesses {
 public:
  void add(NodeDialect dialect, std::string why) {
    found_.insert(dialect);
    why_ = std::move(why);
  }
  [[nodiscard]] bool empty() const { return found_.empty(); }
  [[nodiscard]] std::optional<NodeGuess> only() const {
    return found_.size() == 1 ? std::optional(NodeGuess{*found_.begin(), why_}) : std::nullopt;
  }

 private:
  std::set<NodeDialect> found_;
  std::string why_;
};

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Options of Node.js that take the next word.
bool takes_a_word(std::string_view option) {
  constexpr std::array<std::string_view, 12> kOptions{
      "-r",           "--require",  "--import", "--loader",     "--experimental-loader", "-C",
      "--conditions", "--env-file", "--title",  "--input-type", "--icu-data-dir",        "--openssl-config"};
  return std::find(kOptions.begin(), kOptions.end(), option) != kOptions.end();
}

bool is_script(std::string_view word) {
  constexpr std::array<std::string_view, 6> kEndings{".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"};
  return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) { return word.ends_with(ending); });
}

}  // namespace

std::optional<NodeGuess> guess_node_dialect(const NodeProgram& program, const NodeSigns& signs) {
  Guesses in_script;
  for (const Literal& package : kPackages) {
    if (has_literal(program.script, package.text)) {
      in_script.add(dialect_of(package, program), "its script names '" + std::string(package.text) + "'");
    }
  }
  for (const Literal& word : kWords) {
    if (has_literal(program.script, word.text)) {
      in_script.add(word.dialect, "its script has the words '" + std::string(word.text) + "'");
    }
  }
  if (!in_script.empty()) return in_script.only();
  Guesses in_package;
  for (const Literal& package : kPackages) {
    if (program.dependencies.contains(std::string(package.text))) {
      in_package.add(dialect_of(package, program), "its package.json needs " + std::string(package.text));
    }
  }
  if (!in_package.empty()) return in_package.only();
  // An adapter may speak long before its server listens; whoever says 'ready' has nothing more to open.
  if (!signs.said_ready) return std::nullopt;
  if (signs.adapter_spoke) return NodeGuess{NodeDialect::SocketIo, "it has said 'ready', and has Socket.IO's adapter"};
  return NodeGuess{NodeDialect::Plain, "it has said 'ready'"};
}

std::optional<std::string> node_script_in(const std::vector<std::string>& command) {
  const auto program = std::find_if(command.begin(), command.end(), [](const std::string& word) {
    return file_name(word) != "env" && word.find('=') == std::string::npos;
  });
  if (program == command.end()) return std::nullopt;
  // Deno and the like have a command before the script: there its ending must tell.
  const bool is_node = file_name(*program).starts_with("node");
  for (auto word = program + 1; word != command.end(); ++word) {
    if (takes_a_word(*word)) {
      if (++word == command.end()) break;
    } else if (!word->starts_with('-') && (is_node || is_script(*word))) {
      return *word;
    }
  }
  return std::nullopt;
}

}  // namespace holdfast
