// The micro-kernel: the outputs of one block for the pixels of one tile.
#pragma once
#include "plan.h"

namespace dsx {
namespace {

// A tile of up to VECTORS vectors of pixels.
template <class T>
struct Tile {
    int vectors, lanes;  // lanes: pixels in each vector, fewer than LANES only in smaller images
    const T* input[VECTORS];  // of column 0
    int64_t output[VECTORS];  // offset of the first pixel in the output, for output channel 0
    int skipped[VECTORS];     // first lanes of each vector, which another tile stores
    bool whole;               // all lanes of all vectors are stored
};

// Position in the lists and the packed weights, and where to prefetch the next images.
template <class T>
struct Cursor {
    const int32_t* entry;
    const T* weight;
    const char* ahead;
    int64_t step;
};

// Adds `count` entries to the accumulators of R rows. The weights of consecutive entries are STRIDE
// apart.
template <class T, int R, int STRIDE, int N, bool TABLE, bool PREFETCH>
INLINE void accumulate(Vector<T> (*acc)[N], const T* const (&input)[N], const int32_t*& entry,
                       const T*& weight, int count, int64_t pitch, const int64_t* table,
                       Cursor<T>& cursor) {
    // Fewer than six accumulators would wait for each other: CHAINS independent sums hide the
    // latency.
    constexpr int CHAINS = R * N >= 6 ? 1 : R * N >= 4 ? 2 : 4;
    const auto add = [&](Vector<T>(*sum)[N]) __attribute__((always_inline)) {
        const int64_t offset = TABLE ? table[*entry] : *entry * pitch;
        entry++;
        if (PREFETCH) {
            __builtin_prefetch(cursor.ahead, 0, 2);
            cursor.ahead += cursor.step;
        }
        Vector<T> x[N];
        UNROLL for (int v = 0; v < N; v++) x[v] = load(input[v] + offset);
        UNROLL for (int r = 0; r < R; r++) {
            UNROLL for (int v = 0; v < N; v++) sum[r][v] += weight[r] * x[v];
        }
        weight += STRIDE;
    };
    if constexpr (CHAINS > 1) {
        Vector<T> other[CHAINS - 1][R][N] = {};
        for (; count >= CHAINS; count -= CHAINS) {
            add(acc);
            UNROLL for (int c = 0; c < CHAINS - 1; c++) add(other[c]);
        }
        UNROLL for (int c = 0; c < CHAINS - 1; c++) UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < N; v++) acc[r][v] += other[c][r][v];
    }
    for (; count > 0; count--) add(acc);
}

template <class T>
struct Epilogue {
    const T *bias, *residual;
    T* output;
    int activation;
    int64_t pixels;
};

// Starts the sums of a block with the bias and the residual. PREFETCH: the output is in memory.
template <class T, int R, int N, bool PREFETCH>
INLINE void begin(Vector<T> (*acc)[N], const int32_t* rows, const Tile<T>& tile,
                  const Epilogue<T>& e) {
    const bool add = e.residual && tile.lanes == LANES<T>;
    UNROLL for (int r = 0; r < R; r++) {
        const Vector<T> bias = broadcast(e.bias && rows[r] >= 0 ? e.bias[rows[r]] : T(0));
        UNROLL for (int v = 0; v < N; v++) acc[r][v] = bias;
        if (!(PREFETCH || add) || rows[r] < 0) continue;
        UNROLL for (int v = 0; v < N; v++) {
            const int64_t at = tile.output[v] + rows[r] * e.pixels;
            // Of the tile after the next one of this block.
            if (PREFETCH) __builtin_prefetch(e.output + at + 2 * VECTORS * LANES<T>, 1, 3);
            if (add) acc[r][v] += load(e.residual + at);
        }
    }
}

// Stores the lanes of vector `v` that belong to the tile, after the activation.
template <class T>
INLINE void store_lanes(Vector<T> y, const Tile<T>& tile, int v, int64_t at, bool add,
                        const Epilogue<T>& e) {
    if (add && e.residual)
        for (int l = 0; l < tile.lanes; l++) y[l] += e.residual[at + l];
    y = activate<T>(y, e.activation);
    if (tile.whole)
        store(e.output + at, y);
    else
        for (int l = tile.skipped[v]; l < tile.lanes; l++) e.output[at + l] = y[l];
}

// The outputs of a block in the rare cases: other activations, and vectors of which some lanes
// are stored.
template <class T>
__attribute__((noinline)) void finish_slowly(const Vector<T>* acc, int rows_of_block,
                                             const int32_t* rows, const Tile<T>& tile,
                                             const Epilogue<T>& e) {
    for (int i = 0; i < rows_of_block * tile.vectors; i++) {
        const int row = rows[i / tile.vectors];
        if (row < 0) continue;
        const int64_t at = tile.output[i % tile.vectors] + row * e.pixels;
        store_lanes(acc[i], tile, i % tile.vectors, at, tile.lanes < LANES<T>, e);
    }
}

template <class T, int R, int N>
INLINE void finish(Vector<T> (*acc)[N], const int32_t* rows, const Tile<T>& tile,
                   const Epilogue<T>& e) {
    if (!tile.whole || e.activation > RELU) {
        Vector<T> copy[R * N];
        // Unrolled, because an index at run time would keep the accumulators in memory everywhere.
        UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < N; v++) copy[r * N + v] =
            acc[r][v];
        finish_slowly<T>(copy, R, rows, tile, e);
        return;
    }
    // Local copies: the compiler assumes that a stored vector may change any object in memory.
    T* to[R];
    UNROLL for (int r = 0; r < R; r++) to[r] =
        rows[r] < 0 ? nullptr : e.output + rows[r] * e.pixels;
    int64_t at[N];
    UNROLL for (int v = 0; v < N; v++) at[v] = tile.output[v];
    // NaN is kept, and without an activation nothing is below the bound.
    const Vector<T> bound = broadcast(e.activation == RELU ? T(0) : T(-__builtin_inf()));
    UNROLL for (int r = 0; r < R; r++) {
        if (to[r] == nullptr) continue;
        UNROLL for (int v = 0; v < N; v++)
            store(to[r] + at[v], acc[r][v] < bound ? bound : acc[r][v]);
    }
}

#ifdef WIDE
// All 8 rows at once: 24 accumulators.
template <class T, int N, bool TABLE, bool PREFETCH>
void block(const int32_t* rows, const int32_t* counts, const Tile<T>& tile, int64_t pitch,
           const int64_t* table, const Epilogue<T>& e, Cursor<T>& cursor) {
    Vector<T> acc[ROWS][N];
    const T* input[N];
    for (int v = 0; v < N; v++) input[v] = tile.input[v];
    begin<T, ROWS, N, PREFETCH>(acc, rows, tile, e);
    Cursor<T> c = cursor;
#define SEGMENT(R, FIRST, NUMBER)                                                                  \
    accumulate<T, R, R, N, TABLE, PREFETCH>(acc + FIRST, input, c.entry, c.weight, counts[NUMBER], \
                                            pitch, table, c)
    SEGMENT(8, 0, 0);
    if (counts[1] | counts[2]) {
        SEGMENT(4, 0, 1);
        SEGMENT(4, 4, 2);
    }
    if (counts[3] | counts[4] | counts[5] | counts[6]) {
        SEGMENT(2, 0, 3);
        SEGMENT(2, 2, 4);
        SEGMENT(2, 4, 5);
        SEGMENT(2, 6, 6);
    }
#undef SEGMENT
    cursor = c;
    finish<T, ROWS, N>(acc, rows, tile, e);
}
#else
// Rows 0-3 and rows 4-7 one after the other: 12 accumulators.
template <class T, int N, bool TABLE, bool PREFETCH>
void block(const int32_t* rows, const int32_t* counts, const Tile<T>& tile, int64_t pitch,
           const int64_t* table, const Epilogue<T>& e, Cursor<T>& cursor) {
    // Each kind of segment has a place of its own, which advances from the first half to the
    // second.
    const int fours = counts[1] + counts[2], twos = counts[3] + counts[4] + counts[5] + counts[6];
    const int32_t *eight = cursor.entry, *four = eight + counts[0], *two = four + fours;
    const T *weight8 = cursor.weight, *weight4 = weight8 + int64_t(counts[0]) * 8,
            *weight2 = weight4 + int64_t(fours) * 4;
    Cursor<T> c = cursor;
    const T* input[N];
    for (int v = 0; v < N; v++) input[v] = tile.input[v];
    for (int half = 0; half < 2; half++) {
        Vector<T> acc[4][N];
        begin<T, 4, N, PREFETCH>(acc, rows + 4 * half, tile, e);
        const int32_t* entry = eight;
        const T* weight = weight8 + 4 * half;
        accumulate<T, 4, 8, N, TABLE, PREFETCH>(acc, input, entry, weight, counts[0], pitch, table,
                                                c);
        if (fours)
            accumulate<T, 4, 4, N, TABLE, false>(acc, input, four, weight4, counts[1 + half], pitch,
                                                 table, c);
        if (twos) {
            accumulate<T, 2, 2, N, TABLE, false>(acc, input, two, weight2, counts[3 + 2 * half],
                                                 pitch, table, c);
            accumulate<T, 2, 2, N, TABLE, false>(acc + 2, input, two, weight2, counts[4 + 2 * half],
                                                 pitch, table, c);
        }
        finish<T, 4, N>(acc, rows + 4 * half, tile, e);
    }
    c.entry = two, c.weight = weight2;
    cursor = c;
}
#endif

template <class T, bool TABLE, bool PREFETCH>
INLINE void run_block(const int32_t* rows, const int32_t* counts, const Tile<T>& tile,
                      int64_t pitch, const int64_t* table, const Epilogue<T>& e,
                      Cursor<T>& cursor) {
    if (tile.vectors == 3)
        block<T, 3, TABLE, PREFETCH>(rows, counts, tile, pitch, table, e, cursor);
    else if (tile.vectors == 2)
        block<T, 2, TABLE, PREFETCH>(rows, counts, tile, pitch, table, e, cursor);
    else
        block<T, 1, TABLE, PREFETCH>(rows, counts, tile, pitch, table, e, cursor);
}

}  // namespace
}  // namespace dsx
