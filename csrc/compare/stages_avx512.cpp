#if defined(__x86_64__)
#include <cstdint>
#include <initializer_list>

#include "stages.h"

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2")
#include "selections_body.h"
#include "stages_body.h"

namespace mpctensor::compare {
namespace {

using Word = u64 __attribute__((vector_size(64)));

}  // namespace

const Stages avx512_stages = Table<Word>::stages;
const Selections avx512_selections = kSelections;

}  // namespace mpctensor::compare
#endif
