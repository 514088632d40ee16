// Vectors by the vector extensions of GCC and Clang. Each instruction-set file defines
// VECTOR_BYTES, and WIDE if there are 32 vector registers, before it includes this.
#pragma once
#include <cstdint>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#if defined(__AVX512F__)
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#elif defined(__x86_64__)
#define IN_REGISTER(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#define IN_REGISTER(v) __asm__("" : "+w"(v))
#else
#define IN_REGISTER(v)
#endif

namespace dsx {
namespace {

template <class T>
struct Types;
template <>
struct Types<float> {
    typedef float Vector __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
    typedef uint32_t Integers __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
    typedef uint32_t Integer;
};
template <>
struct Types<double> {
    typedef double Vector __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
    typedef uint64_t Integers __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
    typedef uint64_t Integer;
};

template <class T>
using Vector = typename Types<T>::Vector;
template <class T>
using Integers = typename Types<T>::Integers;
template <class T>
constexpr int LANES = VECTOR_BYTES / int(sizeof(T));

template <class T>
INLINE Vector<T> load(const T* p) {
    return *reinterpret_cast<const Vector<T>*>(p);
}
template <class T>
INLINE void store(T* p, Vector<T> v) {
    *reinterpret_cast<Vector<T>*>(p) = v;
}
template <class T>
INLINE Vector<T> broadcast(T value) {
    return Vector<T>{} + value;
}

// A mask selects lanes. A masked load returns zero elsewhere, and AVX-512 does not touch that
// memory; other instruction sets load the whole vector.
#ifdef __AVX512F__
constexpr bool TOUCHES_ALL_LANES = false;
template <class T>
using Mask = uint16_t;
INLINE Mask<float> below(Integers<float> a, uint32_t bound) {
    return _mm512_cmplt_epu32_mask((__m512i)a, _mm512_set1_epi32(int(bound)));
}
INLINE Mask<double> below(Integers<double> a, uint64_t bound) {
    return _mm512_cmplt_epu64_mask((__m512i)a, _mm512_set1_epi64((long long)bound));
}
INLINE Vector<float> load(const float* p, Mask<float> mask) {
    return (Vector<float>)_mm512_maskz_loadu_ps(mask, p);
}
INLINE Vector<double> load(const double* p, Mask<double> mask) {
    return (Vector<double>)_mm512_maskz_loadu_pd(__mmask8(mask), p);
}
INLINE Vector<float> keep(Vector<float> v, Mask<float> mask) {
    return (Vector<float>)_mm512_maskz_mov_ps(mask, (__m512)v);
}
INLINE Vector<double> keep(Vector<double> v, Mask<double> mask) {
    return (Vector<double>)_mm512_maskz_mov_pd(__mmask8(mask), (__m512d)v);
}
template <class T>
INLINE bool selects(Mask<T> mask, int lane) {
    return mask >> lane & 1;
}
#else
constexpr bool TOUCHES_ALL_LANES = true;
template <class T>
using Mask = Integers<T>;
template <class I, class B>
INLINE I below(I a, B bound) {
    return (I)(a < bound);
}
INLINE Vector<float> keep(Vector<float> v, Mask<float> mask) {
    return (Vector<float>)((Integers<float>)v & mask);
}
INLINE Vector<double> keep(Vector<double> v, Mask<double> mask) {
    return (Vector<double>)((Integers<double>)v & mask);
}
template <class T>
INLINE Vector<T> load(const T* p, Mask<T> mask) {
    return keep(load(p), mask);
}
template <class T>
INLINE bool selects(Mask<T> mask, int lane) {
    return mask[lane] != 0;
}
#endif

template <class T>
INLINE Vector<T> activate(Vector<T> x, int activation) {
    // Comparisons are written so that NaN is kept, as torch does.
    const Vector<T> zero = {};
    if (activation == NONE) return x;
    if (activation == HARDSWISH) {
        Vector<T> gate = x + T(3);
        gate = gate < zero ? zero : gate;
        gate = gate > broadcast(T(6)) ? broadcast(T(6)) : gate;
        return x * gate / T(6);
    }
    x = x < zero ? zero : x;
    if (activation == RELU6) x = x > broadcast(T(6)) ? broadcast(T(6)) : x;
    return x;
}

// The numbers 0, 1, ..., N - 1 as a type.
template <int... I>
struct Indices {};
template <int N, int... I>
struct Counting : Counting<N - 1, N - 1, I...> {};
template <int... I>
struct Counting<0, I...> {
    typedef Indices<I...> Type;
};

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace
}  // namespace dsx
