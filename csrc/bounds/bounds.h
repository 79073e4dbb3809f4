// The bounds that kernels are measured against: memory and AES, used up by nothing else.
#pragma once

#include <cstdint>

namespace mpctensor::bounds {

// Reads n words of `in` and writes m words of `out`, side by side, with the widest vectors in use.
// Returns the XOR of all that it read; what it writes is of no meaning.
std::uint64_t stream(const std::uint64_t* in, std::int64_t n, std::uint64_t* out, std::int64_t m,
                     int threads);

// Blocks 0 .. blocks - 1 of stream 0, XORed into a buffer that stays in the first-level cache.
// Returns the XOR of all their words.
std::uint64_t aes(const unsigned char* key, std::int64_t blocks, int threads);

}  // namespace mpctensor::bounds
