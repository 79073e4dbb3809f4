#include "cpu.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace mpctensor {
namespace {

#if defined(__x86_64__)

// __builtin_cpu_supports also checks that the operating system saves the vector registers.
Isa detect_isa() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return !avx2 ? Isa::portable : !avx512 ? Isa::avx2 : Isa::avx512;
}

// AES and VAES are not names that every supported compiler's __builtin_cpu_supports knows.
bool detect_aes() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_AES);
}

bool detect_vaes() {
  constexpr unsigned vaes_bit = 1u << 9;
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & vaes_bit);
}

#else

Isa detect_isa() { return Isa::portable; }
bool detect_aes() { return false; }
bool detect_vaes() { return false; }

#endif

struct Machine {
  Isa isa = detect_isa();
  bool aes = detect_aes();
  bool vaes = detect_vaes();
};

const Machine& machine() {
  static const Machine found;
  return found;
}

std::atomic<Isa>& active() {
  static std::atomic<Isa> current{machine().isa};
  return current;
}

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::portable:
      return "portable";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "unknown";
}

Isa parse(const std::string& name) {
  for (Isa isa : {Isa::portable, Isa::avx2, Isa::avx512})
    if (name == name_of(isa)) return isa;
  throw std::invalid_argument("unknown instruction set '" + name +
                              "': use portable, avx2 or avx512");
}

}  // namespace

Isa isa() { return active().load(std::memory_order_relaxed); }

const char* isa_name() { return name_of(isa()); }

void force_isa(const std::string& name) {
  const Isa wanted = parse(name);
  if (wanted > machine().isa)
    throw std::invalid_argument("this machine has no '" + name + "', only '" +
                                name_of(machine().isa) + "' and below");
  active().store(wanted, std::memory_order_relaxed);
}

void init_isa() {
  const char* name = std::getenv("MPCTENSOR_ISA");
  if (name == nullptr || *name == '\0') return;
  try {
    force_isa(name);
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(std::string("MPCTENSOR_ISA: ") + error.what());
  }
}

bool has_aesni() { return machine().aes && isa() >= Isa::avx2; }
bool has_vaes256() { return has_aesni() && machine().vaes; }
bool has_vaes512() { return has_vaes256() && isa() == Isa::avx512; }

}  // namespace mpctensor
