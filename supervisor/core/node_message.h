#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "core/listen_address.h"

namespace holdfast {

// What the two ends of a Node.js IPC channel say to each other, as values. Their bytes: wire/node_codec.h. Each side
// numbers what it says of NODE_CLUSTER by itself; an answer names the number of what it answers.
//
// A payload is a program's message, or a part of Node's, that is carried as it came: JSON, or V8's serialization, as the
// channels of the pool have it (core/node_serialization.h).

// A server as the program has described it to listen(). Two that are alike are the same server in every worker.
struct NodeServer {
  enum class Kind {
    Tcp4,
    Tcp6,
    Unix,
    Udp,
    Descriptor,  // listen({fd})
  };
  Kind kind = Kind::Tcp4;
  std::string address;      // as it was written; empty: every address. Of a Unix server, its path
  std::uint16_t port = 0;   // 0: whichever is free
  std::uint32_t index = 0;  // of those that a worker has opened alike; tells them apart where the port is 0
  auto operator<=>(const NodeServer&) const = default;
};
// "server.listen(3000)", "server.listen('/run/x.sock')": for people.
[[nodiscard]] std::string to_text(const NodeServer& server);

// ---- What a worker says.

struct NodeOnline {};  // its Node has started, the program has not
struct NodeQuery {     // wants an answer: may it listen?
  std::int64_t number = 0;
  NodeServer server;
  std::string data = "null";  // a payload that every worker's server of this kind must share: keys of TLS tickets
};
struct NodeListening {  // a server that was granted is open
  NodeServer server;    // with the port that it was told
};
struct NodeClosed {  // a server is open no more
  std::string key;
};
struct NodeAnswered {  // of a connection
  std::int64_t number = 0;
  bool accepted = false;
};
struct NodeLeaves {  // it disconnects because it wants to; waits for our answer
  std::int64_t number = 0;
};
struct NodeHandleArrived {};  // answers each message with a descriptor, in their order
struct NodeHandleMissing {};  // the message came and the descriptor did not
struct NodeHandleOffered {};  // it sends us a descriptor, and nothing more until that is acknowledged
struct NodeBunWorker {};      // Bun's own cluster protocol
struct NodeOther {};          // internal, and of no meaning for us

struct NodeStarted {};     // 'ready', as PM2 has it
struct NodeServerCloses {  // sticky-session: the worker's server closes, another worker is wanted
  std::string payload;
};
struct NodeClientSession {  // @socket.io/sticky: a session that lives in this worker
  std::string id;
  bool open = false;
};
struct NodeAdapterMessage {  // @socket.io/cluster-adapter: for other workers
  int type = 0;
  std::string uid;         // of the adapter that speaks: one for each worker and namespace
  std::string name_space;  // of Socket.IO
  std::string requester;   // the uid that an answer is for; empty: it is for all others
  std::string payload;     // the whole of it
};
struct NodeText {  // anything else that the program said with process.send()
  std::string payload;
};

using NodeMessage = std::variant<NodeOnline, NodeQuery, NodeListening, NodeClosed, NodeAnswered, NodeLeaves,
                                 NodeHandleArrived, NodeHandleMissing, NodeHandleOffered, NodeBunWorker, NodeOther,
                                 NodeStarted, NodeServerCloses, NodeClientSession, NodeAdapterMessage, NodeText>;

// ---- What is said to a worker. A line that is not well-formed would end it.

// It may listen. The key names the server from now on: no two servers of a worker have the same.
struct NodeGranted {
  std::int64_t answers = 0;  // the number of the query
  std::int64_t number = 0;
  std::string key;
  std::optional<TcpAddress> bound;  // of a TCP server: what server.address() tells. Its port must be the one asked for
  std::string data = "null";        // from the first worker's query
};
struct NodeRefused {
  std::int64_t answers = 0;
  std::int64_t number = 0;
  std::string key;
  int error = 0;  // an errno: the program's 'error' event shows it
};
// These two are sent with a descriptor, in a message of their own.
struct NodeNewConnection {
  std::int64_t number = 0;
  std::string key;
};
struct NodeConnectionMessage {
  std::string json;  // whatever the serialization
};
struct NodeDisconnect {  // close the servers, finish, leave
  std::int64_t number = 0;
};
struct NodeMayLeave {
  std::int64_t answers = 0;
  std::int64_t number = 0;
};
struct NodeHandleTaken {};  // answers NodeHandleOffered, once
struct NodeAdapterGone {    // to other workers: an adapter is no more
  std::string uid;
  std::string name_space;
};
struct NodeShutdown {};  // to the program: 'shutdown', as PM2 has it
struct NodeSay {         // to the program, as another said it: process.on('message')
  std::string payload;
};
using NodeOrder = std::variant<NodeGranted, NodeRefused, NodeNewConnection, NodeConnectionMessage, NodeDisconnect,
                               NodeMayLeave, NodeHandleTaken, NodeAdapterGone, NodeShutdown, NodeSay>;

}  // namespace holdfast
