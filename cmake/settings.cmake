# Compiler settings that every target shares.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

# GCC contracts a*b+c to a fused multiply-add by default: results would depend on the instruction set.
add_compile_options(-ffp-contract=off -fno-math-errno)
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wconversion
                    -Wno-sign-conversion -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 warns falsely on std::string's operator+ and on optionals and vectors it has inlined.
  add_compile_options(-Wno-restrict -Wno-maybe-uninitialized -Wno-stringop-overflow
                      -Wno-array-bounds -Wno-dangling-pointer -Wno-psabi)
endif()
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  # Sizes are uint64_t until they index memory; a program of 32 bits refuses more than 1.5 GB before that.
  add_compile_options(-Wno-conversion)
endif()
# Libraries that nothing is taken from are not loaded.
add_link_options(-Wl,--as-needed)
if(LITESMITH_WERROR)
  add_compile_options(-Werror)
endif()
if(LITESMITH_BUILD_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(LITESMITH_SANITIZE)
  add_compile_options(-fsanitize=${LITESMITH_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${LITESMITH_SANITIZE})
endif()
