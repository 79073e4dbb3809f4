#include <cstdint>
#include <initializer_list>

#include "selections_body.h"
#include "stages.h"
#include "stages_body.h"

namespace mpctensor::compare {
namespace {

using Word = u64 __attribute__((vector_size(16)));

}  // namespace

const Stages portable_stages = Table<Word>::stages;
const Selections portable_selections = kSelections;

}  // namespace mpctensor::compare
