// whoami: an HTTP server that tells which worker answers. README.md has what to try.
#include <holdfast/worker.hpp>

#include <csignal>
#include <cstdio>
#include <optional>
#include <string_view>
#include <vector>

#include "server.h"

namespace {

int show_usage(std::FILE* out) {
  (void)std::fputs(
      "usage: holdfast run -l ADDRESS -- whoami\n       whoami --listen ADDRESS    (without a supervisor, "
      "SO_REUSEPORT)\n",
      out);
  return out == stdout ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<const char*> standalone;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help") return show_usage(stdout);
    if (argument != "--listen" || i + 1 == argc) return show_usage(stderr);
    standalone.push_back(argv[++i]);
  }

  std::optional<holdfast::Worker> worker =
      holdfast::Worker::open({.standalone = standalone, .port = holdfast::Port::Shared});
  if (!worker) {
    (void)std::fprintf(stderr, "whoami: %s\n", hf_error_text());
    return 1;
  }
  // Standard error is a pipe to the supervisor: when that is gone, the word about it must not end us before our clients are served.
  (void)std::signal(SIGPIPE, SIG_IGN);
  whoami::Server server(*std::move(worker));
  return server.run();
}
