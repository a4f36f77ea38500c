// The servers of a game, one program: `game gate`, `game connector`, `game chat`, under holdfast (game.toml).
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "chat.h"
#include "connector.h"
#include "gate.h"

namespace {

std::string variable(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

int run(const char* kind) {
  std::optional<holdfast::Worker> worker = holdfast::Worker::open();
  if (!worker) {
    game::complain(holdfast::Worker::error_text());
    return 1;
  }
  boost::asio::io_context context(1);
  const auto port = static_cast<std::uint16_t>(std::atoi(variable("GAME_PORT", "3050").c_str()));
  if (std::strcmp(kind, "gate") == 0) {
    game::Gate(context, *worker, variable("GAME_HOST", "127.0.0.1"), port).run();
  } else if (std::strcmp(kind, "connector") == 0) {
    game::Connector(context, *worker, port).run();
  } else {
    game::Chat(context, *worker).run();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_known = argc == 2 && (std::strcmp(argv[1], "gate") == 0 || std::strcmp(argv[1], "connector") == 0 ||
                                      std::strcmp(argv[1], "chat") == 0);
  if (is_known) return run(argv[1]);
  (void)std::fprintf(
      stderr, "usage: game gate|connector|chat, under holdfast: holdfast run -c game.toml --environment development\n");
  return 2;
}
