#include "loop/resolver.h"

#include <netdb.h>
#include <uv.h>

#include <array>
#include <utility>

namespace holdfast {

struct Resolver::State {
  uv_getaddrinfo_t request{};
  std::string host;
  std::function<void(Result<std::string>)> on_answer;
  Resolver* owner = nullptr;  // none: nobody asks any more

  static void answer(uv_getaddrinfo_t* request, int status, addrinfo* found) {
    const std::unique_ptr<State> state(static_cast<State*>(request->data));
    const std::unique_ptr<addrinfo, decltype(&uv_freeaddrinfo)> list(found, &uv_freeaddrinfo);
    if (state->owner == nullptr) return;
    state->owner->state_ = nullptr;
    const std::string doing = "look up " + state->host;
    if (status != 0) return state->on_answer(Error{{}, doing + ": " + uv_strerror(status)});
    std::array<char, NI_MAXHOST> text{};
    const int named =
        ::getnameinfo(list->ai_addr, list->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
    if (named != 0) return state->on_answer(Error{{}, doing + ": " + ::gai_strerror(named)});
    state->on_answer(std::string(text.data()));
  }
};

std::unique_ptr<Resolver> Resolver::start(Loop& loop, const std::string& host,
                                          std::function<void(Result<std::string>)> on_answer) {
  auto state = std::make_unique<State>();
  state->host = host;
  state->on_answer = std::move(on_answer);
  state->request.data = state.get();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  State* const raw = state.release();
  const int error = uv_getaddrinfo(loop.raw(), &raw->request, &State::answer, raw->host.c_str(), nullptr, &hints);
  if (error == 0) {
    auto resolver = std::unique_ptr<Resolver>(new Resolver(raw));
    raw->owner = resolver.get();
    return resolver;
  }
  const std::unique_ptr<State> refused(raw);
  loop.defer([on_refused = std::move(refused->on_answer), host, error] {
    on_refused(Error{{}, "look up " + host + ": " + uv_strerror(error)});
  });
  return std::unique_ptr<Resolver>(new Resolver(nullptr));
}

Resolver::~Resolver() {
  if (state_ == nullptr) return;
  state_->owner = nullptr;
  (void)uv_cancel(reinterpret_cast<uv_req_t*>(&state_->request));
}

}  // namespace holdfast
