#include "wire/json_scan.h"

#include <charconv>

#include "wire/json_members.h"

namespace holdfast {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Goes over the text from token to token; what nests is kept in a vector, because a stranger decides how deep it is.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<std::vector<JsonMember>> scan() {
    skip_space();
    if (!value()) return std::nullopt;
    while (!nesting_.empty()) {
      if (!next_in_container()) return std::nullopt;
    }
    skip_space();
    if (at_ != text_.size()) return std::nullopt;
    return std::move(members_);
  }

 private:
  enum class Container : bool { Array, Object };

  [[nodiscard]] bool at(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool take(char c) {
    if (!at(c)) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at(' ') || at('\t') || at('\r') || at('\n')) ++at_;
  }

  // A whole scalar, or the opening of a container.
  bool value() {
    if (at_ == text_.size()) return false;
    switch (text_[at_]) {
      case '{':
        return open(Container::Object);
      case '[':
        return open(Container::Array);
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  bool open(Container container) {
    ++at_;
    nesting_.push_back(container == Container::Object);
    fresh_ = true;
    return true;
  }

  // After an opening or a value inside a container: its end, or the next value.
  bool next_in_container() {
    skip_space();
    const bool object = nesting_.back();
    if (take(object ? '}' : ']')) {
      nesting_.pop_back();
      fresh_ = false;
      if (nesting_.size() == 1 && nesting_.front()) add_member();
      return true;
    }
    if (!fresh_ && !take(',')) return false;
    fresh_ = false;
    if (object && !name()) return false;
    skip_space();
    const bool of_outermost = object && nesting_.size() == 1;
    if (of_outermost) member_start_ = at_;
    if (!value()) return false;
    if (of_outermost && nesting_.size() == 1) add_member();
    return true;
  }

  bool name() {
    skip_space();
    const std::size_t start = at_;
    if (!at('"') || !string()) return false;
    if (nesting_.size() == 1) name_ = text_.substr(start + 1, at_ - start - 2);
    skip_space();
    return take(':');
  }

  // The value that ends here.
  void add_member() { members_.push_back({name_, text_.substr(member_start_, at_ - member_start_)}); }

  bool string() {
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') return take('"');
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '\\' && !escape()) return false;
    }
    return false;
  }
  // Ends on the last character of the escape.
  bool escape() {
    if (++at_ == text_.size()) return false;
    if (text_[at_] != 'u') return std::string_view("\"\\/bfnrt").find(text_[at_]) != std::string_view::npos;
    for (int i = 0; i < 4; ++i) {
      if (++at_ == text_.size() || !is_hex(text_[at_])) return false;
    }
    return true;
  }

  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }

  bool digits() {
    const std::size_t start = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ > start;
  }
  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (!take('e') && !take('E')) return true;
    if (!take('+')) take('-');
    return digits();
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<bool> nesting_;     // of each open container: whether it is an object
  bool fresh_ = false;            // the innermost was opened just now
  std::string_view name_;         // of the latest member of the outermost object
  std::size_t member_start_ = 0;  // where its value begins
  std::vector<JsonMember> members_;
};

}  // namespace

std::optional<std::vector<JsonMember>> scan_json(std::string_view text) { return Scanner(text).scan(); }

std::string_view member(const std::vector<JsonMember>& members, std::string_view name) {
  for (auto candidate = members.rbegin(); candidate != members.rend(); ++candidate) {
    if (candidate->name == name) return candidate->value;
    if (candidate->name.find('\\') == std::string_view::npos) continue;
    if (json_string('"' + std::string(candidate->name) + '"') == name) return candidate->value;
  }
  return {};
}

std::optional<std::string> json_string(std::string_view value) {
  if (value.size() < 2 || value.front() != '"') return std::nullopt;
  if (value.find('\\') == std::string_view::npos) return std::string(value.substr(1, value.size() - 2));
  const Json decoded = parse_json(value);
  if (!decoded.is_string()) return std::nullopt;
  return decoded.get<std::string>();
}

std::optional<std::int64_t> json_integer(std::string_view value) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (value.empty() || error != std::errc{} || end != value.data() + value.size()) return std::nullopt;
  return number;
}

std::optional<bool> json_boolean(std::string_view value) {
  if (value == "true") return true;
  if (value == "false") return false;
  return std::nullopt;
}

}  // namespace holdfast
