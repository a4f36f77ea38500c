#include "worker/saved_connection.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

namespace holdfast {

SavedConnection save_connection(const Connection& connection, FdList& fds) {
  std::string bytes(sizeof connection.record, '\0');
  std::memcpy(bytes.data(), &connection.record, sizeof connection.record);
  return {fds.add("connection", connection.fd), hex_of(bytes), hex_of(connection.details)};
}

Connection take_connection(const SavedConnection& saved, FdTable& fds) {
  Connection connection{fds.take_if_there(saved.fd), {}};
  const std::string bytes = bytes_of_hex(saved.record).value_or("");
  std::memcpy(&connection.record, bytes.data(), std::min(bytes.size(), sizeof connection.record));
  connection.details = bytes_of_hex(saved.details).value_or("");
  connection.record.record_length = static_cast<std::uint16_t>(sizeof connection.record + connection.details.size());
  return connection;
}

}  // namespace holdfast
