// A program that calls the library where no Python and torch exist, such as in an emulator.
//
// Without arguments it prints one "name: value" per line. Otherwise it calls the function `dsx_<argument>` with
// what it reads from stdin (see `main`), writes the output as it is in memory to stdout, and returns the status.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "interface.h"

using dsx::Layer;
using Function = int(const Layer*, int64_t, int64_t, int64_t, const void*, const void*, void*, int);

extern "C" {
int dsx_abi_version(void);
const char* dsx_instruction_sets(void);
const char* dsx_instruction_set(void);
int dsx_use(const char* name);
int dsx_has_threads(void);
Function dsx_conv_f32, dsx_conv_f64, dsx_gradient_f32, dsx_gradient_f64;
}

namespace {

const struct {
    const char* name;
    Function* function;
} functions[] = {
    {"conv_f32", dsx_conv_f32},
    {"conv_f64", dsx_conv_f64},
    {"gradient_f32", dsx_gradient_f32},
    {"gradient_f64", dsx_gradient_f64},
};

int describe() {
    std::printf("interface: %d\n", dsx_abi_version());
    std::printf("instruction sets: %s\n", dsx_instruction_sets());
    std::printf("in use: %s\n", dsx_instruction_set());
    std::printf("use of avx2: %d\n", dsx_use("avx2"));
    std::printf("use of baseline: %d\n", dsx_use("baseline"));
    std::printf("threads: %d\n", dsx_has_threads());
    return 0;
}

void read(void* to, size_t bytes) {
    if (std::fread(to, 1, bytes, stdin) != bytes) std::perror("stdin");
}

// An array with its length in bytes before it.
struct Array {
    Array() {
        int64_t bytes = 0;
        read(&bytes, sizeof bytes);
        content.resize(static_cast<size_t>(bytes));
        read(content.data(), content.size());
    }
    void* start() { return content.empty() ? nullptr : content.data(); }
    std::vector<char> content;
};

}  // namespace

int main(int count, char** arguments) {
    if (count == 1) return describe();
    // Batch, height, width, threads; activation, depthwise activation, producer, super tile.
    int64_t images[4];
    int32_t settings[4];
    read(images, sizeof images);
    read(settings, sizeof settings);
    Array plan, weights, bias, depthwise, depthwise_bias, input, other, output;
    const Layer layer{
        static_cast<const int32_t*>(plan.start()), weights.start(), bias.start(), depthwise.start(),
        depthwise_bias.start(), settings[0], settings[1], settings[2], settings[3]};
    for (const auto& each : functions) {
        if (std::strcmp(each.name, arguments[1]) != 0) continue;
        const int status = each.function(&layer, images[0], images[1], images[2], input.start(),
                                         other.start(), output.start(), static_cast<int>(images[3]));
        std::fwrite(output.content.data(), 1, output.content.size(), stdout);
        return status;
    }
    std::fprintf(stderr, "no function %s\n", arguments[1]);
    return 1;
}
