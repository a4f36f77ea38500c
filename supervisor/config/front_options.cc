#include "config/front_options.h"

#include "config/front_values.h"
#include "config/option_rows.h"

namespace holdfast {

namespace {

Option with_tables(Option option) {
  option.takes_tables = true;
  return option;
}

}  // namespace

std::vector<Option> front_options() {
  const std::string listen = "Listeners";
  const std::string where = "Placement and queues";
  return {
      with_tables(listener_row(
          "proxy-protocol", "WHEN", listen, Effect::NeedsRestart,
          "Whether connections begin with a PROXY header: off, required, or optional-from(RANGES) for those of a proxy",
          [](auto& l) -> auto& { return l.proxy_protocol; })),
      with_tables(listener_row(
          "routes", "ROUTES", listen, Effect::NeedsRestart,
          R"(Which connections are for other pools, or for nobody: [{ when = { websocket = true }, pool = "chat" }])",
          [](auto& l) -> auto& { return l.routes; })),
      listener_row(
          "preface-timeout", "TIME", listen, Effect::Live,
          "How long a client may take to send the PROXY header, or the first bytes that a key or a route asks for",
          [](auto& l) -> auto& { return l.preface_timeout; }),
      listener_row(
          "preface-limit", "N", listen, Effect::Live,
          "Connections that may wait for those bytes; beyond, the one that has waited longest is refused",
          [](auto& l) -> auto& { return l.preface_limit; }),

      listener_row(
          "allow", "FILE", listen, Effect::Live,
          "Ranges of addresses, one a line: only these are let in. It is read anew when it changes",
          [](auto& l) -> auto& { return l.admission.allow_file; }),
      listener_row(
          "deny", "FILE", listen, Effect::Live, "The same for those that are not let in",
          [](auto& l) -> auto& { return l.admission.deny_file; }),
      listener_row(
          "source-rate", "N", listen, Effect::Live,
          "Connections of one source within source-rate-period, and as many at once (0: no limit)",
          [](auto& l) -> auto& { return l.admission.rate; }),
      listener_row(
          "source-rate-period", "TIME", listen, Effect::Live, "The time that source-rate is for",
          [](auto& l) -> auto& { return l.admission.rate_period; }),
      listener_row(
          "source-connections", "N", listen, Effect::Live, "Connections that one source may have open (0: no limit)",
          [](auto& l) -> auto& { return l.admission.source_connections; }),
      listener_row(
          "total-connections", "N", listen, Effect::Live,
          "Connections that all who came by this listener may have open together (0: no limit)",
          [](auto& l) -> auto& { return l.admission.total_connections; }),
      listener_row(
          "source-prefix-v4", "BITS", listen, Effect::Live, "Part of an IPv4 address that makes a source",
          [](auto& l) -> auto& { return l.admission.source.v4; }),
      listener_row(
          "source-prefix-v6", "BITS", listen, Effect::Live, "Part of an IPv6 address that makes a source",
          [](auto& l) -> auto& { return l.admission.source.v6; }),
      listener_row(
          "source-limit", "N", listen, Effect::Live,
          "Sources that are remembered; beyond, those that were seen least recently are forgotten",
          [](auto& l) -> auto& { return l.admission.sources; }),
      listener_row(
          "ban-after", "N", listen, Effect::Live,
          "Refusals of a source within a minute after which it is refused everything for ban-time (0: never)",
          [](auto& l) -> auto& { return l.admission.ban_after; }),
      listener_row(
          "ban-time", "TIME", listen, Effect::Live, "How long a source is banned",
          [](auto& l) -> auto& { return l.admission.ban_time; }),
      listener_row(
          "admission", "HOW", listen, Effect::Live,
          "enforce, or dry-run: lists and limits refuse nobody, and are only counted",
          [](auto& l) -> auto& { return l.admission.enforcement; }),
      listener_row(
          "dry-run", "NAMES", listen, Effect::Live,
          "Lists and limits that are only tried like that while the others are enforced: [\"deny\", \"source-rate\"]",
          [](auto& l) -> auto& { return l.admission.dry_run; }),
      listener_row(
          "refusal", "FORM", listen, Effect::Live,
          "What those who are not let in get: reset, or http: an answer (403, 429 with Retry-After)",
          [](auto& l) -> auto& { return l.admission.form; }),

      pool_row(
          "max-connections", "N", where, Effect::Live,
          "Connections that the workers together may have open; beyond, new ones wait (0: no limit)",
          [](auto& p) -> auto& { return p.max_connections; }),
      pool_row(
          "max-slot-connections", "N", where, Effect::Live,
          "The same for the worker of one slot; beyond, new ones go where overflow says (0: no limit)",
          [](auto& p) -> auto& { return p.max_slot_connections; }),
      without_flag(pool_row(
          "dry-run", "NAMES", where, Effect::Live,
          "Which of these two are only tried: they hold nobody up, and whom they would have is counted",
          [](auto& p) -> auto& { return p.dry_run; })),
      pool_row(
          "wait-limit", "N", where, Effect::Live,
          "Connections that may wait for one of these to be closed; beyond, they are refused",
          [](auto& p) -> auto& { return p.wait_limit; }),
      pool_row(
          "wait-timeout", "TIME", where, Effect::Live, "How long they may wait before they are refused",
          [](auto& p) -> auto& { return p.wait_timeout; }),
      pool_row(
          "placement", "STRATEGY", where, Effect::NeedsRestart,
          "How a slot is chosen: rendezvous, crc32, ip-hash, source (by key); round-robin, least-connections, "
          "random-two",
          [](auto& p) -> auto& { return p.placement; }),
      pool_row(
          "key", "KEYS", where, Effect::NeedsRestart,
          "What a client is placed by, the first that is present: remote-address, cookie(NAME), query(NAME), sni, ...",
          [](auto& p) -> auto& { return p.key; }),
      pool_row(
          "weights", "LIST", where, Effect::NeedsRestart,
          "Relative shares of slot 0, 1, ...; those of further slots are 1",
          [](auto& p) -> auto& { return p.weights; }),
      pool_row(
          "balance-factor", "PERCENT", where, Effect::NeedsRestart,
          "A slot with more than so much of its share of the connections passes new keys on (0: no bound)",
          [](auto& p) -> auto& { return p.balance_factor; }),
  };
}

}  // namespace holdfast
