#include "prg.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>

#include "backend.h"
#include "cpu.h"
#include "parallel.h"

namespace mpctensor::prg {
namespace {

struct Implementation {
  const char* name;
  const Backend* backend;
  bool (*available)();
};

// Best first.
const Implementation kImplementations[] = {
#if defined(__x86_64__)
    {"vaes-512", &aes_vaes512, has_vaes512},
    {"vaes-256", &aes_vaes256, has_vaes256},
    {"aes-ni", &aes_ni, has_aesni},
#endif
    {"portable", &aes_portable, [] { return true; }},
};

const Backend& backend() {
  for (const Implementation& each : kImplementations)
    if (each.available()) return *each.backend;
  return aes_portable;
}

Use use_of(Op op) { return op == Op::add ? Use::add : op == Op::sub ? Use::sub : Use::bit_xor; }

// A piece that stays in the first-level cache while every key passes over it.
constexpr std::int64_t kPiece = 1024;

}  // namespace

void wipe(void* memory, std::size_t bytes) {
  std::memset(memory, 0, bytes);
  __asm__ __volatile__("" : : "r"(memory) : "memory");
}

Key::Key(const unsigned char* bytes) : backend_(&backend()) { backend_->expand(bytes, schedule_); }

Key::~Key() { wipe(schedule_, sizeof schedule_); }

void Key::combine(const std::uint64_t* base, std::uint64_t stream, std::uint64_t start,
                  std::int64_t n, Op op, std::uint64_t* out) const {
  if (n <= 0) return;
  if (base == nullptr && op == Op::sub) {
    std::memset(out, 0, static_cast<std::size_t>(n) * sizeof *out);
    base = out;
  }
  const Use use = base == nullptr ? Use::store : use_of(op);
  // One half of a block, where the range starts or ends inside it.
  const auto half = [&](std::uint64_t index, std::int64_t i) {
    std::uint64_t block[2];
    backend_->blocks(schedule_, {stream, index >> 1}, 1, Use::store, nullptr, block);
    out[i] = apply(use, base == nullptr ? 0 : base[i], block[index & 1]);
    wipe(block, sizeof block);
  };
  std::int64_t done = 0;
  if (start & 1) half(start, done++);
  const std::int64_t whole = (n - done) / 2;
  const std::uint64_t* rest = base == nullptr ? nullptr : base + done;
  backend_->blocks(schedule_, {stream, (start + done) >> 1}, whole, use, rest, out + done);
  done += 2 * whole;
  if (done < n) half(start + done, done);
}

namespace {

// Keys expanded at a time; more parties than this take another pass over memory.
constexpr int kGroup = 8;

void combine_group(std::uint64_t* out, const std::uint64_t* base, const unsigned char* keys,
                   int count, std::uint64_t stream, std::uint64_t start, std::int64_t n, Op op,
                   int threads) {
  std::optional<Key> expanded[kGroup];
  for (int k = 0; k < count; ++k) expanded[k].emplace(keys + k * kKeyBytes);
  parallel_for(0, n, 32 * kPiece, threads, [&](std::int64_t b, std::int64_t e) {
    for (; b < e; b += kPiece) {
      const std::uint64_t* from = base == nullptr ? nullptr : base + b;
      for (int k = 0; k < count; ++k) {
        expanded[k]->combine(from, stream, start + b, std::min(kPiece, e - b), op, out + b);
        from = out + b;
      }
    }
  });
}

}  // namespace

void combine(std::uint64_t* out, const std::uint64_t* base, const unsigned char* keys, int count,
             std::uint64_t stream, std::uint64_t start, std::int64_t n, Op op, int threads) {
  for (int k = 0; k < count; k += kGroup) {
    const int group = std::min(kGroup, count - k);
    combine_group(out, base, keys + k * kKeyBytes, group, stream, start, n, op, threads);
    base = out;
  }
}

void aes_blocks(const std::string& implementation, const unsigned char* key, std::uint64_t stream,
                std::uint64_t first, std::int64_t blocks, std::uint64_t* out) {
  for (const Implementation& each : kImplementations) {
    if (implementation != each.name || !each.available()) continue;
    alignas(64) std::uint64_t schedule[kScheduleWords];
    each.backend->expand(key, schedule);
    each.backend->blocks(schedule, {stream, first}, blocks, Use::store, nullptr, out);
    return wipe(schedule, sizeof schedule);
  }
  throw std::invalid_argument("no AES implementation '" + implementation + "' on this machine");
}

}  // namespace mpctensor::prg
