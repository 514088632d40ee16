// The arrays of a plan, and the geometry of one call.
#pragma once
#include "vectors.h"

namespace dsx {
namespace {

constexpr int ROWS = 8, SEGMENTS = 7,
              VECTORS = 3;  // a block has 8 outputs, a tile up to 3 vectors of pixels
constexpr int MAX_SUPER = 8;
#ifdef WIDE
constexpr bool IS_WIDE = true;
#else
constexpr bool IS_WIDE = false;
#endif

struct Plan {
    const int32_t *head, *rows, *counts, *channel, *starts, *entries;

    explicit Plan(const int32_t* plan) : head(plan) {
        rows = plan + PLAN_HEADER;
        counts = rows + int64_t(head[BLOCKS]) * ROWS;
        channel = counts + int64_t(head[BLOCKS]) * SEGMENTS;
        starts = channel + head[COLUMNS];
        entries = starts + taps() + 1;
    }
    int taps() const { return head[KERNEL_H] * head[KERNEL_W]; }
};

INLINE int64_t floor_div(int64_t a, int64_t b) { return (a >= 0 ? a : a - b + 1) / b; }

// A strided convolution reads several images of lower resolution, its phases: phase (a, b) has the
// pixels in rows a, a + stride, ... and columns b, b + stride, ... A kernel position reads one
// phase at a constant shift, so with phases every convolution has stride 1.
struct Shift {
    int64_t phase, rows, columns;
};

// What one call computes, and how.
template <class T>
struct Geometry {
    static constexpr int L = LANES<T>;
    Plan plan;
    int64_t images, height, width, out_height, out_width, pixels, channels;
    int64_t outputs;  // of the call; merged ones where there is a merge
    int64_t vectors;  // per image
    int64_t phases_h, phases_w;
    Producer producer;
    bool depthwise, merging,
        copied;  // copied: phases or padded images are copied to the shared buffer first
    int64_t first_row, first_column, plane_rows,
        pitch;                            // of a plane: one channel of one phase as it is read
    int64_t low_row, high_row, shortest;  // shifts of the kernel rows, and rows of a phase
    int64_t group;                        // images copied at a time; all if nothing is copied
    int64_t mask_bytes, table_bytes;
    int super_tile;
    int64_t columns,
        maps;  // numbers in a tile of columns, and in the maps of a tile; 0 if there are none

    Geometry(const Layer& layer, const Images& in) : plan(layer.plan) {
        const int32_t* h = plan.head;
        images = in.count, height = in.height, width = in.width;
        channels = h[IN_CHANNELS];
        merging = layer.merge != nullptr;
        outputs = merging ? layer.merged : h[OUT_CHANNELS];
        phases_h = h[STRIDE_H], phases_w = h[STRIDE_W];
        out_height =
            extent(height, h[PAD_TOP] + h[PAD_BOTTOM], h[KERNEL_H], h[DILATION_H], phases_h);
        out_width = extent(width, h[PAD_LEFT] + h[PAD_RIGHT], h[KERNEL_W], h[DILATION_W], phases_w);
        pixels = out_height * out_width;
        vectors = ceil_div(pixels, L);
        depthwise = layer.depthwise != nullptr;
        select(Producer(layer.producer));
        group = images;
        if (copied) group = most(1, least(images, ceil_div(8 * VECTORS, vectors)));
        mask_bytes =
            producer == FLAT ? vectors * (h[KERNEL_H] + h[KERNEL_W]) * int64_t(sizeof(Mask<T>)) : 0;
        table_bytes = producer == PADDED ? h[COLUMNS] * int64_t(sizeof(int64_t)) : 0;
        columns = producer == FLAT || producer == GATHERED
                      ? (depthwise ? channels : h[COLUMNS]) * VECTORS * L
                      : 0;
        maps = merging ? h[OUT_CHANNELS] * VECTORS * L : 0;
        super_tile = layer.super_tile ? layer.super_tile : automatic_super_tile();
    }

    static int64_t extent(int64_t size, int64_t pad, int64_t kernel, int64_t dilation,
                          int64_t stride) {
        return floor_div(size + pad - dilation * (kernel - 1) - 1, stride) + 1;
    }

    Shift shift(int tap) const {
        const int32_t* h = plan.head;
        const int64_t y = int64_t(tap / h[KERNEL_W]) * h[DILATION_H] - h[PAD_TOP];
        const int64_t x = int64_t(tap % h[KERNEL_W]) * h[DILATION_W] - h[PAD_LEFT];
        const int64_t qy = floor_div(y, phases_h), qx = floor_div(x, phases_w);
        return {(y - qy * phases_h) * phases_w + x - qx * phases_w, qy, qx};
    }
    bool used(int tap) const { return depthwise || plan.starts[tap + 1] > plan.starts[tap]; }
    int64_t phase_height(int64_t phase) const {
        return ceil_div(most(0, height - phase / phases_w), phases_h);
    }
    int64_t phase_width(int64_t phase) const {
        return ceil_div(most(0, width - phase % phases_w), phases_w);
    }
    int64_t plane() const { return plane_rows * pitch; }
    int64_t image_size() const {
        return copied ? phases_h * phases_w * channels * plane() : channels * height * width;
    }
    // Offset of the value that pixel 0 reads at a kernel position, within channel 0 of an image.
    int64_t offset(const Shift& s) const {
        return s.phase * channels * plane() + (s.rows - first_row) * pitch + s.columns -
               first_column;
    }
    // Parts of the buffer: masks, offsets of columns, copied images, then the tiles of each thread.
    static int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }
    int64_t planes_at() const { return aligned(mask_bytes) + aligned(table_bytes); }
    int64_t tiles_at() const {
        return planes_at() + (copied ? aligned(group * image_size() * int64_t(sizeof(T))) : 0);
    }
    int64_t tile_bytes() const {
        return aligned((columns + maps) * super_tile * int64_t(sizeof(T)));
    }
    // Whether all kernel rows read inside the image for the pixels of some vectors.
    bool rows_inside(const int64_t* first, int count) const {
        bool inside = true;
        for (int v = 0; v < count; v++)
            inside = inside && first[v] / out_width + low_row >= 0 &&
                     least(first[v] + L, pixels) - 1 < (shortest - high_row) * out_width;
        return inside;
    }
    // Pixel at which a vector starts; the last one of an image may overlap the one before it.
    int64_t start(int64_t vector) const { return most(0, least(vector * L, pixels - L)); }

  private:
    void select(Producer wanted) {
        int64_t low_y = 0, high_y = 0, low_x = 0, high_x = 0, widest = 0, tallest = 0;
        shortest = height;
        int live = 0;
        for (int tap = 0; tap < plan.taps(); tap++) {
            if (!used(tap)) continue;
            const Shift s = shift(tap);
            live++;
            low_y = least(low_y, s.rows), high_y = most(high_y, s.rows);
            low_x = least(low_x, s.columns), high_x = most(high_x, s.columns);
            widest = most(widest, phase_width(s.phase)),
            tallest = most(tallest, phase_height(s.phase));
            shortest = least(shortest, phase_height(s.phase));
        }
        low_row = low_y, high_row = high_y;
        const bool strided = phases_h * phases_w > 1, flat = widest <= out_width;
        const bool in_place = live == 1 && !depthwise && !low_y && !high_y && !low_x && !high_x &&
                              tallest >= out_height && widest == out_width && pixels >= L;
        const bool padded = !depthwise && out_width % L == 0;
        // With short vectors, loads that cross a cache line cost more than a tile of columns.
        producer = in_place ? IN_PLACE : padded && IS_WIDE ? PADDED : flat ? FLAT : GATHERED;
        if (wanted == GATHERED || (wanted == FLAT && flat) || (wanted == PADDED && padded))
            producer = wanted;
        const bool direct = !strided && width == out_width;
        copied = producer == PADDED || (producer != GATHERED && !direct);
        if (producer == PADDED) {
            first_row = low_y, first_column = low_x;
            plane_rows = out_height + high_y - low_y, pitch = out_width + high_x - low_x;
        } else {
            first_row = first_column = 0;
            plane_rows = copied ? ceil_div(height, phases_h) : height;
            pitch = copied ? out_width : width;
        }
    }

    // Long runs of each row pay where the rows are far apart; large tiles of columns do not.
    int automatic_super_tile() const {
        if (merging) return 1;
        if (depthwise)
            return pixels < 512 ? 1
                                : int(most(1, least(MAX_SUPER,
                                                    65536 / (channels * VECTORS * VECTOR_BYTES))));
        if (producer == IN_PLACE) {
            if (pixels >= 512 || !IS_WIDE) return MAX_SUPER;
            return pixels >= 256 && images > 1 ? 4 : 1;
        }
        return producer == PADDED && IS_WIDE && pixels >= 512 && images > 1 ? 4 : 1;
    }
};

}  // namespace
}  // namespace dsx
