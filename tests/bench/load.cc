// holdfast-load: clients for measuring and for tests. It only aims at this machine.
#include <chrono>
#include <cstdio>
#include <map>
#include <string>

#include <sys/resource.h>

#include <CLI/CLI.hpp>

#include "clients.h"

namespace holdfast {
namespace {

constexpr int kUsage = 2;
constexpr std::uint64_t kMostConnectionsHeld = 1'000'000;

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::chrono::nanoseconds from_seconds(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

const char* name_of(LoadOptions::Mode mode) {
  switch (mode) {
    case LoadOptions::Mode::Short:
      return "short";
    case LoadOptions::Mode::Keep:
      return "keep";
    case LoadOptions::Mode::Hold:
      return "hold";
  }
  return "";
}

int run(int argc, char** argv) {
  LoadOptions options;
  std::string target;
  double time_limit = 10;
  double timeout = 5;
  bool check_stickiness = false;
  bool announce = false;

  CLI::App app{"Makes connections to a server on this machine and reports on one line of JSON what became of them."};
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);  // a script may append what it changes
  app.add_option("target", target, "127.0.0.1:PORT (any address of 127/8), [::1]:PORT, unix:/PATH or unix:@NAME")
      ->required();
  const std::map<std::string, LoadOptions::Mode> modes{
      {"short", LoadOptions::Mode::Short}, {"keep", LoadOptions::Mode::Keep}, {"hold", LoadOptions::Mode::Hold}};
  app.add_option(
         "--mode", options.mode,
         "short: connect, one request, close. keep: requests on kept connections. hold: connections kept in silence")
      ->transform(CLI::CheckedTransformer(modes));
  app.add_option("--at-a-time", options.at_a_time, "How many requests are under way at once")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--limit", options.limit, "How many connections (keep: requests) in all")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--seconds", time_limit, "After this time nothing new is started")->capture_default_str();
  app.add_option("--timeout", timeout, "Seconds that an answer may take")->capture_default_str();
  app.add_option("--sources", options.sources, "How many addresses the clients come from, 127.1.0.1 and up (IPv4 only)")
      ->check(CLI::Range(1u, kMostSources))
      ->capture_default_str();
  app.add_option("--path", options.path, "What is asked for")->capture_default_str();
  app.add_option(
      "--field", options.field,
      "A header field of each request, {source} being a number that is the client's: 'Cookie: sid={source}'");
  app.add_flag("--proxied", options.proxied, "Begin each connection with a PROXY header, version 2, as a proxy does");
  app.add_flag("--check-stickiness", check_stickiness, "Count the answers whose \"slot\" is not their source's first");
  app.add_flag("--announce", announce,
               "A line of JSON when the first requests are under way, all are held, or the measuring begins");
  app.add_option("--stop-file", options.stop_file, "End as soon as this file exists");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }

  const std::optional<Target> parsed = Target::parse(target);
  if (!parsed) {
    std::fprintf(stderr, "holdfast-load: target \"%s\": not an address of this machine; try 127.0.0.1:8080\n",
                 target.c_str());
    return kUsage;
  }
  options.target = *parsed;
  if (!options.target.has_many_sources()) options.sources = 1;
  if (options.mode == LoadOptions::Mode::Hold && options.limit > kMostConnectionsHeld) {
    std::fprintf(stderr, "holdfast-load: --limit %llu is more than can be held; give at most %llu\n",
                 static_cast<unsigned long long>(options.limit), static_cast<unsigned long long>(kMostConnectionsHeld));
    return kUsage;
  }
  options.time_limit = from_seconds(time_limit);
  options.timeout = from_seconds(timeout);
  options.stickiness = check_stickiness ? Report::Stickiness::Checked : Report::Stickiness::Ignored;
  options.announce = announce ? LoadOptions::Announce::Progress : LoadOptions::Announce::Nothing;

  raise_descriptor_limit();
  Report report;
  Clients clients(options, report);
  const std::chrono::nanoseconds wall = clients.run();
  std::printf("%s\n", report.json(name_of(options.mode), wall, options.stickiness).c_str());
  return 0;
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) { return holdfast::run(argc, argv); }
