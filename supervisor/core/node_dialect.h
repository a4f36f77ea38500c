#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace holdfast {

// In what words a Node.js worker expects to be given a connection.
enum class NodeDialect {
  Auto,            // Cluster, until something shows that it is not
  Cluster,         // it calls server.listen() as a worker of `cluster`
  StickySession,   // sticky-session 1.x: it listens to nothing, connections come as messages; so do those below
  StickySession0,  // sticky-session 0.x and the recipes that were written after it
  StickyCluster,
  StickyListen,
  SocketIo,  // @socket.io/sticky 1.x and 2.x
  Plain,     // a forked child that is no worker of `cluster`: process.on('message', (message, socket) => ...)
};

struct NodeDialectWords {
  NodeDialect dialect;
  std::string_view name;        // on the command line
  std::string_view connection;  // the message that comes with a connection, JSON; empty: the protocol of `cluster`
};
inline constexpr std::array<NodeDialectWords, 8> kNodeDialects{{
    {NodeDialect::Auto, "auto", ""},
    {NodeDialect::Cluster, "cluster", ""},
    {NodeDialect::StickySession, "sticky-session", R"("sticky:balance")"},
    {NodeDialect::StickySession0, "sticky-session-0", R"("sticky-session:connection")"},
    {NodeDialect::StickyCluster, "sticky-cluster", R"("sticky-cluster:connection")"},
    {NodeDialect::StickyListen, "sticky-listen", R"({"msg":"sticky:balance","payload":null})"},
    {NodeDialect::SocketIo, "socket.io", R"({"type":"sticky:connection","data":""})"},
    {NodeDialect::Plain, "plain", R"("connection")"},
}};

[[nodiscard]] constexpr const NodeDialectWords& words_of(NodeDialect dialect) {
  return kNodeDialects[static_cast<std::size_t>(dialect)];
}
[[nodiscard]] constexpr std::optional<NodeDialect> parse_node_dialect(std::string_view name) {
  for (const NodeDialectWords& words : kNodeDialects) {
    if (words.name == name) return words.dialect;
  }
  return std::nullopt;
}
// Connections come without a message of their own: by `newconn`, for a server that the worker has opened.
[[nodiscard]] constexpr bool needs_server(NodeDialect dialect) { return words_of(dialect).connection.empty(); }
// The worker is one of `cluster`: it has a NODE_UNIQUE_ID and says and understands NODE_CLUSTER.
[[nodiscard]] constexpr bool is_cluster_worker(NodeDialect dialect) { return dialect != NodeDialect::Plain; }

}  // namespace holdfast
