#include "sys/descriptor_reserve.h"

#include <fcntl.h>

namespace holdfast {

void DescriptorReserve::refill() {
  while (held_.size() < size_) {
    UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd) return;
    held_.push_back(std::move(fd));
  }
}

}  // namespace holdfast
