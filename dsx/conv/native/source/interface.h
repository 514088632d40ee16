// The types that the dispatcher and the kernels of every instruction set share.
#pragma once
#include <cstdint>

namespace dsx {

// The format of a plan as described here; plan.py has the same number. A change of the format needs
// another one, so that a plan of another version of dsx is refused.
constexpr int32_t PLAN_FORMAT = 1;

// The plan of a block-sparse convolution is one array of 32-bit integers, made by plan.py: a header
// of PLAN_HEADER numbers, followed by these arrays.
//
//   rows     [blocks * 8]  output computed by each row of a block; -1: none
//   counts   [blocks * 7]  number of entries in each segment of a block
//   channel  [columns]     input channel of each column; columns are sorted by kernel position,
//   channel starts   [KERNEL_H * KERNEL_W + 1]  number of the first column of each kernel position
//   entries  [entries]     column of each entry, block by block, segment by segment
//
// A column is a pair of an input channel and a kernel position. The outputs of a block share one
// list of columns in seven segments: entries for all 8 rows, for rows 0-3 and 4-7, and for rows
// 0-1, 2-3, 4-5 and 6-7. All segments add to the same accumulators, so a column that only some rows
// need costs little more than these rows. The packed weights have 8, 4 or 2 numbers for each entry,
// in the order of the entries.
//
// If the kernel has one live position, or a depthwise convolution comes first, column c is channel
// c.
enum PlanHeader {
    FORMAT,  // PLAN_FORMAT
    IN_CHANNELS,
    OUT_CHANNELS,
    KERNEL_H,
    KERNEL_W,
    STRIDE_H,
    STRIDE_W,
    DILATION_H,
    DILATION_W,
    PAD_TOP,
    PAD_LEFT,
    PAD_BOTTOM,
    PAD_RIGHT,
    COLUMNS,
    BLOCKS,
    ENTRIES,
    WEIGHTS,  // length of the packed weights
    PLAN_HEADER
};

enum Activation { NONE, RELU, RELU6, HARDSWISH };

// How the input of a tile of pixels is provided; AUTO selects by the geometry.
enum Producer {
    AUTO,
    IN_PLACE,  // the image itself, for one kernel position
    PADDED,    // a zero-padded copy of some images, read in place, for rows of whole vectors
    FLAT,      // a tile of columns, read by vectors with masks for the zero padding
    GATHERED,  // a tile of columns, gathered element by element, for every other geometry
};

// The constant part of a convolution: everything except the images.
struct Layer {
    const int32_t* plan;
    const void* weights;         // packed weights
    const void* bias;            // [outputs], or null
    const void* depthwise;       // [channels * KERNEL_H * KERNEL_W] filters applied first, or null
    const void* depthwise_bias;  // [channels], or null
    const int32_t* merge;        // [merged * terms] outputs of the plan that are added up, or null
    const void* scale;           // [merged] factor of each sum, or null
    int32_t merged, terms;       // number of sums, and of outputs that each adds up
    int32_t activation;
    int32_t depthwise_activation;
    int32_t producer;    // a Producer; AUTO except in tests
    int32_t super_tile;  // tiles that are computed one after the other for each block; 0: automatic
};

// The images of one call, contiguous in NCHW order.
struct Images {
    int64_t count, height, width;
    const void* input;
    const void* residual;  // added before the activation, or null
    void* output;
};

// The threads that run one call together.
struct Team {
    int thread, threads;
    void (*barrier)();
    void* buffer;  // for all threads, aligned to 64 bytes
};

// The kernels of one instruction set and number format.
struct Routines {
    // Bytes of the buffer of a team; -1: not possible.
    int64_t (*conv_bytes)(const Layer&, const Images&, int threads);
    void (*conv)(const Layer&, const Images&, const Team&);
    int64_t (*gradient_bytes)(const Layer&, const Images&, int threads);
    // Adds to the packed gradient of the weights, `output`; `residual` is the gradient of the
    // output.
    void (*gradient)(const Layer&, const Images&, const Team&);
};

struct Kernels {
    const char* name;
    Routines f32, f64;
};

}  // namespace dsx
