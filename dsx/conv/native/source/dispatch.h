// The kernels of one instruction set, and which of them this process uses.
//
// Each instruction set has a source file of its own, compiled with the flags of that instruction
// set. Such a file defines nothing but its table `kernels` and functions with internal linkage
// (static, or in an unnamed namespace), all in its own namespace. It instantiates no template of
// the standard library and defines no inline function with external linkage: the linker keeps one
// copy of those for the whole library, which may be the copy for a processor that this machine does
// not have.

#pragma once
#include "interface.h"

namespace dsx {

#ifdef DSX_AVX512
namespace avx512 {
extern const Kernels kernels;
}
#endif
#ifdef DSX_AVX2
namespace avx2 {
extern const Kernels kernels;
}
#endif
namespace baseline {
extern const Kernels kernels;
}

// The kernels in use: the best ones that this processor supports unless dsx_use chose others.
const Kernels& kernels_in_use();

}  // namespace dsx
