#pragma once

#include "wire/saved_bus.h"
#include "wire/saved_members.h"

namespace holdfast {

// What the bus remembers, as members (wire/saved_members.h).

template <class Form>
void members(Form& form, SavedPiece& piece) {
  form("offset", piece.offset);
  form("length", piece.length);
}

template <class Form>
void members(Form& form, SavedRun& run) {
  form("records", run.records);
  form("count", run.count);
  form("memory", run.memory);
  form("memory_size", run.memory_size);
  form("replayed", run.is_replayed);
}

template <class Form>
void members(Form& form, SavedMember& member) {
  form("number", member.number);
  form("label", member.label);
  form("channel", member.channel);
  form("joined", member.joined);
  form("patterns", member.patterns);
  form("published", member.published);
  form("delivered", member.delivered);
  form("dropped", member.dropped);
  form("untold", member.untold);
  form("frames", member.frames);
  form("waiting", member.waiting);
}

template <class Form>
void members(Form& form, SavedKept& kept) {
  form("topic", kept.topic);
  form("sequence", kept.sequence);
  form("record", kept.record);
}

template <class Form>
void members(Form& form, SavedCall& call) {
  form("id", call.id);
  form("caller", call.caller);
  form("number", call.number);
  form("callee", call.callee);
  form("deadline", call.deadline);
}

template <class Form>
void members(Form& form, SavedLink::Node& node) {
  form("node", node.node);
  form("sequence", node.sequence);
}

template <class Form>
void members(Form& form, SavedLink::Machine& machine) {
  form("node", machine.node);
  form("about", machine.about);
}

template <class Form>
void members(Form& form, SavedLink& link) {
  form("sequence", link.sequence);
  form("sent", link.sent);
  form("unsent", link.unsent);
  form("received", link.received);
  form("malformed", link.malformed);
  form("reconnects", link.reconnects);
  form("missing", link.missing);
  form("heard", link.heard);
  form("machines", link.machines);
  form("stream_sequence", link.stream_sequence);
  form("stream_position", link.stream_position);
  form("stream_missing", link.stream_missing);
  form("stream_heard", link.stream_heard);
}

template <class Form>
void members(Form& form, SavedNotKept& not_kept) {
  form("topic", not_kept.topic);
  form("sequence", not_kept.sequence);
}

template <class Form>
void members(Form& form, SavedStreamed& streamed) {
  form("number", streamed.number);
  form("bytes", streamed.bytes);
}

template <class Form>
void members(Form& form, SavedPeer& peer) {
  form("node", peer.node);
  form("number", peer.number);
}

template <class Form>
void members(Form& form, SavedBus& bus) {
  form("node", bus.node);
  form("sequence", bus.sequence);
  form("last_number", bus.last_number);
  form("last_call", bus.last_call);
  form("published", bus.published);
  form("undelivered", bus.undelivered);
  form("gone_delivered", bus.gone_delivered);
  form("gone_dropped", bus.gone_dropped);
  form("disconnected", bus.disconnected);
  form("members", bus.members);
  form("calls", bus.calls);
  form("kept", bus.kept);
  form("not_kept", bus.not_kept);
  form("link", bus.link);
  form("streamed", bus.streamed);
  form("peers", bus.peers);
  form("bytes", bus.bytes);
}

}  // namespace holdfast
