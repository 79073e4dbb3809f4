// Pseudorandom words: AES-128 in counter mode.
//
// Word i of (key, stream) is the little-endian half i & 1 of
//     AES_key(LE64(stream) || LE64(i >> 1)),
// so it depends on nothing else: not on the instruction set, the thread split or the length asked.
// Bound: half a block of AES a word and key, or the words' own way to memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mpctensor::prg {

constexpr int kKeyBytes = 16;
constexpr int kScheduleWords = 88;  // an expanded key, in any implementation's form

enum class Op { add, sub, bit_xor };

struct Backend;

// One AES-128 key, expanded for the instruction set in use; wiped when it goes out of scope.
class Key {
 public:
  explicit Key(const unsigned char* bytes);
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  ~Key();

  // out[i] = base[i] op word start + i of the stream, for i < n. base null stands for zeros and may
  // be out itself. Serial: callers split the work.
  void combine(const std::uint64_t* base, std::uint64_t stream, std::uint64_t start, std::int64_t n,
               Op op, std::uint64_t* out) const;
  void fill(std::uint64_t stream, std::uint64_t start, std::int64_t n, std::uint64_t* out) const {
    combine(nullptr, stream, start, n, Op::bit_xor, out);
  }

 private:
  const Backend* backend_;
  alignas(64) std::uint64_t schedule_[kScheduleWords];
};

// out[i] = base[i] op G_1[start + i] op ... op G_count[start + i] with one stream a key, in one
// pass over memory. base null stands for zeros and may be out itself.
void combine(std::uint64_t* out, const std::uint64_t* base, const unsigned char* keys, int count,
             std::uint64_t stream, std::uint64_t start, std::int64_t n, Op op, int threads);

// For tests: blocks first, first + 1, .. of a stream by one implementation of AES ("portable",
// "aes-ni", "vaes-256" or "vaes-512"). Throws std::invalid_argument if this machine lacks it.
void aes_blocks(const std::string& implementation, const unsigned char* key, std::uint64_t stream,
                std::uint64_t first, std::int64_t blocks, std::uint64_t* out);

// Overwrites memory in a way that the compiler may not drop.
void wipe(void* memory, std::size_t bytes);

}  // namespace mpctensor::prg
