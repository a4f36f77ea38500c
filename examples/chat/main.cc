// A chat for the browser: rooms whose people are served by many workers. `chat [--machine NAME]`, under holdfast.
#include <holdfast/worker.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstring>
#include <string>

#include "server.h"

namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "here";
}

}  // namespace

int main(int argc, char** argv) {
  const bool has_machine = argc == 3 && std::strcmp(argv[1], "--machine") == 0;
  if (argc != 1 && !has_machine) {
    (void)std::fprintf(stderr, "usage: holdfast run -l :8080 -w 4 -- chat [--machine NAME]\n");
    return 2;
  }
  hf_worker* worker = nullptr;
  if (hf_open(nullptr, &worker) < 0) {
    (void)std::fprintf(stderr, "chat: %s\n", hf_error_text());
    return 1;
  }
  {
    boost::asio::io_context context(1);
    chat::Server(context, worker, has_machine ? argv[2] : host_name()).run();
  }
  hf_close(worker);
  return 0;
}
