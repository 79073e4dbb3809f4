// Where a kernel finds a share: in memory, or as the output of a stream, expanded piece by piece.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

#include "prg/blocks.h"
#include "prg/prg.h"

namespace mpctensor::prg {

// words null: word i is word i of (key, stream).
struct Source {
  const std::uint64_t* words;
  const unsigned char* key;
  std::uint64_t stream;
};

class Reader {
 public:
  explicit Reader(const Source& source) : source_(source) {
    if (source.words == nullptr) key_.emplace(source.key);
  }

  // Asks for words in memory that will be read next.
  void fetch(std::int64_t start, std::int64_t n) const {
    if (!key_) mpctensor::fetch(source_.words + start, n);
  }

  // Words start .. start + n - 1, in memory or expanded into scratch (n words).
  const std::uint64_t* read(std::int64_t start, std::int64_t n, std::uint64_t* scratch) const {
    if (!key_) return source_.words + start;
    key_->fill(source_.stream, static_cast<std::uint64_t>(start), n, scratch);
    return scratch;
  }

 private:
  Source source_;
  std::optional<Key> key_;
};

// The streams of several parties under their keys: what a dealer subtracts or adds up.
class Keys {
 public:
  Keys(const unsigned char* bytes, int count) : count_(count), keys_(new Slot[count]) {
    for (int k = 0; k < count; ++k) keys_[k].emplace(bytes + k * kKeyBytes);
  }

  // data[i] = data[i] op (word start + i of the stream, for every key in turn)
  void combine(std::uint64_t stream, std::int64_t start, std::int64_t n, Op op,
               std::uint64_t* data) const {
    for (int k = 0; k < count_; ++k)
      keys_[k]->combine(data, stream, static_cast<std::uint64_t>(start), n, op, data);
  }

  // The same on its way from scratch to memory, which is written once and in order. The next n
  // words there are asked for meanwhile: they follow with the caller's next block.
  void combine(std::uint64_t stream, std::int64_t start, std::int64_t n, Op op,
               std::uint64_t* scratch, std::uint64_t* out) const {
    for (int k = 0; k + 1 < count_; ++k)
      keys_[k]->combine(scratch, stream, static_cast<std::uint64_t>(start), n, op, scratch);
    for (std::int64_t i = 0; i < n; i += kPiece) {
      const std::int64_t count = std::min(kPiece, n - i);
      fetch(out + n + i, count);
      if (count_ > 0)
        keys_[count_ - 1]->combine(scratch + i, stream, static_cast<std::uint64_t>(start + i),
                                   count, op, out + i);
      else
        std::memcpy(out + i, scratch + i, static_cast<std::size_t>(count) * sizeof *out);
    }
  }

 private:
  using Slot = std::optional<Key>;
  static constexpr std::int64_t kPiece = 256;  // words that are asked for in one go
  int count_;
  std::unique_ptr<Slot[]> keys_;
};

}  // namespace mpctensor::prg
