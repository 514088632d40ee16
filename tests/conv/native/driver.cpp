// A program that calls the library where no Python and torch exist, such as in an emulator.
//
// Without arguments it prints one "name: value" per line. With any argument it reads calls from
// stdin (see `call`) until its end, and writes the outputs as they are in memory to stdout. It ends
// with the first status that is not 0.

#include <cstdint>
#include <cstdio>
#include <vector>

#include "interface.h"

using dsx::Layer;
using Function = int(const Layer*, int64_t, int64_t, int64_t, const void*, const void*, void*, int);

extern "C" {
const char* dsx_version(void);
const char* dsx_instruction_sets(void);
const char* dsx_instruction_set(void);
int dsx_use(const char* name);
int dsx_has_threads(void);
Function dsx_conv_f32, dsx_conv_f64, dsx_gradient_f32, dsx_gradient_f64;
}

namespace {

Function* const functions[] = {dsx_conv_f32, dsx_conv_f64, dsx_gradient_f32, dsx_gradient_f64};

int describe() {
    std::printf("version: %s\n", dsx_version());
    std::printf("instruction sets: %s\n", dsx_instruction_sets());
    std::printf("in use: %s\n", dsx_instruction_set());
    std::printf("use of avx2: %d\n", dsx_use("avx2"));
    std::printf("use of baseline: %d\n", dsx_use("baseline"));
    std::printf("threads: %d\n", dsx_has_threads());
    return 0;
}

bool read(void* to, size_t bytes) { return std::fread(to, 1, bytes, stdin) == bytes; }

// An array with its length in bytes before it.
struct Array {
    Array() {
        int64_t bytes = 0;
        complete = read(&bytes, sizeof bytes);
        content.resize(static_cast<size_t>(bytes));
        complete = complete && read(content.data(), content.size());
    }
    void* start() { return content.empty() ? nullptr : content.data(); }
    std::vector<char> content;
    bool complete;
};

// `numbers`: function, batch, height, width, threads, number of pointers at the start of a `Layer`.
int call(const int32_t (&numbers)[6]) {
    Array layer;
    std::vector<Array> pointed(static_cast<size_t>(numbers[5]));
    Array input, other, output;
    if (!output.complete || layer.content.size() != sizeof(Layer)) return 1;
    void** pointer = reinterpret_cast<void**>(layer.start());
    for (Array& array : pointed) *pointer++ = array.start();
    const int status =
        functions[numbers[0]](reinterpret_cast<const Layer*>(layer.start()), numbers[1], numbers[2],
                              numbers[3], input.start(), other.start(), output.start(), numbers[4]);
    std::fwrite(output.content.data(), 1, output.content.size(), stdout);
    return status;
}

}  // namespace

int main(int count, char**) {
    if (count == 1) return describe();
    int32_t numbers[6];
    while (read(numbers, sizeof numbers))
        if (const int status = call(numbers)) return status;
    return 0;
}
