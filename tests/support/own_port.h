#pragma once

#include <cstdint>

namespace holdfast::test {

// A port for a test that needs one number for several addresses or protocols: nobody has it, of TCP or UDP, at any address. It is
// below those that the kernel gives to whoever asks for none, so nobody else gets it by chance. Another at each call.
[[nodiscard]] std::uint16_t own_port();

}  // namespace holdfast::test
