#include "formulas_body.h"

namespace mpctensor::truncate {

const Formulas portable_formulas = kFormulas;

}  // namespace mpctensor::truncate
