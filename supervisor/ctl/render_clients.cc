#include "ctl/render_clients.h"

#include "ctl/render_status.h"

namespace holdfast {

namespace {

constexpr std::size_t kNameWidth = 40;

std::string source_table(const ClientsAnswer::Listener& listener, Colours colours) {
  Table table({{"SOURCE"},
               {"OPEN", Table::Align::Right},
               {"CONNECTIONS", Table::Align::Right},
               {"REFUSED", Table::Align::Right},
               {"STATE"}});
  for (const ClientsAnswer::Source& source : listener.sources) {
    table.add({{fitted(source.address, 50)},
               {listener.counts_open ? short_count(source.open) : "-"},
               {short_count(source.seen)},
               {short_count(source.refused), source.refused > 0 ? Style::Warning : Style::Plain},
               source.banned ? Cell{"banned", Style::Bad} : Cell{"let in", Style::Good}});
  }
  return table.text(colours);
}

}  // namespace

std::string render_clients(const ClientsAnswer& answer, Colours colours) {
  std::string text;
  for (const ClientsAnswer::Listener& listener : answer.listeners) {
    text += (text.empty() ? "" : "\n") + styled("listener " + fitted(listener.name, kNameWidth), Style::Bold, colours) +
            "\n";
    for (const std::string& limit : listener.limits)
      text += styled("  " + fitted(limit, 90), Style::Dim, colours) + "\n";
    if (!listener.remembers) {
      text +=
          "  its sources are not known: it is a Unix path, or the kernel hands its connections to the workers itself\n";
    } else if (listener.sources.empty()) {
      text += "  nobody has come yet\n";
    } else {
      text += source_table(listener, colours);
    }
  }
  return text.empty() ? "there is no listener\n" : text;
}

}  // namespace holdfast
