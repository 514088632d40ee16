// The C interface of the library, and the choice of the instruction set.

#include <atomic>
#include <cstring>

#include "dispatch.h"

#define DSX_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// Raise this number, and ABI_VERSION in library.py, when a function of the C interface changes.
constexpr int abi_version = 1;

struct Candidate {
    const dsx::Kernels* kernels;
    bool (*is_supported)();
};

// Best first. The flags in compiling.py are those of the processor features that are checked here.
const Candidate candidates[] = {
#ifdef DSX_AVX512
    {&dsx::avx512::kernels,
     [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                __builtin_cpu_supports("fma");
     }},
#endif
#ifdef DSX_AVX2
    {&dsx::avx2::kernels,
     [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }},
#endif
    {&dsx::baseline::kernels, [] { return true; }},
};

const dsx::Kernels* best() {
    for (const Candidate& candidate : candidates)
        if (candidate.is_supported()) return candidate.kernels;
    return &dsx::baseline::kernels;
}

std::atomic<const dsx::Kernels*>& in_use() {
    static std::atomic<const dsx::Kernels*> kernels{best()};
    return kernels;
}

}  // namespace

const dsx::Kernels& dsx::kernels_in_use() { return *in_use().load(std::memory_order_relaxed); }

DSX_EXPORT int dsx_abi_version(void) { return abi_version; }

// The names of the instruction sets that are built in and that this processor supports, best first,
// separated by spaces.
DSX_EXPORT const char* dsx_instruction_sets(void) {
    static const struct Names {
        char text[64] = "";
        Names() {
            for (const Candidate& candidate : candidates) {
                if (!candidate.is_supported()) continue;
                if (*text) std::strcat(text, " ");
                std::strcat(text, candidate.kernels->name);
            }
        }
    } names;
    return names.text;
}

DSX_EXPORT const char* dsx_instruction_set(void) { return dsx::kernels_in_use().name; }

// Returns 0, or -1 if no kernels of this name are built in and supported by this processor.
DSX_EXPORT int dsx_use(const char* name) {
    for (const Candidate& candidate : candidates) {
        if (std::strcmp(candidate.kernels->name, name) != 0 || !candidate.is_supported()) continue;
        in_use().store(candidate.kernels, std::memory_order_relaxed);
        return 0;
    }
    return -1;
}

DSX_EXPORT int dsx_has_threads(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}
