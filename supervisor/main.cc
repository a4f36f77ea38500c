#include <variant>

#include "client_commands.h"
#include "command_line.h"
#include "config_commands.h"
#include "sys/environment.h"

namespace {

struct Execute {
  int operator()(const holdfast::RunInvocation& run) const { return holdfast::run_supervisor(run); }
  int operator()(const holdfast::CheckInvocation& check) const { return holdfast::check_config(check); }
  int operator()(const holdfast::InitInvocation& init) const { return holdfast::write_default_config(init); }
  int operator()(const holdfast::CheckUpgradeInvocation& check) const { return holdfast::check_upgrade(check); }
  int operator()(const holdfast::ImportInvocation& import) const { return holdfast::import_config(import); }
  int operator()(const holdfast::VersionInvocation& version) const { return holdfast::print_version(version); }
  int operator()(const holdfast::ExitNow& now) const { return now.code; }
  template <class ClientInvocation>
  int operator()(const ClientInvocation& client) const {
    return holdfast::run_client(client);
  }
};

}  // namespace

int main(int argc, char** argv) {
  holdfast::open_standard_streams();
  return std::visit(Execute{}, holdfast::read_command_line(argc, argv));
}
