// What another party sent, added or xored to the own message as it comes off the line.
#pragma once

#include <cstdint>

namespace mpctensor::ring {

// out[i] += message[i], or out[i] ^= message[i], for n words; the message need not be aligned.
void join(uint64_t* out, const unsigned char* message, int64_t n, bool add);

}  // namespace mpctensor::ring
