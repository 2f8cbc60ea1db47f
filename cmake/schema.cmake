# schema_generated.h from src/tflite/schema.fbs, in the build folder. A target that includes ir/schema.h
# links litesmith_schema.
find_program(LITESMITH_FLATC flatc REQUIRED)
find_package(FlatBuffers REQUIRED)
set(schema_dir ${CMAKE_BINARY_DIR}/generated)
add_custom_command(
  OUTPUT ${schema_dir}/schema_generated.h
  COMMAND ${CMAKE_COMMAND} -E make_directory ${schema_dir}
  COMMAND ${LITESMITH_FLATC} --cpp --gen-object-api -o ${schema_dir}
          ${CMAKE_SOURCE_DIR}/src/tflite/schema.fbs
  DEPENDS ${CMAKE_SOURCE_DIR}/src/tflite/schema.fbs
  COMMENT "Generating schema_generated.h")
# The same schema as data, for the check that a file holds nothing newer (tflite/unknown_fields.cc).
add_custom_command(
  OUTPUT ${schema_dir}/reflection/schema_bfbs_generated.h
  COMMAND ${CMAKE_COMMAND} -E make_directory ${schema_dir}/reflection
  COMMAND ${LITESMITH_FLATC} --cpp --binary --schema --bfbs-gen-embed -o ${schema_dir}/reflection
          ${CMAKE_SOURCE_DIR}/src/tflite/schema.fbs
  COMMAND ${CMAKE_COMMAND} -E rm -f ${schema_dir}/reflection/schema_generated.h
          ${schema_dir}/reflection/schema.bfbs
  DEPENDS ${CMAKE_SOURCE_DIR}/src/tflite/schema.fbs
  COMMENT "Generating schema_bfbs_generated.h")
add_custom_target(litesmith_schema_header DEPENDS ${schema_dir}/schema_generated.h
                  ${schema_dir}/reflection/schema_bfbs_generated.h)
add_library(litesmith_schema INTERFACE)
add_dependencies(litesmith_schema litesmith_schema_header)
target_include_directories(litesmith_schema SYSTEM INTERFACE
                           $<BUILD_INTERFACE:${schema_dir}>)
