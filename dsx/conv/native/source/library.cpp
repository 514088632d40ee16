// The C interface of the library, and the choice of the instruction set.

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "dispatch.h"

#define DSX_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

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

// A buffer that grows, and is reused by the next calls of its thread.
class Buffer {
  public:
    ~Buffer() { release(); }
    void* reserve(int64_t bytes) {
        if (bytes > size_) {
            release();
            const int64_t size = (bytes + 4095) / 4096 * 4096;
            start_ = std::aligned_alloc(64, static_cast<size_t>(size));
            size_ = start_ == nullptr ? 0 : size;
        }
        return start_;
    }
    void release() {
        std::free(start_);
        start_ = nullptr, size_ = 0;
    }

    int64_t size() const { return size_; }

  private:
    void* start_ = nullptr;
    int64_t size_ = 0;
};

thread_local Buffer buffer;

#ifdef _OPENMP
void barrier() {
#pragma omp barrier
}
#endif

using dsx::Images;
using dsx::Layer;
using dsx::Routines;
using dsx::Team;

using Size = int64_t (*)(const Layer&, const Images&, int threads);
using Work = void (*)(const Layer&, const Images&, const Team&);

// Returns 0; -1 if the kernels do not support the geometry; -2 if there is no memory; -3 if the
// plan has another format.
int run(Size size, Work work, const Layer& layer, const Images& images, int threads) {
    if (layer.plan[dsx::FORMAT] != dsx::PLAN_FORMAT) return -3;
    const int64_t bytes = size(layer, images, threads);
    if (bytes < 0) return -1;
    void* start = buffer.reserve(bytes);
    if (bytes > 0 && start == nullptr) return -2;
#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel num_threads(threads)
        work(layer, images, Team{omp_get_thread_num(), omp_get_num_threads(), barrier, start});
        return 0;
    }
#endif
    work(layer, images, Team{0, 1, [] {}, start});
    return 0;
}

template <class T>
void pack(const T* weights, const int32_t* source, int64_t length, T* packed) {
    for (int64_t i = 0; i < length; i++) packed[i] = source[i] < 0 ? T(0) : weights[source[i]];
}

template <class T>
void unpack(const T* packed, const int32_t* source, int64_t length, T* weights) {
    for (int64_t i = 0; i < length; i++)
        if (source[i] >= 0) weights[source[i]] = packed[i];
}

}  // namespace

const dsx::Kernels& dsx::kernels_in_use() { return *in_use().load(std::memory_order_relaxed); }

// The version of the kernels, by which compiling.py names these sources.
DSX_EXPORT const char* dsx_version(void) { return DSX_VERSION; }

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

// Each function exists for float and double.
#define DSX_FUNCTIONS(SUFFIX, T)                                                                 \
    DSX_EXPORT int dsx_conv_##SUFFIX(const Layer* layer, int64_t count, int64_t height,          \
                                     int64_t width, const void* input, const void* residual,     \
                                     void* output, int threads) {                                \
        const Routines& kernels = dsx::kernels_in_use().SUFFIX;                                  \
        return run(kernels.conv_bytes, kernels.conv, *layer,                                     \
                   Images{count, height, width, input, residual, output}, threads);              \
    }                                                                                            \
    /* Adds to `packed`, the packed gradient of the weights. */                                  \
    DSX_EXPORT int dsx_gradient_##SUFFIX(const Layer* layer, int64_t count, int64_t height,      \
                                         int64_t width, const void* input, const void* gradient, \
                                         void* packed, int threads) {                            \
        const Routines& kernels = dsx::kernels_in_use().SUFFIX;                                  \
        return run(kernels.gradient_bytes, kernels.gradient, *layer,                             \
                   Images{count, height, width, input, gradient, packed}, threads);              \
    }                                                                                            \
    DSX_EXPORT void dsx_pack_##SUFFIX(const T* weights, const int32_t* source, int64_t length,   \
                                      T* packed) {                                               \
        pack(weights, source, length, packed);                                                   \
    }                                                                                            \
    DSX_EXPORT void dsx_unpack_##SUFFIX(const T* packed, const int32_t* source, int64_t length,  \
                                        T* weights) {                                            \
        unpack(packed, source, length, weights);                                                 \
    }

DSX_FUNCTIONS(f32, float)
DSX_FUNCTIONS(f64, double)

// Frees the buffer of the calling thread.
DSX_EXPORT void dsx_release_buffers(void) { buffer.release(); }

// Returns the size of the buffer of the calling thread.
DSX_EXPORT int64_t dsx_buffer_bytes(void) { return buffer.size(); }
