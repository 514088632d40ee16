// The gradient of the weights: for each live weight, the sum over images and pixels of input times
// gradient.
#pragma once
#include "plan.h"

namespace dsx {
namespace {

// Lane i of `low` and `high` is where join() finds the two halves of sum i.
constexpr int half(int lane, int lanes, int count, bool high) {
    const int run = 2 * lanes / count, sum = lane / (run / 2);
    return sum * run + lane % (run / 2) + (high ? run / 2 : 0);
}

#ifdef __clang__
template <class T, int COUNT, bool HIGH, int... I>
INLINE Vector<T> halves(Vector<T> a, Vector<T> b, Indices<I...>) {
    return __builtin_shufflevector(a, b, half(I, LANES<T>, COUNT, HIGH)...);
}
#else
template <class T, int COUNT, bool HIGH, int... I>
INLINE Vector<T> halves(Vector<T> a, Vector<T> b, Indices<I...>) {
    return __builtin_shuffle(a, b, Integers<T>{half(I, LANES<T>, COUNT, HIGH)...});
}
#endif

template <class T, int COUNT>
struct Reduce {
    // Lane i of the result is the sum of the lanes of vector i.
    static INLINE Vector<T> sum(const Vector<T>* v) {
        const Vector<T> a = Reduce<T, COUNT / 2>::sum(v);
        const Vector<T> b = Reduce<T, COUNT / 2>::sum(v + COUNT / 2);
        // COUNT / 2 sums in a, each spread over several lanes, and as many in b.
        const auto lanes = typename Counting<LANES<T>>::Type{};
        return halves<T, COUNT, false>(a, b, lanes) + halves<T, COUNT, true>(a, b, lanes);
    }
};
template <class T>
struct Reduce<T, 1> {
    static INLINE Vector<T> sum(const Vector<T>* v) { return *v; }
};

// The images of a call as one signal for each channel: rows and images follow each other with zeros
// between them, so that a kernel position is one constant shift for all pixels.
template <class T>
struct Signals {
    static constexpr int L = LANES<T>;
    Geometry<T> g;
    bool direct;                 // the images are such signals already
    int64_t pitch, image, lead;  // distance of rows and of images, and zeros before the first row
    int64_t span;                // longest shift of a kernel position
    int64_t group, length;       // images in a group, and length of their signal in whole vectors
    int64_t piece;  // pixels handled at a time, so that 8 rows of the gradient stay in the cache

    Signals(const Layer& layer, const Images& in) : g(layer, in) {
        int64_t up = 0, down = 0, left = 0, right = 0;
        for (int tap = 0; tap < g.plan.taps(); tap++) {
            if (!g.used(tap)) continue;
            const Shift s = g.shift(tap);
            up = most(up, -s.rows), down = most(down, s.rows), left = most(left, -s.columns),
            right = most(right, s.columns);
        }
        // Zeros on one side of a row serve as those of the other side of the next row, unless the
        // image is there.
        const bool shared = g.width <= g.out_width && g.height <= g.out_height;
        pitch = g.out_width + (shared ? most(left, right) : left + right);
        image = pitch * (g.out_height + (shared ? most(up, down) : up + down));
        lead = up * pitch + left, span = lead + down * pitch + right;
        direct = pitch == g.out_width && image == g.pixels && g.width == g.out_width &&
                 g.height == g.out_height && image % L == 0 && image >= 768;
        piece = most(256, least(1024, 1048576 / int64_t(sizeof(T)) / most(1, g.channels))) / L * L;
        const int64_t groups =
            direct ? g.images : most(1, ceil_div(g.images, most(1, piece / image)));
        group = most(1, ceil_div(g.images, groups));
        length = ceil_div(group * image, L) * L;
    }
    int64_t input_size() const { return length + span; }
    int64_t bytes() const {
        return direct ? 0 : (g.channels * input_size() + g.outputs * length) * int64_t(sizeof(T));
    }
    int64_t shift(int tap) const {
        const Shift s = g.shift(tap);
        return s.rows * pitch + s.columns + lead;
    }
};

template <class T>
void copy_signal(const Signals<T>& s, const T* images, int64_t channels, int64_t c, int64_t height,
                 int64_t width, int64_t first, int64_t count, int64_t lead, T* signal,
                 int64_t size) {
    const bool dense = lead == 0 && s.pitch == width && s.image == height * width;
    // The pixels beyond are read by no kernel position.
    const int64_t rows = least(height, s.image / s.pitch - lead / s.pitch),
                  columns = least(width, s.pitch - lead % s.pitch);
    for (int64_t i = dense ? count * s.image : 0; i < size; i++) signal[i] = T(0);
    for (int64_t n = 0; n < count; n++) {
        if (dense) {
            const T* from = images + ((first + n) * channels + c) * s.image;
            for (int64_t i = 0; i < s.image; i++) signal[n * s.image + i] = from[i];
            continue;
        }
        for (int64_t y = 0; y < rows; y++) {
            const T* from = images + (((first + n) * channels + c) * height + y) * width;
            T* to = signal + lead + n * s.image + y * s.pitch;
            for (int64_t x = 0; x < columns; x++) to[x] = from[x];
        }
    }
}

constexpr int ROWS_AT_ONCE = IS_WIDE ? 8 : 4;

// Adds the products of R rows of the gradient with `count` columns to the packed gradient, in which
// consecutive columns are STRIDE apart.
template <class T, int R, int STRIDE>
void products(const T* const* rows, const int32_t* entry, const int64_t* column, const T* input,
              int64_t begin, int64_t end, int count, T* packed) {
    // As many sums as the registers hold beside the rows.
    constexpr int L = LANES<T>, SUMS = IS_WIDE ? 16 : 8, AT_ONCE = SUMS / R;
    for (int e = 0; e < count; e += AT_ONCE) {
        const T* x[AT_ONCE];
        for (int j = 0; j < AT_ONCE; j++) x[j] = input + column[entry[e + j < count ? e + j : e]];
        Vector<T> acc[SUMS] = {};
        for (int64_t i = begin; i < end; i += L) {
            Vector<T> gradient[R];
            UNROLL for (int r = 0; r < R; r++) {
                gradient[r] = load(rows[r] + i);
                IN_REGISTER(gradient[r]);  // the compiler would load it once for each column
            }
            UNROLL for (int j = 0; j < AT_ONCE; j++) {
                const Vector<T> value = load(x[j] + i);
                UNROLL for (int r = 0; r < R; r++) acc[j * R + r] += gradient[r] * value;
            }
        }
        T sums[SUMS];
        UNROLL for (int k = 0; k < SUMS / L; k++)
            store(sums + k * L, Reduce<T, L>::sum(acc + k * L));
        for (int j = 0; j < AT_ONCE && e + j < count; j++)
            for (int r = 0; r < R; r++) packed[int64_t(e + j) * STRIDE + r] += sums[j * R + r];
    }
}

template <class T>
void block_products(const Plan& plan, int block, const T* gradient, int64_t gradient_size,
                    const T* input, const int64_t* column, int64_t begin, int64_t end,
                    const int32_t*& entry, T*& packed) {
    const int32_t* counts = plan.counts + block * SEGMENTS;
    const T* rows[ROWS];
    for (int r = 0; r < ROWS; r++) {
        const int32_t row = plan.rows[block * ROWS + r];
        rows[r] = gradient +
                  most(0, row) * gradient_size;  // the sums of a row without an output are padding
    }
    constexpr int FIRST[SEGMENTS] = {0, 0, 4, 0, 2, 4, 6}, SIZE[SEGMENTS] = {8, 4, 4, 2, 2, 2, 2};
    for (int s = 0; s < SEGMENTS; s++) {
        const auto multiply = s > 2   ? products<T, 2, 2>
                              : s > 0 ? products<T, 4, 4>
                                      : products<T, ROWS_AT_ONCE, ROWS>;
        for (int r = 0; r < SIZE[s]; r += ROWS_AT_ONCE)
            multiply(rows + FIRST[s] + r, entry, column, input, begin, end, counts[s], packed + r);
        entry += counts[s], packed += int64_t(counts[s]) * SIZE[s];
    }
}

template <class T>
int64_t gradient_bytes(const Layer& layer, const Images& in, int) {
    const Signals<T> s(layer, in);
    if (s.g.phases_h * s.g.phases_w > 1 || s.g.out_height <= 0 || s.g.out_width <= 0) return -1;
    return s.bytes() + s.g.plan.head[COLUMNS] * int64_t(sizeof(int64_t));
}

// `in.residual` is the gradient of the output, and `in.output` the packed gradient of the weights.
template <class T>
void gradient(const Layer& layer, const Images& in, const Team& team) {
    const Signals<T> s(layer, in);
    const Plan& plan = s.g.plan;
    const T *input = static_cast<const T*>(in.input),
            *gradient = static_cast<const T*>(in.residual);
    int64_t* column = static_cast<int64_t*>(team.buffer);
    T* inputs = reinterpret_cast<T*>(column + plan.head[COLUMNS]);
    T* gradients = inputs + s.g.channels * s.input_size();
    const int64_t blocks = plan.head[BLOCKS],
                  channel = s.direct ? s.g.height * s.g.width : s.input_size();
    if (team.thread == 0)
        for (int tap = 0; tap < plan.taps(); tap++)
            for (int j = plan.starts[tap]; j < plan.starts[tap + 1]; j++)
                column[j] = plan.channel[j] * channel + s.shift(tap);
    const int from = int(team.thread * blocks / team.threads),
              to = int((team.thread + 1) * blocks / team.threads);
    int64_t skipped = 0, start = 0;
    for (int i = 0; i < from * SEGMENTS; i++) {
        constexpr int SIZE[SEGMENTS] = {8, 4, 4, 2, 2, 2, 2};
        skipped += plan.counts[i], start += int64_t(plan.counts[i]) * SIZE[i % SEGMENTS];
    }
    for (int64_t first = 0; first < s.g.images; first += s.group) {
        const int64_t count = least(s.group, s.g.images - first);
        if (!s.direct) {
            for (int64_t c = team.thread; c < s.g.channels; c += team.threads)
                copy_signal(s, input, s.g.channels, c, s.g.height, s.g.width, first, count, s.lead,
                            inputs + c * s.input_size(), s.input_size());
            for (int64_t o = team.thread; o < s.g.outputs; o += team.threads)
                copy_signal(s, gradient, s.g.outputs, o, s.g.out_height, s.g.out_width, first,
                            count, int64_t(0), gradients + o * s.length, s.length);
        }
        team.barrier();
        const T* x = s.direct ? input + first * s.g.channels * channel : inputs;
        const T* d = s.direct ? gradient + first * s.g.outputs * channel : gradients;
        for (int64_t begin = 0; begin < s.length; begin += s.piece) {
            const int32_t* entry = plan.entries + skipped;
            T* packed = static_cast<T*>(in.output) + start;
            for (int b = from; b < to; b++)
                block_products(plan, b, d, s.direct ? channel : s.length, x, column, begin,
                               least(s.length, begin + s.piece), entry, packed);
        }
        team.barrier();
    }
}

}  // namespace
}  // namespace dsx
