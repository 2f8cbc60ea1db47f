#ifndef LITESMITH_OPERATORS_H_
#define LITESMITH_OPERATORS_H_

#include "litesmith/report.h"

namespace litesmith {

// What litesmith can do with each operator that it knows: one row per operator, from the operators'
// own records. Any other operator is carried through from file to file, and cannot be run.
Report OperatorSupport();

}  // namespace litesmith

#endif  // LITESMITH_OPERATORS_H_
