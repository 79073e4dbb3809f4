// The one place that decides which instruction set the kernels use.
//
// A kernel with several versions asks isa() (or has_*() for AES) once per call and branches; the
// portable version defines the result, the others must equal it bit for bit.
#pragma once

#include <string>

namespace mpctensor {

// avx2:   AVX2, BMI1, BMI2, POPCNT.
// avx512: the above and AVX-512 F, BW, DQ, VL.
enum class Isa { portable = 0, avx2 = 1, avx512 = 2 };

// The instruction set in use: the best of this machine, capped by the environment variable
// MPCTENSOR_ISA (portable, avx2 or avx512), which is read once when the module loads.
Isa isa();
const char* isa_name();

// Reads MPCTENSOR_ISA. Throws std::runtime_error if its value is unknown or this machine lacks it.
void init_isa();

// Replaces the cap, for tests and benchmarks. Throws std::invalid_argument on an unknown name or a
// set that this machine lacks. Not to be called while kernels run.
void force_isa(const std::string& name);

// AES instructions under the same cap: 128-bit from Isa::avx2 on, 256-bit vectors likewise, 512-bit
// vectors with Isa::avx512.
bool has_aesni();
bool has_vaes256();
bool has_vaes512();

}  // namespace mpctensor
