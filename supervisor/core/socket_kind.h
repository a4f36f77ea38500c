#pragma once

#include <cstdint>

namespace holdfast {

enum class Transport : std::uint8_t { Stream, Datagram };  // TCP, UDP

// The domain of a socket: it decides the form of the addresses that a program sees, so a socket can stand for another
// only if both have the same.
enum class SocketDomain : std::uint8_t { Inet, Inet6 };

}  // namespace holdfast
