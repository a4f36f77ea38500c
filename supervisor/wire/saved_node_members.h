#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "wire/saved_members.h"
#include "wire/saved_node.h"

namespace holdfast {

// The members of what stands in wire/saved_node.h, by wire/saved_members.h.

template <>
struct SavedNames<NodeDialect> {
  static constexpr auto value = [] {
    std::array<std::string_view, kNodeDialects.size()> names;
    for (const NodeDialectWords& words : kNodeDialects) names[static_cast<std::size_t>(words.dialect)] = words.name;
    return names;
  }();
};
template <>
struct SavedNames<NodeSession::Phase> {
  static constexpr std::array<std::string_view, 4> value = {"open", "leaving", "draining", "ended"};
};
template <>
struct SavedNames<NodeServer::Kind> {
  static constexpr std::array<std::string_view, 5> value = {"tcp4", "tcp6", "unix", "udp", "descriptor"};
};

template <class Form>
void members(Form& form, NodeServer& server) {
  form("kind", server.kind);
  form("address", server.address);
  form("port", server.port);
  form("index", server.index);
}

template <class Form>
void members(Form& form, NodeSession::Server& server) {
  form("key", server.key);
  form("described", server.described);
  form("told_port", server.told_port);
  form("listener", server.listener);
  form("open", server.open);
  form("asked", server.asked);
}

template <class Form>
void members(Form& form, NodeSession::InFlight& connection) {
  form("connection", connection.connection);
  form("number", connection.number);
  form("sent_at", connection.sent_at);
  form("arrived", connection.arrived);
  form("accepted", connection.accepted);
}

template <class Form>
void members(Form& form, NodeSigns& signs) {
  form("said_ready", signs.said_ready);
  form("adapter_spoke", signs.adapter_spoke);
}

template <class Form>
void members(Form& form, NodeSession::Unsure& unsure) {
  form("asked", unsure.asked);
  form("asked_at", unsure.asked_at);
}

template <class Form>
void members(Form& form, NodeSession::Saved& session) {
  form("connection_message", session.connection_message);
  form("phase", session.phase);
  form("online", session.online);
  form("ready", session.ready);
  form("disconnects", session.disconnects);
  form("stopped_accepting", session.stopped_accepting);
  form("listens", session.listens);
  form("signs", session.signs);
  form("servers", session.servers);
  form("granted", session.granted);
  form("in_flight", session.in_flight);
  form("window", session.window);
  form("full_until", session.full_until);
  form("last_heard", session.last_heard);
  form("next_number", session.next_number);
  form("unsure", session.unsure);
}

template <class Form>
void members(Form& form, SavedNodeInbox::InFlight& connection) {
  form("number", connection.number);
  form("connection", connection.connection);
}

template <class Form>
void members(Form& form, SavedNodeChannel& channel) {
  form("fd", channel.fd);
  form("session", channel.session);
  form("heard", channel.heard);
  form("to_send", channel.to_send);
  form("cut", channel.cut);
  form("distrusted", channel.distrusted);
  form("ended", channel.ended);
  form("to_be_closed", channel.to_be_closed);
}

template <class Form>
void members(Form& form, SavedNodeInbox& inbox) {
  form("channel", inbox.channel);
  form("unsent", inbox.unsent);
  form("in_flight", inbox.in_flight);
  form("unsent_drain", inbox.unsent_drain);
  form("last_sent", inbox.last_sent);
  form("taken", inbox.taken);
}

template <class Form>
void members(Form& form, NodeServers::Taken& taken) {
  form("server", taken.server);
  form("listener", taken.listener);
}

template <class Form>
void members(Form& form, NodeServers::Shared& shared) {
  form("listener", shared.listener);
  form("data", shared.data);
}

template <class Form>
void members(Form& form, NodeServers::Saved& servers) {
  form("taken", servers.taken);
  form("shared", servers.shared);
}

template <class Form>
void members(Form& form, NodeRelay::Adapter& adapter) {
  form("worker", adapter.worker);
  form("name_space", adapter.name_space);
}

template <class Form>
void members(Form& form, NodeClientSessions::Saved& sessions) {
  form("worker", sessions.worker);
  form("ids", sessions.ids);
}

template <class Form>
void members(Form& form, SavedNodeWorkers& workers) {
  form("found", workers.found);
  form("servers", workers.servers);
  form("adapters", workers.adapters);
  form("sessions", workers.sessions);
  form("newest_sessions", workers.newest_sessions);
  form("open", workers.open);
}

}  // namespace holdfast
