// The table of kernels of one instruction set; each instruction-set file includes this once.
#pragma once
#include "convolve.h"
#include "gradient.h"

#define DSX_KERNELS(NAME)                                                              \
    namespace dsx {                                                                    \
    namespace NAME {                                                                   \
    extern const Kernels kernels;                                                      \
    const Kernels kernels = {                                                          \
        #NAME,                                                                         \
        {conv_bytes<float>, conv<float>, gradient_bytes<float>, gradient<float>},      \
        {conv_bytes<double>, conv<double>, gradient_bytes<double>, gradient<double>}}; \
    }                                                                                  \
    }
