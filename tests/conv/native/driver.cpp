// A program that calls the library where no Python and torch exist, such as in an emulator.
//
// Its output is one "name: value" per line.

#include <cstdio>

extern "C" {
int dsx_abi_version(void);
const char* dsx_instruction_sets(void);
const char* dsx_instruction_set(void);
int dsx_use(const char* name);
int dsx_has_threads(void);
}

int main() {
    std::printf("interface: %d\n", dsx_abi_version());
    std::printf("instruction sets: %s\n", dsx_instruction_sets());
    std::printf("in use: %s\n", dsx_instruction_set());
    std::printf("use of avx2: %d\n", dsx_use("avx2"));
    std::printf("use of baseline: %d\n", dsx_use("baseline"));
    std::printf("threads: %d\n", dsx_has_threads());
    return 0;
}
