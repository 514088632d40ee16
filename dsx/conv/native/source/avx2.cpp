// Kernels for AVX2 and FMA.

#include "dispatch.h"

namespace dsx::avx2 {

const Kernels kernels{"avx2"};

}  // namespace dsx::avx2
