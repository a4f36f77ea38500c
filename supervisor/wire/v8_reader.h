#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// A piece of a value in V8's own serialization (v8.serialize; "advanced" on a channel of Node.js): a scalar, or the
// beginning or the end of what has values in it.
struct V8Token {
  enum class Kind {
    Scalar,
    Open,
    Close,
    End,        // the outermost value is complete, and nothing follows
    Unknown,    // a tag of which we know nothing, and so not where it ends
    Malformed,  // no V8 would read it
  };
  Kind kind = Kind::Malformed;
  char tag = '\0';
  bool is_key = false;     // of an object's property or a map's entry
  std::string_view bytes;  // of a scalar: what follows the tag. Of an end: nothing
  std::size_t start = 0;   // in the message: of the tag
  std::size_t end = 0;     // behind the piece
};

// Reads a message from piece to piece, and holds it to the rules by which V8 reads: lengths, counts, references to what
// came before. What it lets through, no worker of ours has to fear. How deep values nest a stranger decides, so nothing
// here calls itself.
class V8Reader {
 public:
  // With its header: 0xFF and the version. Those are understood that Node.js 18 to 24 write, and older ones.
  explicit V8Reader(std::string_view message);

  [[nodiscard]] V8Token next();
  // 0: it has no header. Greater than `kNewestVersion`: `next` answers Unknown.
  [[nodiscard]] unsigned version() const { return version_; }

  static constexpr unsigned kOldestVersion = 13;  // Node.js 12
  static constexpr unsigned kNewestVersion = 15;  // Node.js 18 to 24

 private:
  struct Nested {
    char tag;
    std::uint32_t declared = 0;  // length of an array
    std::uint32_t values = 0;    // that have begun
  };

  [[nodiscard]] V8Token value(bool is_key);
  [[nodiscard]] V8Token piece_of_error();
  [[nodiscard]] V8Token close();
  [[nodiscard]] bool counts_match(const Nested& nested);
  [[nodiscard]] static V8Token unknown(V8Token token);
  [[nodiscard]] V8Token payload(V8Token token);
  [[nodiscard]] V8Token scalar(V8Token token, bool whole);
  [[nodiscard]] V8Token open(V8Token token, std::uint32_t declared);
  [[nodiscard]] bool skip_payload(char tag);
  [[nodiscard]] bool skip_view();
  [[nodiscard]] bool skip_host_object();
  [[nodiscard]] bool skip_string();

  void skip_padding();
  [[nodiscard]] bool skip(std::size_t length);
  [[nodiscard]] bool skip_sized();
  [[nodiscard]] std::optional<std::uint32_t> varint();
  [[nodiscard]] bool at_end() const { return at_ >= message_.size(); }

  std::string_view message_;
  std::size_t at_ = 0;
  unsigned version_ = 0;
  std::vector<Nested> nesting_;
  std::uint32_t objects_ = 0;  // so far: references name them by number
  bool begun_ = false;
};

// The value of a scalar, from its tag and bytes; nothing: it is of another kind.
[[nodiscard]] std::optional<std::string> v8_string(char tag, std::string_view bytes);  // UTF-8; half pairs are U+FFFD
[[nodiscard]] std::optional<double> v8_number(char tag, std::string_view bytes);
[[nodiscard]] std::optional<bool> v8_boolean(char tag);

}  // namespace holdfast
