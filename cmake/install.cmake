# `cmake --install`: the command, the library, the public headers and the package files for
# find_package(litesmith), which defines the target litesmith::litesmith.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/litesmith)
install(TARGETS litesmith EXPORT litesmith_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/litesmith DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT litesmith_targets NAMESPACE litesmith:: DESTINATION ${package_dir})
if(TARGET litesmith_cli)
  install(TARGETS litesmith_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

configure_package_config_file(cmake/litesmith-config.cmake.in
  ${CMAKE_BINARY_DIR}/litesmith-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/litesmith-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/litesmith-config.cmake
              ${CMAKE_BINARY_DIR}/litesmith-config-version.cmake
        DESTINATION ${package_dir})
