#include <cstdint>

namespace mpctensor::truncate {
namespace {

using Word = std::uint64_t;

}  // namespace
}  // namespace mpctensor::truncate

#include "formulas_body.h"

namespace mpctensor::truncate {

const Formulas portable_formulas = kFormulas;

}  // namespace mpctensor::truncate
