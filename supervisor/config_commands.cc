#include "config_commands.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/default_file.h"
#include "ctl/render_config.h"
#include "exit_code.h"
#include "front_doors.h"
#include "launch.h"
#include "load_config.h"
#include "master.h"
#include "standard_output.h"
#include "sys/machine.h"
#include "sys/program.h"
#include "sys/terminal.h"
#include "sys/text_file.h"
#include "takeover.h"
#include "upgrade/upgrade_check.h"

namespace holdfast {

namespace {

void complain(const std::vector<Mistake>& mistakes) {
  for (const Mistake& mistake : mistakes) {
    // FILE:LINE:COLUMN stands in front, where editors look for it.
    const char* const prefix = mistake.origin.kind == Origin::Kind::File ? "" : "holdfast: ";
    std::fprintf(stderr, "%s%s\n", prefix, to_text(mistake).c_str());
  }
}

// Adds what only this machine can tell of a configuration.
void find_mistakes_here(Assembled& assembled) {
  const auto expect = [&](const Outcome& outcome, const PoolConfig& pool, const char* key) {
    if (outcome) return;
    const auto origin = assembled.origins.find(KeyPath{Scope::Pool, pool.name, key, ""});
    const Origin where = origin == assembled.origins.end() ? Origin{} : origin->second;
    assembled.mistakes.push_back({where, outcome.error().message()});
  };
  for (const PoolConfig& pool : assembled.config.pools) {
    if (!pool.command.empty()) expect(check_program(pool.command.front(), pool.working_directory), pool, "command");
    expect(check_cpus(pool.cpus), pool, "cpus");
    // That it is not root who checks is no mistake.
    const Outcome known = check_account(pool);
    const bool forbidden = !known && known.error().code == std::errc::operation_not_permitted;
    if (!forbidden) expect(known, pool, pool.user.empty() ? "group" : "user");
  }
}

}  // namespace

int run_supervisor(const RunInvocation& invocation) {
  if (std::optional<Result<Takeover>> takeover = inherited_takeover()) {
    if (*takeover) return Master(**std::move(takeover), invocation.source).run();
    std::fprintf(stderr, "holdfast: %s\n", takeover->error().message().c_str());
    return kExitFailure;
  }
  Result<std::vector<GivenDescriptor>> given = take_given_descriptors();
  if (!given) {
    std::fprintf(stderr, "holdfast: %s\n", given.error().message().c_str());
    return kExitFailure;
  }
  if (std::optional<Result<KeptState>> kept = take_kept_state(*given)) {
    if (!*kept) {
      std::fprintf(stderr, "holdfast: %s: what it left is ended\n", kept->error().message().c_str());
      return kExitFailure;
    }
    Master master(**std::move(kept), invocation.source);
    master.set_activation(Activation(*std::move(given)));
    return master.run();
  }
  Assembled assembled = load_config(invocation.source);
  if (!assembled.mistakes.empty()) {
    complain(assembled.mistakes);
    return invocation.source.file.empty() ? kExitUsage : kExitBadConfig;
  }
  choose_workers(assembled.config);
  Master master(std::move(assembled.config), invocation.source);
  master.set_activation(Activation(*std::move(given)));
  return master.run();
}

int check_upgrade(const CheckUpgradeInvocation& invocation) {
  const auto refuse = [](const Error& why) {
    std::fprintf(stderr, "%s\n", why.message().c_str());
    return kExitFailure;
  };
  const Result<Takeover> takeover = read_takeover(BorrowedFd(invocation.state));
  if (!takeover) return refuse(takeover.error());
  // After the exec there would be nobody who knows what they said before.
  if (const Outcome read = check_lists(takeover->config.listeners); !read) return refuse(read.error());
  return print(std::string(kTakesOver) + HOLDFAST_VERSION + "\n");
}

int check_config(const CheckInvocation& invocation) {
  Assembled assembled = load_config(invocation.source);
  find_mistakes_here(assembled);
  complain(assembled.mistakes);
  const int verdict = assembled.mistakes.empty() ? kExitOk : kExitBadConfig;
  if (invocation.form == OutputForm::Json) {
    const int printed = print(config_json(assembled) + "\n");
    return verdict == kExitOk ? printed : verdict;
  }
  if (verdict != kExitOk) return verdict;
  return print(render_config(assembled, standard_output_is_terminal() ? Colours::On : Colours::Off));
}

int write_default_config(const InitInvocation& invocation) {
  if (invocation.path == "-") return print(default_file());
  const Outcome written = create_text_file(invocation.path, default_file());
  if (written) {
    return print("wrote " + invocation.path + ": choose an address and a command in it, then `holdfast check -c " +
                 invocation.path + "`\n");
  }
  const Error& error = written.error();
  const bool exists = error.code == std::errc::file_exists;
  std::fprintf(stderr, "holdfast: %s%s\n", error.message().c_str(),
               exists ? " (it is left as it is: choose another name, or - for the standard output)" : "");
  return kExitFailure;
}

}  // namespace holdfast
