#ifndef LITESMITH_VERSION_H_
#define LITESMITH_VERSION_H_

namespace litesmith {

// "MAJOR.MINOR.PATCH" of the library, as `litesmith --version` prints it and written files record it.
const char* Version();

}  // namespace litesmith

#endif  // LITESMITH_VERSION_H_
