// The driver: images to tiles, tiles and blocks to the micro-kernel.
#pragma once
#include "producers.h"

namespace dsx {
namespace {

// Where a block starts in the lists and the packed weights.
template <class T>
Cursor<T> block_cursor(const Plan& plan, const T* weights, int block) {
    constexpr int SIZE[SEGMENTS] = {8, 4, 4, 2, 2, 2, 2};
    int64_t entries = 0, packed = 0;
    for (int i = 0; i < block * SEGMENTS; i++)
        entries += plan.counts[i], packed += int64_t(plan.counts[i]) * SIZE[i % SEGMENTS];
    return {plan.entries + entries, weights + packed, nullptr, 0};
}

template <class T>
struct Convolution {
    static constexpr int L = LANES<T>;
    const Layer& layer;
    const Images& in;
    const Team& team;
    const Geometry<T>& g;
    Mask<T>* masks;
    int64_t* table;
    T *planes, *tiles_of_thread;

    // Tiles [first, first + count) of the images from `image` on, for blocks [from, to).
    void super_tile(int64_t image, int64_t vectors, int64_t tiles, int64_t first, int64_t count,
                    int from, int to) const {
        Tile<T> tile[MAX_SUPER];
        for (int64_t t = 0; t < count; t++) {
            // Tiles of nearly equal size.
            const int64_t begin = (first + t) * vectors / tiles,
                          end = (first + t + 1) * vectors / tiles;
            tile[t] = place(image, begin, int(end - begin),
                            g.columns ? tiles_of_thread + t * g.columns : nullptr);
        }
        Cursor<T> cursor = block_cursor(g.plan, static_cast<const T*>(layer.weights), from);
        const bool prefetch = look_ahead(cursor, image, vectors, first * vectors / tiles,
                                         (first + count) * vectors / tiles, count, from, to);
        const Epilogue<T> output{static_cast<const T*>(layer.bias),
                                 static_cast<const T*>(in.residual), static_cast<T*>(in.output),
                                 layer.activation, g.pixels};
        if (!g.merging) {
            run_blocks(tile, count, from, to, output, cursor, prefetch);
            return;
        }
        T* map = tiles_of_thread + count * g.columns;
        Tile<T> inner[MAX_SUPER];
        for (int64_t t = 0; t < count; t++) {
            inner[t] = tile[t], inner[t].lanes = L, inner[t].whole = true;
            for (int v = 0; v < tile[t].vectors; v++) inner[t].output[v] = t * g.maps + v * L;
        }
        run_blocks(inner, count, from, to, {nullptr, nullptr, map, NONE, VECTORS * L}, cursor,
                   prefetch);
        for (int64_t t = 0; t < count; t++) merge(tile[t], map + t * g.maps, output);
    }

    void run_blocks(const Tile<T>* tile, int64_t count, int from, int to, const Epilogue<T>& e,
                    Cursor<T> cursor, bool prefetch) const {
        const int64_t pitch = g.columns ? VECTORS * L : g.plane();
        for (int b = from; b < to; b++) {
            const int32_t *rows = g.plan.rows + b * ROWS, *counts = g.plan.counts + b * SEGMENTS;
            const Cursor<T> start = cursor;
            for (int64_t t = 0; t < count; t++) {
                cursor.entry = start.entry, cursor.weight = start.weight;
                if (g.producer == PADDED) {
                    if (prefetch)
                        run_block<T, true, true>(rows, counts, tile[t], pitch, table, e, cursor);
                    else
                        run_block<T, true, false>(rows, counts, tile[t], pitch, table, e, cursor);
                } else {
                    if (prefetch)
                        run_block<T, false, true>(rows, counts, tile[t], pitch, table, e, cursor);
                    else
                        run_block<T, false, false>(rows, counts, tile[t], pitch, table, e, cursor);
                }
            }
        }
    }

    // Each output is a sum of maps, which are the outputs of the plan, times its factor.
    void merge(const Tile<T>& tile, const T* maps, const Epilogue<T>& e) const {
        const T* scale = static_cast<const T*>(layer.scale);
        const int32_t* term = layer.merge;
        for (int32_t o = 0; o < layer.merged; o++, term += layer.terms) {
            const Vector<T> factor = broadcast(scale ? scale[o] : T(1)),
                            bias = broadcast(e.bias ? e.bias[o] : T(0));
            Vector<T> sum[VECTORS] = {};
            for (int32_t j = 0; j < layer.terms; j++)
                UNROLL for (int v = 0; v < VECTORS; v++) sum[v] +=
                    load(maps + (int64_t(term[j]) * VECTORS + v) * L);
            UNROLL for (int v = 0; v < VECTORS; v++) sum[v] = sum[v] * factor + bias;
            for (int v = 0; v < tile.vectors; v++)
                store_lanes(sum[v], tile, v, tile.output[v] + o * e.pixels, true, e);
        }
    }

    // Places `count` vectors of pixels, and computes their columns into `buffer` if there is one.
    Tile<T> place(int64_t image, int64_t vector, int count, T* buffer) const {
        Tile<T> tile;
        Source<T> source;
        const T* input = static_cast<const T*>(in.input);
        tile.vectors = count, tile.lanes = int(least(L, g.pixels));
        tile.whole = tile.lanes == L;
        source.begin = g.copied ? planes : input;
        source.end = source.begin + (g.copied ? g.group : g.images) * g.image_size();
        for (int v = 0; v < count; v++) {
            const int64_t i = image + (vector + v) / g.vectors, k = (vector + v) % g.vectors,
                          p = g.start(k);
            const T* base =
                g.copied ? planes + (i - image) * g.image_size() : input + i * g.image_size();
            tile.output[v] = i * g.outputs * g.pixels + p;
            // The last vector of an image overlaps the one before it, which may be that of another
            // thread and, in a tile of another size, rounded differently.
            tile.skipped[v] = team.threads > 1 && p > 0 ? int(k * L - p) : 0;
            if (tile.skipped[v]) tile.whole = false;
            source.first[v] = p,
            source.masks[v] = masks + k * (g.plan.head[KERNEL_H] + g.plan.head[KERNEL_W]);
            source.pixel[v] = g.producer == GATHERED ? base : base + p;
            tile.input[v] = g.producer == PADDED
                                ? base + p / g.out_width * g.pitch + p % g.out_width
                                : base + p;
            if (g.producer == IN_PLACE) tile.input[v] += g.offset(live_shift());
            if (buffer) tile.input[v] = buffer + v * L;
        }
        if (buffer) produce(g, source, layer, count, buffer);
        return tile;
    }

    Shift live_shift() const {
        int tap = 0;
        while (!g.used(tap)) tap++;
        return g.shift(tap);
    }

    // Prefetches the next images in the order of their addresses, a share for each super-tile.
    bool look_ahead(Cursor<T>& cursor, int64_t image, int64_t vectors, int64_t begin, int64_t end,
                    int64_t tiles, int from, int to) const {
        if (g.images == 1 || team.threads > 1) return false;
        const int64_t size = g.channels * g.height * g.width * int64_t(sizeof(T));
        const int64_t images = g.copied ? vectors / g.vectors : g.images,
                      next = g.copied ? image + images : 1;
        const int64_t from_byte =
            next * size + int64_t(double(begin) / double(vectors) * double(images * size));
        const int64_t to_byte =
            next * size + int64_t(double(end) / double(vectors) * double(images * size));
        const int64_t entries =
            int64_t(g.plan.head[ENTRIES]) * tiles * (to - from) / most(1, g.plan.head[BLOCKS]);
        if (to_byte > g.images * size || entries == 0) return false;
        cursor.ahead = static_cast<const char*>(in.input) + from_byte;
        cursor.step = most(1, (to_byte - from_byte) / entries);
        return true;
    }

    void group(int64_t image, int64_t images) const {
        const int64_t vectors = images * g.vectors, tiles = ceil_div(vectors, VECTORS),
                      supers = ceil_div(tiles, g.super_tile);
        const int blocks = g.plan.head[BLOCKS];
        // Threads share the super-tiles; where these are few, each is shared by parts of the
        // blocks.
        const int64_t parts = g.merging || supers % team.threads == 0 || supers >= 4 * team.threads
                                  ? 1
                                  : least(team.threads, blocks);
        for (int64_t item = team.thread * supers * parts / team.threads;
             item < (team.thread + 1) * supers * parts / team.threads; item++) {
            const int64_t first = item / parts * g.super_tile, part = item % parts;
            super_tile(image, vectors, tiles, first, least(g.super_tile, tiles - first),
                       int(part * blocks / parts), int((part + 1) * blocks / parts));
        }
    }

    void run() const {
        const T* input = static_cast<const T*>(in.input);
        if (g.producer == FLAT) make_masks(g, masks, team.thread, team.threads);
        if (g.producer == PADDED && team.thread == 0)
            for (int tap = 0; tap < g.plan.taps(); tap++)
                for (int j = g.plan.starts[tap]; j < g.plan.starts[tap + 1]; j++)
                    table[j] = g.offset(g.shift(tap)) + g.plan.channel[j] * g.plane();
        for (int64_t image = 0; image < g.images; image += g.group) {
            const int64_t count = least(g.group, g.images - image);
            if (g.copied) copy_images(g, input, image, count, planes, team.thread, team.threads);
            team.barrier();
            group(image, count);
            if (g.copied) team.barrier();
        }
    }
};

template <class T>
int64_t conv_bytes(const Layer& layer, const Images& in, int threads) {
    const Geometry<T> g(layer, in);
    // Beyond the arrays on the stack, which no network reaches.
    if (g.plan.taps() > 128 || g.phases_h * g.phases_w > 64) return -1;
    if (g.out_height <= 0 || g.out_width <= 0) return -1;
    return g.tiles_at() + threads * g.tile_bytes();
}

template <class T>
void conv(const Layer& layer, const Images& in, const Team& team) {
    const Geometry<T> g(layer, in);
    char* buffer = static_cast<char*>(team.buffer);
    const Convolution<T> c{
        layer,
        in,
        team,
        g,
        reinterpret_cast<Mask<T>*>(buffer),
        reinterpret_cast<int64_t*>(buffer + g.aligned(g.mask_bytes)),
        reinterpret_cast<T*>(buffer + g.planes_at()),
        reinterpret_cast<T*>(buffer + g.tiles_at() + team.thread * g.tile_bytes())};
    c.run();
}

}  // namespace
}  // namespace dsx
