// What an implementation of AES provides; prg.cpp picks one.
#pragma once

#include <cstdint>

namespace mpctensor::prg {

// What becomes of the pseudorandom words: stored, or combined with the words of base.
enum class Use { store, add, sub, bit_xor };

// The blocks AES(LE64(stream) || LE64(first)), AES(LE64(stream) || LE64(first + 1)), ...
struct Counter {
  std::uint64_t stream;
  std::uint64_t first;
};

struct Backend {
  // Expands a key into at most kScheduleWords words of the backend's own form.
  void (*expand)(const unsigned char* key, std::uint64_t* schedule);
  // out = base use blocks, two words a block; base is not read by Use::store and may be out.
  void (*blocks)(const std::uint64_t* schedule, Counter counter, std::int64_t blocks, Use use,
                 const std::uint64_t* base, std::uint64_t* out);
};

extern const Backend aes_portable;
#if defined(__x86_64__)
extern const Backend aes_ni;
extern const Backend aes_vaes256;
extern const Backend aes_vaes512;
#endif

inline std::uint64_t apply(Use use, std::uint64_t base, std::uint64_t word) {
  return use == Use::store ? word
         : use == Use::add ? base + word
         : use == Use::sub ? base - word
                           : base ^ word;
}

}  // namespace mpctensor::prg
