#include "litesmith/version.h"

namespace litesmith {

const char* Version() { return LITESMITH_VERSION_STRING; }

}  // namespace litesmith
