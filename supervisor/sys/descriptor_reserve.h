#pragma once

#include <cstddef>
#include <vector>

#include "sys/unique_fd.h"

namespace holdfast {

// Descriptors that are held and not used, so that what must not fail for want of them has some when all others are
// taken: clients may have every descriptor of the process, and a worker can still be started.
//
// It belongs to one thread: what is released is free for whoever opens something next.
class DescriptorReserve {
 public:
  explicit DescriptorReserve(std::size_t size) : size_(size) { refill(); }

  // Takes what is missing, as far as there is something to take. Worth a try whenever descriptors have become free.
  void refill();

  // While it lives the reserve is free to use; then what is left is taken back.
  class Released {
   public:
    explicit Released(DescriptorReserve& reserve) : reserve_(reserve) { reserve_.held_.clear(); }
    ~Released() { reserve_.refill(); }
    Released(const Released&) = delete;
    Released& operator=(const Released&) = delete;

   private:
    DescriptorReserve& reserve_;
  };
  [[nodiscard]] Released release() { return Released(*this); }

  [[nodiscard]] std::size_t held() const { return held_.size(); }

 private:
  std::size_t size_;
  std::vector<UniqueFd> held_;
};

}  // namespace holdfast
