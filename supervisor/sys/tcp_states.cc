#include "sys/tcp_states.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "sys/loopback_pair.h"
#include "sys/sockets.h"

namespace holdfast {

namespace {

// So many are asked about in one message; their answers fit into the smallest receive buffer.
constexpr std::size_t kAtOnce = 32;

struct Question {
  nlmsghdr header;
  inet_diag_req_v2 request;
};

void write_address(const IpAddress& address, std::uint32_t (&words)[4]) {
  for (unsigned i = 0; i < (address.is_v6() ? 4U : 1U); i++) words[i] = htonl(address.word(i));
}

// IPv4 is asked for as IPv4, also where the socket is one of both families: they share a table.
Question question_about(const ConnectionEnds& ends, std::uint32_t number) {
  Question question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.header.nlmsg_seq = number;
  inet_diag_req_v2& request = question.request;
  request.sdiag_family = ends.remote.is_v6() ? AF_INET6 : AF_INET;
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = ~std::uint32_t{0};
  request.id.idiag_sport = htons(ends.local_port);
  request.id.idiag_dport = htons(ends.remote_port);
  write_address(ends.local, request.id.idiag_src);
  write_address(ends.remote, request.id.idiag_dst);
  request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return question;
}

// An answer is a datagram of its own: a header, and either an error or what was found.
struct Answer {
  nlmsghdr header;
  union {
    nlmsgerr error;
    inet_diag_msg found;
  };
};

// A listener that is found instead of the connection is none.
bool is_open(const Answer& answer) {
  if (answer.header.nlmsg_type == NLMSG_ERROR) return answer.error.error != -ENOENT;
  return answer.found.idiag_state == TCP_ESTABLISHED || answer.found.idiag_state == TCP_CLOSE_WAIT;
}

}  // namespace

Result<TcpStates> TcpStates::open() {
  const std::string doing = "ask the kernel which connections are open (sock_diag)";
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG));
  if (!socket) return last_error(doing);
  TcpStates states(std::move(socket));
  // A kernel that knows nothing of TCP here says of every connection that there is none.
  const Result<LoopbackPair> pair = make_loopback_pair();
  if (!pair) return Error{pair.error().code, doing + ": " + pair.error().doing};
  const ConnectionEnds open = ends_of(pair->theirs.fd).value_or(ConnectionEnds{});
  ConnectionEnds closed = open;
  closed.remote_port = 0;
  const std::vector<bool> answers = states.are_open(std::array{open, closed});
  if (!answers[0] || answers[1]) return Error{{}, doing + ": it does not tell; the module tcp_diag may be missing"};
  return states;
}

std::vector<bool> TcpStates::are_open(std::span<const ConnectionEnds> connections) const {
  std::vector<bool> open;
  open.reserve(connections.size());
  while (!connections.empty()) {
    const std::size_t count = std::min(connections.size(), kAtOnce);
    ask(connections.first(count), open);
    connections = connections.subspan(count);
  }
  return open;
}

// Appends an answer for each. The kernel has answered by the time that it has taken the message.
void TcpStates::ask(std::span<const ConnectionEnds> connections, std::vector<bool>& open) const {
  const std::size_t first = open.size();
  open.resize(first + connections.size(), true);
  std::array<Question, kAtOnce> questions;
  for (std::size_t i = 0; i < connections.size(); i++)
    questions[i] = question_about(connections[i], static_cast<std::uint32_t>(i));
  if (::send(socket_.get(), questions.data(), connections.size() * sizeof(Question), 0) < 0) return;
  std::array<Answer, kAtOnce> answers{};
  std::array<iovec, kAtOnce> places{};
  std::array<mmsghdr, kAtOnce> messages{};
  for (std::size_t i = 0; i < kAtOnce; i++) {
    places[i] = {&answers[i], sizeof(Answer)};
    messages[i].msg_hdr.msg_iov = &places[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int count =
      ::recvmmsg(socket_.get(), messages.data(), static_cast<unsigned>(connections.size()), MSG_DONTWAIT, nullptr);
  for (std::size_t i = 0; count > 0 && i < static_cast<std::size_t>(count); i++) {
    const std::uint32_t number = answers[i].header.nlmsg_seq;
    if (number < connections.size()) open[first + number] = is_open(answers[i]);
  }
}

}  // namespace holdfast
