# The toolchain of the preset aarch64: Debian's cross compiler, and libraries below RAMJET_SYSROOT,
# which scripts/cross-build fills.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES RAMJET_SYSROOT)
set(CMAKE_FIND_ROOT_PATH ${RAMJET_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

set(include ${RAMJET_SYSROOT}/usr/include)
set(lib ${RAMJET_SYSROOT}/usr/lib/aarch64-linux-gnu)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${RAMJET_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${lib}/pkgconfig)
# pkg-config leaves out these folders: it takes them for the compiler's own.
set(CMAKE_C_FLAGS_INIT "-isystem ${include} -isystem ${include}/aarch64-linux-gnu")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-L${lib} -Wl,-rpath-link,${lib}")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L /usr/aarch64-linux-gnu
    -E LD_LIBRARY_PATH=/usr/aarch64-linux-gnu/lib:${lib}:${RAMJET_SYSROOT}/lib/aarch64-linux-gnu)
