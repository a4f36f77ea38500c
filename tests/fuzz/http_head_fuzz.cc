// A client may send anything where an HTTP head is looked for: whatever it is, the search answers, its answer does not depend on how the
// bytes arrived, and whatever is asked of a head has an answer.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "check.h"
#include "wire/http_head.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const HttpLook look = HttpHeadSearch().look(bytes);

  HttpHeadSearch search;
  HttpLook split = search.look(bytes.substr(0, size / 2));
  if (std::holds_alternative<NeedMore>(split)) split = search.look(bytes);
  check(split.index() == look.index());

  if (const auto* const more = std::get_if<NeedMore>(&look)) check(more->at_least > size && size < kMaxPreface);
  const auto* const head = std::get_if<HttpHead>(&look);
  if (head == nullptr) return 0;
  check(head->length <= size && head->length <= kMaxPreface);
  check(std::get<HttpHead>(split).length == head->length);
  const HttpRequest& request = head->request;
  check_inside(request.target, bytes.substr(0, head->length));
  for (const HttpField& field : request.fields) {
    check_inside(field.name, bytes.substr(0, head->length));
    check_inside(field.value, bytes.substr(0, head->length));
    (void)cookie(request, field.value);
  }
  (void)is_websocket(request);
  if (const auto host = host_of(request)) check(!host->empty());
  if (const auto value = query_parameter(request.target, "sid")) check(value->size() < size);
  for (unsigned number = 1; path_segment(request.target, number); ++number) check(number < size);
  return 0;
}
