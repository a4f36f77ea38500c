#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/ids.h"
#include "core/listen_address.h"
#include "core/node_message.h"

namespace holdfast {

// Which listener of a pool is meant by a server of its Node.js workers. A program that says listen(3000) runs unchanged
// behind a listener on port 80: the worker is told that it listens on 3000.
//
// A listener of the same port, or path, is the server's. Any other server gets the first listener that no server has,
// and keeps it in all workers. The workers run the same program, so what the first one asked for is what each will. A
// listener that leaves is given to nobody any more; who has it keeps it. In the next generation a server has the listener
// of the same name again, whatever its address is by then: a listener that moves is not exchanged for another one.
//
// A program may have fewer servers than the pool has listeners. Then a server stands in for those that no server has, if
// it is the only one of its kind.
class NodeServers {
 public:
  struct Offered {
    ListenAddress address;
    std::string name = {};
    enum class Fate { Stays, Leaves } fate = Fate::Stays;  // Leaves: a reload takes it away, or has done so
  };
  explicit NodeServers(std::vector<Offered> listeners) : listeners_(std::move(listeners)) {}
  // The pool's listeners by ListenerId, as they are now; those that were there before keep their numbers.
  void set_listeners(std::vector<Offered> listeners) { listeners_ = std::move(listeners); }

  struct Granted {
    ListenerId listener;
    std::optional<TcpAddress> bound;  // for NodeGranted
    std::string data;
  };
  struct Refused {
    int error = 0;    // for NodeRefused
    std::string why;  // what to do about it
  };
  using Answer = std::variant<Granted, Refused>;
  [[nodiscard]] Answer answer(const NodeServer& server, const std::string& data);

  // Of a worker's servers, by their listeners, the one that takes the connections of another listener too. Nothing: that
  // listener has a server in some worker, or nobody knows which of several is meant.
  // Who may ask for more servers yet, so that one may be the only one for now, is told OfTheSameName: a listener that leaves
  // has its heir in the one that comes in its place.
  enum class Stands { OfTheSameName, AlsoTheOnlyOne };
  [[nodiscard]] std::optional<ListenerId> stand_in(ListenerId listener, const std::vector<ListenerId>& servers,
                                                   Stands stands) const;
  // For people: what the program's servers are.
  [[nodiscard]] std::string servers_listed() const;
  [[nodiscard]] const std::vector<Offered>& listeners() const { return listeners_; }

  // For a program that goes on where this one stops.
  struct Taken {
    NodeServer server;
    std::uint32_t listener = 0;
  };
  struct Shared {
    std::uint32_t listener = 0;
    std::string data;
  };
  struct Saved {
    std::vector<Taken> taken;
    std::vector<Shared> shared;
  };
  [[nodiscard]] Saved save() const;
  void adopt(const Saved& saved);

  // Workers of another generation may open other servers. The data stay: clients hold tickets made with them.
  void forget_servers();
  // What comes is written in another serialization.
  void forget_data() { data_.clear(); }

 private:
  [[nodiscard]] std::optional<std::uint32_t> listener_for(const NodeServer& server);
  [[nodiscard]] std::string listed() const;

  std::vector<Offered> listeners_;  // by ListenerId
  std::map<NodeServer, std::uint32_t> taken_;
  std::map<std::string, NodeServer> before_;  // who had the listener of a name in an earlier generation
  std::map<std::uint32_t, std::string> data_;
};

}  // namespace holdfast
