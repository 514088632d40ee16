// Where the micro-kernel reads the pixels of a tile: copies of images, and tiles of columns.
#pragma once
#include "micro.h"

namespace dsx {
namespace {

// Copies one channel of one phase of an image into a plane, with zeros around it.
template <class T>
void copy_plane(const Geometry<T>& g, const T* channel, int64_t phase, T* plane) {
    const int64_t a = phase / g.phases_w, b = phase % g.phases_w, step = g.phases_w;
    const int64_t height = g.phase_height(phase), width = g.phase_width(phase);
    const int64_t left = -g.first_column, end = least(g.pitch, left + width);
    for (int64_t row = 0; row < g.plane_rows; row++, plane += g.pitch) {
        const int64_t y = row + g.first_row;
        if (y < 0 || y >= height) {
            for (int64_t i = 0; i < g.pitch; i++) plane[i] = T(0);
            continue;
        }
        const T* source = channel + (y * g.phases_h + a) * g.width + b;
        for (int64_t i = 0; i < left; i++) plane[i] = T(0);
        if (step == 1)
            for (int64_t i = left; i < end; i++) plane[i] = source[i - left];
        else if (step == 2)
            for (int64_t i = left; i < end; i++) plane[i] = source[2 * (i - left)];
        else
            for (int64_t i = left; i < end; i++) plane[i] = source[step * (i - left)];
        for (int64_t i = most(end, 0); i < g.pitch; i++) plane[i] = T(0);
    }
}

// Copies the channels of `thread` of some images; only phases that a kernel position reads.
template <class T>
void copy_images(const Geometry<T>& g, const T* input, int64_t first, int64_t count, T* planes,
                 int thread, int threads) {
    bool read[64] = {};
    for (int tap = 0; tap < g.plan.taps(); tap++)
        if (g.used(tap)) read[g.shift(tap).phase] = true;
    const int64_t phases = g.phases_h * g.phases_w, rows = count * g.channels;
    for (int64_t i = thread * rows / threads; i < (thread + 1) * rows / threads; i++) {
        const int64_t image = i / g.channels, c = i % g.channels;
        for (int64_t phase = 0; phase < phases; phase++)
            if (read[phase])
                copy_plane(g, input + ((first + image) * g.channels + c) * g.height * g.width,
                           phase,
                           planes + image * g.image_size() + (phase * g.channels + c) * g.plane());
    }
}

// The masks of a vector: which lanes read inside the image, by kernel row and by kernel column.
template <class T>
void make_masks(const Geometry<T>& g, Mask<T>* masks, int thread, int threads) {
    constexpr int L = LANES<T>;
    typedef typename Types<T>::Integer Integer;
    const int32_t* h = g.plan.head;
    const int kh = h[KERNEL_H], kw = h[KERNEL_W];
    for (int64_t k = thread * g.vectors / threads; k < (thread + 1) * g.vectors / threads; k++) {
        Integers<T> y, x;
        int64_t row = g.start(k) / g.out_width, column = g.start(k) % g.out_width;
        for (int l = 0; l < L; l++) {
            y[l] = Integer(row), x[l] = Integer(column);
            if (++column == g.out_width) column = 0, row++;
        }
        Mask<T>* to = masks + k * (kh + kw);
        // Unsigned: a negative position is a large number.
        for (int i = 0; i < kh; i++) {
            const Shift s = g.shift(i * kw);
            to[i] = below(y + Integer(s.rows), Integer(g.phase_height(s.phase)));
        }
        for (int i = 0; i < kw; i++) {
            const Shift s = g.shift(i);
            to[kh + i] = below(x + Integer(s.columns), Integer(g.phase_width(s.phase)));
        }
    }
}

// One vector of a tile as a producer sees it.
template <class T>
struct Source {
    const T *begin, *end;     // memory that may be read
    const T* pixel[VECTORS];  // first pixel of each vector in channel 0 of its image
    int64_t first[VECTORS];   // number of that pixel in its image
    const Mask<T>* masks[VECTORS];
};

template <class T>
__attribute__((noinline)) Vector<T> load_lanes(const Source<T>& s, const T* p,
                                               const Mask<T>& mask) {
    Vector<T> v = {};
    for (int l = 0; l < LANES<T>; l++)
        if (selects<T>(mask, l) && p + l >= s.begin && p + l < s.end) v[l] = p[l];
    return v;
}

// Loads the lanes of a mask. SAFE: the whole vector may be read.
template <class T, bool SAFE>
INLINE Vector<T> load_masked(const Source<T>& s, const T* p, Mask<T> mask) {
    if (SAFE || !TOUCHES_ALL_LANES || (p >= s.begin && p + LANES<T> <= s.end)) return load(p, mask);
    return load_lanes(s, p, mask);
}

template <class T, int N>
INLINE void tap_masks(const Geometry<T>& g, const Source<T>& s, int tap, Mask<T> (&mask)[N]) {
    const int kh = g.plan.head[KERNEL_H], kw = g.plan.head[KERNEL_W];
    UNROLL for (int v = 0; v < N; v++) mask[v] = s.masks[v][tap / kw] & s.masks[v][kh + tap % kw];
}

// Whether all vectors of a tile that lie at the given offsets from it may be read, in all channels.
template <class T, int N>
bool is_safe(const Geometry<T>& g, const Source<T>& s, int64_t lowest, int64_t highest) {
    highest += (g.channels - 1) * g.plane() + LANES<T>;
    bool safe = true;
    for (int v = 0; v < N; v++)
        safe = safe && s.pixel[v] + lowest >= s.begin && s.pixel[v] + highest <= s.end;
    return safe;
}

template <class T, int N, bool SAFE>
void flat_columns(const Geometry<T>& g, const Source<T>& s, T* tile) {
    constexpr int L = LANES<T>;
    for (int tap = 0; tap < g.plan.taps(); tap++) {
        Mask<T> mask[N];
        tap_masks<T, N>(g, s, tap, mask);
        const int64_t offset = g.offset(g.shift(tap));
        for (int j = g.plan.starts[tap]; j < g.plan.starts[tap + 1]; j++) {
            const int64_t at = offset + g.plan.channel[j] * g.plane();
            UNROLL for (int v = 0; v < N; v++) store(
                tile + (j * VECTORS + v) * L, load_masked<T, SAFE>(s, s.pixel[v] + at, mask[v]));
        }
    }
}

// A depthwise convolution with bias and activation, one column for each channel. TAPS: 9, or 0 for
// any number.
template <class T, int N, int TAPS>
void flat_depthwise(const Geometry<T>& g, const Source<T>& s, const Layer& layer,
                    const int64_t* offset, T* tile) {
    constexpr int L = LANES<T>, MOST = TAPS ? TAPS : 128;
    const int taps = TAPS ? TAPS : g.plan.taps();
    Mask<T> mask[MOST][N];
    for (int t = 0; t < taps; t++) tap_masks<T, N>(g, s, t, mask[t]);
    const T* filter = static_cast<const T*>(layer.depthwise);
    const T* bias = static_cast<const T*>(layer.depthwise_bias);
    for (int64_t c = 0; c < g.channels; c++, filter += taps) {
        Vector<T> acc[N];
        UNROLL for (int v = 0; v < N; v++) acc[v] = broadcast(bias ? bias[c] : T(0));
        const int64_t channel = c * g.plane();
        UNROLL for (int t = 0; t < taps; t++) UNROLL for (int v = 0; v < N; v++) acc[v] +=
            filter[t] * load_masked<T, false>(s, s.pixel[v] + channel + offset[t], mask[t][v]);
        UNROLL for (int v = 0; v < N; v++)
            store(tile + (c * VECTORS + v) * L, activate<T>(acc[v], layer.depthwise_activation));
    }
}

// The same for a 3 x 3 kernel whose rows all lie inside the image: each kernel column is added up
// without masks, and masked once.
template <class T, int N>
void inner_depthwise(const Geometry<T>& g, const Source<T>& s, const Layer& layer,
                     const int64_t* offset, T* tile) {
    constexpr int L = LANES<T>, SIDE = 3;
    const T* filter = static_cast<const T*>(layer.depthwise);
    const T* bias = static_cast<const T*>(layer.depthwise_bias);
    Mask<T> mask[SIDE][N];
    UNROLL for (int x = 0; x < SIDE; x++) UNROLL for (int v = 0; v < N; v++) mask[x][v] =
        s.masks[v][SIDE + x];
    for (int64_t c = 0; c < g.channels; c++, filter += SIDE * SIDE) {
        Vector<T> acc[N];
        UNROLL for (int v = 0; v < N; v++) acc[v] = broadcast(bias ? bias[c] : T(0));
        const int64_t channel = c * g.plane();
        UNROLL for (int x = 0; x < SIDE; x++) {
            Vector<T> sum[N] = {};
            UNROLL for (int y = 0; y < SIDE; y++) UNROLL for (int v = 0; v < N; v++) sum[v] +=
                filter[y * SIDE + x] * load(s.pixel[v] + channel + offset[y * SIDE + x]);
            UNROLL for (int v = 0; v < N; v++) acc[v] += keep(sum[v], mask[x][v]);
        }
        UNROLL for (int v = 0; v < N; v++)
            store(tile + (c * VECTORS + v) * L, activate<T>(acc[v], layer.depthwise_activation));
    }
}

// Element by element, straight from the images.
template <class T>
void gathered(const Geometry<T>& g, const Source<T>& s, const Layer& layer, int vectors, T* tile) {
    constexpr int L = LANES<T>;
    const int32_t* h = g.plan.head;
    const T* filter = static_cast<const T*>(layer.depthwise);
    const T* bias = static_cast<const T*>(layer.depthwise_bias);
    const int taps = g.plan.taps();
    if (g.depthwise)
        for (int64_t i = 0; i < g.channels * VECTORS * L; i++)
            tile[i] = bias ? bias[i / (VECTORS * L)] : T(0);
    for (int tap = 0; tap < taps; tap++) {
        for (int i = 0; i < vectors * L; i++) {
            const int v = i / L;
            const int64_t p = s.first[v] + i % L,
                          y = p / g.out_width * g.phases_h + tap / h[KERNEL_W] * h[DILATION_H] -
                              h[PAD_TOP],
                          x = p % g.out_width * g.phases_w + tap % h[KERNEL_W] * h[DILATION_W] -
                              h[PAD_LEFT];
            const bool inside = p < g.pixels && y >= 0 && y < g.height && x >= 0 && x < g.width;
            const T* from = s.pixel[v] + y * g.width + x;
            if (g.depthwise) {
                for (int64_t c = 0; inside && c < g.channels; c++)
                    tile[c * VECTORS * L + i] +=
                        filter[c * taps + tap] * from[c * g.height * g.width];
            } else {
                for (int j = g.plan.starts[tap]; j < g.plan.starts[tap + 1]; j++)
                    tile[int64_t(j) * VECTORS * L + i] =
                        inside ? from[g.plan.channel[j] * g.height * g.width] : T(0);
            }
        }
    }
    if (g.depthwise)
        for (int64_t i = 0; i < g.channels * VECTORS * L; i += L)
            store(tile + i, activate<T>(load(tile + i), layer.depthwise_activation));
}

template <class T, int N>
void produce_flat(const Geometry<T>& g, const Source<T>& s, const Layer& layer, T* tile) {
    const int taps = g.plan.taps();
    int64_t offset[128], lowest = 0, highest = 0;
    for (int tap = 0; tap < taps; tap++) {
        offset[tap] = g.offset(g.shift(tap));
        lowest = least(lowest, offset[tap]), highest = most(highest, offset[tap]);
    }
    const bool safe = is_safe<T, N>(g, s, lowest, highest);
    const bool is_3x3 = g.plan.head[KERNEL_H] == 3 && g.plan.head[KERNEL_W] == 3;
    if (!g.depthwise && safe)
        flat_columns<T, N, true>(g, s, tile);
    else if (!g.depthwise)
        flat_columns<T, N, false>(g, s, tile);
    else if (is_3x3 && safe && g.rows_inside(s.first, N))
        inner_depthwise<T, N>(g, s, layer, offset, tile);
    else if (taps == 9)
        flat_depthwise<T, N, 9>(g, s, layer, offset, tile);
    else
        flat_depthwise<T, N, 0>(g, s, layer, offset, tile);
}

template <class T>
void produce(const Geometry<T>& g, const Source<T>& s, const Layer& layer, int vectors, T* tile) {
    if (g.producer == GATHERED)
        gathered(g, s, layer, vectors, tile);
    else if (vectors == 3)
        produce_flat<T, 3>(g, s, layer, tile);
    else if (vectors == 2)
        produce_flat<T, 2>(g, s, layer, tile);
    else
        produce_flat<T, 1>(g, s, layer, tile);
}

}  // namespace
}  // namespace dsx
