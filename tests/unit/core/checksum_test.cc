#include "core/checksum.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

// The check values that every catalogue of these sums gives.
static_assert(crc32("123456789") == 0xcbf43926U && crc32c("123456789") == 0xe3069283U);

TEST(Checksum, IsTheSameInOnePieceAndInMany) {
  Crc32c crc;
  for (const char* const piece : {"", "1234", "", "5", "6789"}) crc.add(piece);
  EXPECT_EQ(crc.value(), 0xe3069283U);
  EXPECT_EQ(crc32(""), 0U);
  EXPECT_EQ(crc32c(std::string_view("\xff\x00\x80", 3)), 0x7397b3aaU);
}

}  // namespace
}  // namespace holdfast
