// Kernels for AVX-512 (F, BW, DQ, VL) and FMA.

#include "dispatch.h"

namespace dsx::avx512 {

const Kernels kernels{"avx512"};

}  // namespace dsx::avx512
