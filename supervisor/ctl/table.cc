#include "ctl/table.h"

#include <algorithm>

namespace holdfast {

namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 4;  // of a last column that has hardly any room: one letter and "..."

std::string_view escape_of(Style style) {
  switch (style) {
    case Style::Plain:
      return "";
    case Style::Bold:
      return "\x1b[1m";
    case Style::Dim:
      return "\x1b[2m";
    case Style::Good:
      return "\x1b[32m";
    case Style::Warning:
      return "\x1b[33m";
    case Style::Bad:
      return "\x1b[31m";
  }
  return "";
}

bool continues_a_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }  // UTF-8

// Columns that a text takes: a character each.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues_a_character(c); }));
}

// The first `width` characters.
std::string_view head(std::string_view text, std::size_t width) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!continues_a_character(text[i]) && ++characters > width) return text.substr(0, i);
  }
  return text;
}

}  // namespace

std::string styled(std::string_view text, Style style, Colours colours) {
  if (colours == Colours::Off || style == Style::Plain || text.empty()) return std::string(text);
  return std::string(escape_of(style)) + std::string(text) + "\x1b[0m";
}

std::string fitted(std::string_view text, std::size_t width) {
  constexpr std::string_view kCut = "...";
  std::string safe(text);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  std::replace_if(safe.begin(), safe.end(), is_control, '?');
  if (width_of(safe) <= width) return safe;
  return std::string(head(safe, width - std::min(width, kCut.size()))) + std::string(kCut);
}

std::string Table::text(Colours colours) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = width_of(columns_[i].title);
    for (const auto& row : rows_) widest = std::max(widest, width_of(row[i].text));
    widths.push_back(widest);
  }
  std::size_t before = 0;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) before += widths[i] + kGap;
  const std::size_t room = before < kLineWidth ? kLineWidth - before : 0;
  widths.back() = std::min(widths.back(), std::max(room, kNarrowest));

  std::string out;
  const auto add_line = [&](const std::vector<Cell>& cells) {
    std::string line;
    std::size_t spaces = 0;  // owed before the next text: so no line ends with spaces
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string text = fitted(cells[i].text, widths[i]);
      const std::size_t padding = widths[i] - width_of(text);
      const bool right = columns_[i].align == Align::Right;
      if (!text.empty()) {
        line.append(spaces + (right ? padding : 0), ' ');
        line += styled(text, cells[i].style, colours);
        spaces = right ? 0 : padding;
      } else {
        spaces += padding;
      }
      spaces += kGap;
    }
    out += line + "\n";
  };

  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.push_back({column.title, Style::Dim});
  add_line(titles);
  for (const auto& row : rows_) add_line(row);
  return out;
}

}  // namespace holdfast
