// Where a kernel finds a share: in memory, or as the output of a stream, expanded piece by piece.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

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

 private:
  using Slot = std::optional<Key>;
  int count_;
  std::unique_ptr<Slot[]> keys_;
};

}  // namespace mpctensor::prg
