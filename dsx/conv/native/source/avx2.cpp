#include "interface.h"
#define VECTOR_BYTES 32
#include "kernels.h"

DSX_KERNELS(avx2)
