#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/ip_address.h"
#include "core/steering_program.h"

namespace holdfast {

// A packet from its IP header on.
using Packet = std::vector<std::uint8_t>;

inline Packet v4_packet(std::uint32_t source) {
  Packet packet(20, 0xee);  // what is not the source must not matter
  packet[0] = 0x45;
  for (unsigned i = 0; i < 4; ++i) packet[12 + i] = static_cast<std::uint8_t>(source >> (24 - 8 * i));
  return packet;
}

inline Packet v6_packet(const std::array<std::uint8_t, 16>& source) {
  Packet packet(40, 0xee);
  packet[0] = 0x6e;
  for (unsigned i = 0; i < 16; ++i) packet[8 + i] = source[i];
  return packet;
}

// As the client of this address sends it to a listener of its own family.
inline Packet packet_from(const IpAddress& source) {
  return source.is_v6() ? v6_packet(source.bytes()) : v4_packet(source.word(0));
}

// Runs a program of classic BPF as bpf(4) and the kernel describe it: 32-bit words, forward jumps, a load outside of the
// packet answers 0. An instruction that it does not know, a jump out of the program or a program without an end is a
// mistake of the compiler: it throws.
class BpfInterpreter {
 public:
  BpfInterpreter(std::span<const BpfInstruction> program, std::span<const std::uint8_t> packet)
      : program_(program), packet_(packet) {}

  std::uint32_t run() {
    while (!answer_) step();
    return *answer_;
  }
  [[nodiscard]] unsigned steps() const { return steps_; }

 private:
  void step() {
    if (next_ >= program_.size()) throw std::runtime_error("ran out of the program");
    const BpfInstruction& now = program_[next_++];
    ++steps_;
    switch (now.code) {
      case 0x00:
        a_ = now.k;
        return;
      case 0x20:
        return load(now.k, 4);
      case 0x30:
        return load(now.k, 1);
      case 0x24:
        a_ *= now.k;
        return;
      case 0x54:
        a_ &= now.k;
        return;
      case 0x74:
        if (now.k > 31) throw std::runtime_error("a shift of 32 or more");
        a_ >>= now.k;
        return;
      case 0xa4:
        a_ ^= now.k;
        return;
      case 0xac:
        a_ ^= x_;
        return;
      case 0x07:
        x_ = a_;
        return;
      case 0x05:
        next_ += now.k;
        return;
      case 0x15:
        next_ += a_ == now.k ? now.jump_if_true : now.jump_if_false;
        return;
      case 0x35:
        next_ += a_ >= now.k ? now.jump_if_true : now.jump_if_false;
        return;
      case 0x06:
        answer_ = now.k;
        return;
      default:
        throw std::runtime_error("unknown instruction " + std::to_string(now.code));
    }
  }

  void load(std::uint32_t k, std::size_t length) {
    constexpr std::uint32_t kNetworkOffset = 0xfff00000;
    if (k < kNetworkOffset) throw std::runtime_error("a load that does not count from the IP header");
    const std::size_t place = k - kNetworkOffset;
    if (place + length > packet_.size()) {
      answer_ = 0;
      return;
    }
    a_ = 0;
    for (std::size_t i = 0; i < length; ++i) a_ = a_ << 8 | packet_[place + i];
  }

  std::span<const BpfInstruction> program_;
  std::span<const std::uint8_t> packet_;
  std::size_t next_ = 0;
  std::uint32_t a_ = 0;
  std::uint32_t x_ = 0;
  unsigned steps_ = 0;
  std::optional<std::uint32_t> answer_;
};

inline std::uint32_t run_bpf(std::span<const BpfInstruction> program, std::span<const std::uint8_t> packet) {
  return BpfInterpreter(program, packet).run();
}

}  // namespace holdfast
