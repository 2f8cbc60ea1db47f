#ifndef LITESMITH_API_SHELL_H_
#define LITESMITH_API_SHELL_H_

#include <string>

namespace litesmith {

// A path as one word of a shell's command line: quoted where it must be, never taken for a flag.
std::string ShellWord(std::string path);

}  // namespace litesmith

#endif  // LITESMITH_API_SHELL_H_
