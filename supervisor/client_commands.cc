#include "client_commands.h"

#include <optional>
#include <string>
#include <utility>

#include "asking.h"
#include "core/ip_address.h"
#include "ctl/render_clients.h"
#include "ctl/render_route.h"
#include "ctl/render_scale.h"
#include "ctl/render_status.h"
#include "exit_code.h"
#include "standard_output.h"
#include "sys/terminal.h"
#include "wire/clients_answer.h"
#include "wire/reload_answer.h"
#include "wire/route_answer.h"
#include "wire/scale_answer.h"
#include "wire/status.h"
#include "wire/upgrade_answer.h"

namespace holdfast {

namespace {

constexpr Duration kPatience = std::chrono::seconds(10);
// A renewal of many slots, or a stop, may take as long as the workers are given; the supervisor bounds it, so this only ends what has
// gone wrong.
constexpr Duration kLongPatience = std::chrono::hours(24);

Colours colours() { return standard_output_is_terminal() ? Colours::On : Colours::Off; }

// Prints the answer as it came, or in the words that `render` makes of it.
template <class Render>
int print_answer(const ControlResponse& response, OutputForm form, Render render) {
  if (const auto* failure = std::get_if<ControlFailure>(&response)) return complain(failure->error, failure->exit_code);
  const std::string& json = std::get<ControlSuccess>(response).result;
  if (form == OutputForm::Json) return print(json + "\n");
  const Result<std::string> text = render(json);
  if (!text) return complain(text.error().message(), kExitFailure);
  return print(*text);
}

ControlRequest request_of(std::string verb, const SlotTarget& slots, Waiting waiting) {
  ControlRequest request{std::move(verb), {}};
  if (!slots.pool.empty()) request.arguments["pool"] = slots.pool;
  if (slots.slot) request.arguments["slot"] = std::int64_t{*slots.slot};
  if (waiting == Waiting::Yes) request.arguments["wait"] = true;
  return request;
}

// The head of the request that the options describe; empty: they describe none.
Result<std::string> head_of(const RouteInvocation& route) {
  if (route.request_target.empty() && route.headers.empty()) return std::string();
  std::string head = "GET " + (route.request_target.empty() ? "/" : route.request_target) + " HTTP/1.1\r\n";
  for (const std::string& header : route.headers) {
    if (header.find(':') == std::string::npos)
      return Error{{}, "'" + header + "' is no field of a request: write for instance 'Cookie: sid=1'"};
    head += header + "\r\n";
  }
  head += "\r\n";
  return head;
}

Result<ControlRequest> request_of(const RouteInvocation& route) {
  ControlRequest request{"route", {{"address", route.address}}};
  const Result<std::string> head = head_of(route);
  if (!head) return head.error();
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) request.arguments[name] = value;
  };
  add("head", *head);
  add("pool", route.pool);
  add("listener", route.listener);
  add("server_name", route.server_name);
  add("alpn", route.alpn);
  if (route.is_proxied) request.arguments["proxied"] = true;
  return request;
}

}  // namespace

int run_client(const StatusInvocation& invocation) {
  const ControlRequest request{"status", {{"processes", true}}};
  return print_answer(ask(invocation.target, request, kPatience), invocation.form,
                      [](const std::string& json) -> Result<std::string> {
                        const Result<Status> status = parse_status(json);
                        if (!status) return status.error();
                        return render_status(*status, colours());
                      });
}

int run_client(const ClientsInvocation& invocation) {
  ControlRequest request{"clients", {{"count", std::int64_t{invocation.count}}}};
  if (!invocation.listener.empty()) request.arguments["listener"] = invocation.listener;
  return print_answer(ask(invocation.target, request, kPatience), invocation.form,
                      [](const std::string& json) -> Result<std::string> {
                        const Result<ClientsAnswer> answer = parse_clients_answer(json);
                        if (!answer) return answer.error();
                        return render_clients(*answer, colours());
                      });
}

int run_client(const RouteInvocation& invocation) {
  if (!IpAddress::parse(invocation.address)) {
    return complain("'" + invocation.address + "' is not an IPv4 or IPv6 address", kExitUsage);
  }
  const Result<ControlRequest> request = request_of(invocation);
  if (!request) return complain(request.error().message(), kExitUsage);
  return print_answer(ask(invocation.target, *request, kPatience), invocation.form,
                      [&](const std::string& json) -> Result<std::string> {
                        const Result<RouteAnswer> answer = parse_route_answer(json);
                        if (!answer) return answer.error();
                        const RouteDetail detail = invocation.explain ? RouteDetail::All : RouteDetail::Placement;
                        return render_route(*answer, detail, colours());
                      });
}

int run_client(const RestartInvocation& invocation) {
  const ControlRequest request = request_of("restart", invocation.slots, invocation.waiting);
  return print_answer(
      ask(invocation.target, request, kLongPatience), invocation.form, [&](const std::string&) -> Result<std::string> {
        return std::string(invocation.waiting == Waiting::Yes ? "restarted\n" : "restarting (see `holdfast status`)\n");
      });
}

int run_client(const DrainInvocation& invocation) {
  const bool on = invocation.draining == Draining::On;
  const ControlRequest request = request_of(on ? "drain" : "undrain", invocation.slots, invocation.waiting);
  return print_answer(ask(invocation.target, request, kLongPatience), invocation.form,
                      [&](const std::string&) -> Result<std::string> {
                        if (invocation.waiting == Waiting::Yes)
                          return std::string(on ? "drained\n" : "serving again\n");
                        return std::string(on ? "draining" : "starting a worker") + " (see `holdfast status`)\n";
                      });
}

int run_client(const ScaleInvocation& invocation) {
  ControlRequest request = request_of("scale", {invocation.pool, std::nullopt}, invocation.waiting);
  request.arguments["size"] = std::int64_t{invocation.size};
  if (invocation.only_tell) request.arguments["dry_run"] = true;
  return print_answer(ask(invocation.target, request, kLongPatience), invocation.form,
                      [&](const std::string& json) -> Result<std::string> {
                        const Result<ScaleAnswer> answer = parse_scale_answer(json);
                        if (!answer) return answer.error();
                        return render_scale(*answer, invocation.only_tell);
                      });
}

int run_client(const ReloadInvocation& invocation) {
  return print_answer(ask(invocation.target, request_of("reload", {}, invocation.waiting), kLongPatience),
                      invocation.form, [](const std::string& json) -> Result<std::string> {
                        const Result<ReloadAnswer> answer = parse_reload_answer(json);
                        if (!answer) return answer.error();
                        return answer->text + (answer->done ? "\n" : " (see `holdfast status`)\n");
                      });
}

int run_client(const StopInvocation& invocation) {
  ControlRequest request{"stop", {}};
  if (invocation.waiting == Waiting::Yes) request.arguments["wait"] = true;
  return print_answer(
      ask(invocation.target, request, kLongPatience), invocation.form, [&](const std::string&) -> Result<std::string> {
        return std::string(invocation.waiting == Waiting::Yes ? "stopped\n" : "stopping (see `holdfast status`)\n");
      });
}

int run_client(const UpgradeInvocation& invocation) {
  ControlRequest request = request_of("upgrade", {}, invocation.waiting);
  if (!invocation.binary.empty()) request.arguments["binary"] = invocation.binary;
  return print_answer(ask(invocation.target, request, kLongPatience), invocation.form,
                      [](const std::string& json) -> Result<std::string> {
                        const Result<UpgradeAnswer> answer = parse_upgrade_answer(json);
                        if (!answer) return answer.error();
                        if (!answer->done) return std::string("upgrading (see `holdfast status`)\n");
                        return "holdfast " + answer->version + " has taken over (epoch " +
                               std::to_string(answer->epoch) + ")\n";
                      });
}

int print_version(const VersionInvocation& invocation) {
  return print(invocation.form == OutputForm::Json ? "{\"version\":\"" HOLDFAST_VERSION "\"}\n"
                                                   : "holdfast " HOLDFAST_VERSION "\n");
}

}  // namespace holdfast
