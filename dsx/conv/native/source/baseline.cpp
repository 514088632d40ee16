// Kernels for every processor of the target: SSE2 on x86-64, NEON on AArch64.

#include "dispatch.h"

namespace dsx::baseline {

const Kernels kernels{"baseline"};

}  // namespace dsx::baseline
