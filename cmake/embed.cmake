# cmake -DIN=FILE -DOUT=FILE.cc -DNAME=SYMBOL -P embed.cmake: writes a source file that defines the file's bytes as
# litesmith::SYMBOL, an array of char, and their number as litesmith::SYMBOL_size.
file(READ "${IN}" bytes HEX)
string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
string(REGEX REPLACE "('[^']*','[^']*','[^']*','[^']*','[^']*','[^']*','[^']*','[^']*',)" "\\1\n" bytes "${bytes}")
file(WRITE "${OUT}" "#include <cstddef>\n\nnamespace litesmith {\nextern const char ${NAME}[] = {\n${bytes}\n};\n"
     "extern const std::size_t ${NAME}_size = sizeof(${NAME});\n}  // namespace litesmith\n")
