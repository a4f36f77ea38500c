#include "worker/capture.h"

#include <cerrno>
#include <utility>
#include <variant>

namespace holdfast {
namespace {

// What the caller brought upon itself and will hear from the kernel, or what is over because the caller is: nothing of
// ours has failed.
bool is_callers_affair(const Error& error) {
  return error.code == std::errc::bad_address || error.code == std::errc::invalid_argument ||
         error.code == std::errc::bad_file_descriptor || error.code == std::errc::not_a_socket ||
         error.code == std::errc::no_such_process;
}

// The caller was taken out of its call before its socket could be exchanged.
bool is_gone(const Error& error) {
  return error.code == std::errc::no_such_file_or_directory || error.code == std::errc::no_such_process;
}

int errno_of(const Error& error) {
  const bool is_errno = error.code && error.code.category() == std::generic_category();
  return is_errno ? error.code.value() : EADDRNOTAVAIL;
}

bool is_same_family(AskedAddress::Family asked, SocketDomain domain) {
  return asked == (domain == SocketDomain::Inet ? AskedAddress::Family::Inet : AskedAddress::Family::Inet6);
}

}  // namespace

Capture::Capture(Loop& loop, UniqueFd notifications, std::vector<ManagedAddress> managed, Resolver resolver,
                 Hooks hooks)
    : notifications_(std::move(notifications)),
      managed_(std::move(managed)),
      resolver_(std::move(resolver)),
      hooks_(std::move(hooks)),
      watcher_(loop, notifications_, [this](FdWatcher::Ready) { on_ready(); }) {
  watcher_.watch(FdWatcher::Interest::Readable);
}

Outcome Capture::add_socket(std::size_t listener, BorrowedFd socket) {
  const Result<SocketFacts> facts = socket_facts(socket);
  if (!facts) return facts.error();
  listeners_.insert_or_assign(facts->cookie, listener);
  return Done{};
}

// One call a turn: a worker that binds without end keeps nobody else waiting.
void Capture::on_ready() {
  const Result<CallOrNone> received = receive_call(notifications_);
  if (received && std::holds_alternative<InterceptedCall>(*received))
    return decide(std::get<InterceptedCall>(*received));
  if (received && std::get<NoCall>(*received) == NoCall::Now) return;
  watcher_.watch(FdWatcher::Interest::None);  // nobody is left, or the kernel gives no calls: it would never stop
  if (!received) hooks_.on_failed(received.error());
}

void Capture::decide(const InterceptedCall& call) {
  const Result<Verdict> verdict = call.kind == InterceptedCall::Kind::Bind ? decide_bind(call) : decide_listen(call);
  if (verdict && *verdict == Verdict::Answered) return;
  if (!verdict && !is_callers_affair(verdict.error())) hooks_.on_failed(verdict.error());
  (void)let_call_through(notifications_, call);  // who does not wait any more needs no answer
}

Result<Capture::Verdict> Capture::decide_bind(const InterceptedCall& call) {
  const Result<AskedAddress> asked = asked_address(call);
  if (!asked) return asked.error();
  const Result<UniqueFd> socket = socket_of(call);
  if (!socket) return socket.error();
  const Result<SocketFacts> facts = socket_facts(*socket);
  if (!facts) return facts.error();
  // From here on what was seen is true of the caller.
  if (!still_waits(notifications_, call)) return Verdict::Answered;

  const bool restarted = is_restarted(call, *asked);
  const auto known = listeners_.find(facts->cookie);
  if (known != listeners_.end() && restarted) return succeed(call, asked->text, known->second);
  if (facts->bound) return Verdict::LetThrough;

  std::optional<std::size_t> listener;
  if (facts->transport && facts->domain && is_same_family(asked->family, *facts->domain)) {
    listener = managed_listener(managed_, {.transport = *facts->transport,
                                           .domain = *facts->domain,
                                           .v6_only = facts->v6_only,
                                           .address = asked->address,
                                           .port = asked->port});
  }
  if (listener) return exchange(call, asked->text, *listener, *facts, *socket);
  report_other(*asked, *facts);
  return Verdict::LetThrough;
}

Result<Capture::Verdict> Capture::decide_listen(const InterceptedCall& call) {
  if (listeners_.empty()) return Verdict::LetThrough;
  const Result<UniqueFd> socket = socket_of(call);
  if (!socket) return socket.error();
  const Result<SocketFacts> facts = socket_facts(*socket);
  if (!facts) return facts.error();
  if (!still_waits(notifications_, call)) return Verdict::Answered;
  (void)take_success_of(call.thread);  // its bind has returned
  const auto known = listeners_.find(facts->cookie);
  if (known == listeners_.end()) return Verdict::LetThrough;
  if (answer_call(notifications_, call, 0) == Answered::Delivered) hooks_.on_listen(known->second, call.thread);
  return Verdict::Answered;
}

std::optional<Capture::Success> Capture::take_success_of(pid_t thread) {
  if (!last_success_ || last_success_->call.thread != thread) return std::nullopt;
  return std::exchange(last_success_, std::nullopt);
}

// The kernel restarts a call with the same arguments.
bool Capture::is_restarted(const InterceptedCall& call, const AskedAddress& asked) {
  const std::optional<Success> before = take_success_of(call.thread);
  return before && before->call.fd == call.fd && before->call.address == call.address &&
         before->call.length == call.length && before->address == asked.text;
}

Result<Capture::Verdict> Capture::exchange(const InterceptedCall& call, const std::string& address,
                                           std::size_t listener, const SocketFacts& facts, BorrowedFd theirs) {
  const auto refuse = [&](const Error& error) {
    hooks_.on_failed(error);
    (void)answer_call(notifications_, call, errno_of(error));
    return Verdict::Answered;
  };
  const Result<BorrowedFd> ours = resolver_(listener, *facts.domain);
  if (!ours) return refuse(ours.error());
  const Result<SocketFacts> our_facts = socket_facts(*ours);
  if (!our_facts) return refuse(our_facts.error());
  if (our_facts->network != facts.network) return Verdict::LetThrough;

  adopt_options(theirs, *ours);
  const Result<bool> close_on_exec = closes_on_exec(call);
  if (!close_on_exec) return close_on_exec.error();
  if (const Outcome set = set_non_blocking(*ours, facts.non_blocking); !set) return refuse(set.error());
  const Outcome exchanged = exchange_socket(notifications_, call, *ours, *close_on_exec);
  if (!exchanged && is_gone(exchanged.error())) return Verdict::Answered;
  if (!exchanged) return refuse(exchanged.error());
  listeners_.insert_or_assign(our_facts->cookie, listener);
  return succeed(call, address, listener);
}

Capture::Verdict Capture::succeed(const InterceptedCall& call, const std::string& address, std::size_t listener) {
  last_success_ = Success{call, address};
  if (answer_call(notifications_, call, 0) == Answered::Delivered) hooks_.on_captured(listener, call.thread);
  return Verdict::Answered;
}

void Capture::report_other(const AskedAddress& asked, const SocketFacts& facts) {
  const bool is_inet = asked.family == AskedAddress::Family::Inet || asked.family == AskedAddress::Family::Inet6;
  const bool is_datagram = facts.transport == Transport::Datagram;
  if (asked.family == AskedAddress::Family::Other || (is_datagram && asked.port == 0)) return;
  hooks_.on_other_bind(is_inet && is_datagram ? "udp://" + asked.text : asked.text);
}

}  // namespace holdfast
