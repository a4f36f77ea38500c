#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

enum class Colours : std::uint8_t { Off, On };  // On only where the output is a terminal

enum class Style : std::uint8_t { Plain, Bold, Dim, Good, Warning, Bad };

// The text in a style, or as it is.
[[nodiscard]] std::string styled(std::string_view text, Style style, Colours colours);

// The text without what could move a cursor, in at most `width` columns; what is cut ends with "...".
[[nodiscard]] std::string fitted(std::string_view text, std::size_t width);

struct Cell {
  std::string text;
  Style style = Style::Plain;
};

// A table of text: columns as wide as their widest cell, two spaces between them, the last one cut at the width of a
// line.
class Table {
 public:
  enum class Align : std::uint8_t { Left, Right };
  struct Column {
    std::string title;
    Align align = Align::Left;
  };
  static constexpr std::size_t kLineWidth = 100;

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }  // as many cells as columns
  [[nodiscard]] std::string text(Colours colours) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace holdfast
