# saved_model.pb.{h,cc} from src/import/saved_model/saved_model.proto, in the build folder, compiled apart from
# the library because generated code does not pass its warnings.
find_package(Protobuf REQUIRED)
if(LITESMITH_ARCHIVES)
  litesmith_link_archives("^protobuf::libprotobuf-lite$")
endif()
set(proto_dir ${CMAKE_BINARY_DIR}/generated)
add_custom_command(
  OUTPUT ${proto_dir}/saved_model.pb.h ${proto_dir}/saved_model.pb.cc
  COMMAND ${CMAKE_COMMAND} -E make_directory ${proto_dir}
  COMMAND protobuf::protoc --cpp_out=${proto_dir} -I ${CMAKE_SOURCE_DIR}/src/import/saved_model saved_model.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/src/import/saved_model/saved_model.proto VERBATIM
  COMMENT "Generating saved_model.pb.cc")
add_library(litesmith_proto OBJECT ${proto_dir}/saved_model.pb.cc ${proto_dir}/saved_model.pb.h)
target_compile_options(litesmith_proto PRIVATE -w)
target_include_directories(litesmith_proto SYSTEM PUBLIC $<BUILD_INTERFACE:${proto_dir}>)
target_link_libraries(litesmith_proto PUBLIC protobuf::libprotobuf-lite)
add_custom_target(litesmith_proto_header DEPENDS ${proto_dir}/saved_model.pb.h)
