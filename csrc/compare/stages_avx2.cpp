#if defined(__x86_64__)
#include <cstdint>
#include <initializer_list>

#include "stages.h"

#pragma GCC target("avx2,bmi,bmi2")
#include "selections_body.h"
#include "stages_body.h"

namespace mpctensor::compare {
namespace {

using Word = u64 __attribute__((vector_size(32)));

}  // namespace

const Stages avx2_stages = Table<Word>::stages;
const Selections avx2_selections = kSelections;

}  // namespace mpctensor::compare
#endif
