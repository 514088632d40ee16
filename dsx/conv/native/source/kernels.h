// The table of kernels of one instruction set; each instruction-set file includes this once.
#pragma once
#include "convolve.h"
#include "gradient.h"

#define DSX_KERNELS(NAME)                                                                       \
  namespace dsx {                                                                               \
  namespace NAME {                                                                              \
  extern const Kernels kernels;                                                                 \
  const Kernels kernels = {                                                                     \
      #NAME,                                                                                    \
      {conv_shared<float>, conv<float>, gradient_shared<float>, gradient<float>},               \
      {conv_shared<double>, conv<double>, gradient_shared<double>, gradient<double>}};          \
  }                                                                                             \
  }
