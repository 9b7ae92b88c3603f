/* The kernels that this processor can run, for as many messages as there are at a time.

   Vectors are the compiler's (GCC's and Clang's vector extensions), so the text of a kernel is the
   same for all processors. Four lanes are what every 64-bit x86 (SSE2) and ARM (NEON) has; eight
   (AVX2) and sixteen (AVX-512) are compiled on x86 for functions of their own, and chosen when the
   module is loaded. */

#ifndef FETCHER_KERNELS_H
#define FETCHER_KERNELS_H

#include "md5.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define MOST_LANES 32
#else
#define MOST_LANES 8
#endif

#define JOINED_(a, b) a##b
#define JOINED(a, b) JOINED_(a, b)

/* Picks elements of two vectors by their numbers, in which those of the second follow on. */
#if defined(__clang__) || __GNUC__ >= 12
#define PICKED(type, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICKED(type, a, b, ...) __builtin_shuffle(a, b, (type){__VA_ARGS__})
#endif

#define INLINED static inline __attribute__((always_inline))

/* rowN(at, from): 16 bytes from `from` on, of every fourth lane from *at on. */

typedef uint32_t words1;
typedef uint32_t words4 __attribute__((vector_size(16)));

INLINED words4 row4(const uint8_t *const *at, size_t from)
{
    words4 row;
    memcpy(&row, at[0] + from, sizeof row);
    return row;
}

#define NAME one_at_a_time
#define WIDTH 1
#define GROUPS 1
#define TARGET
#include "kernel.h"

#define NAME two_words
#define WIDTH 1
#define GROUPS 2
#define TARGET
#include "kernel.h"

#define NAME one_vector_of_4
#define WIDTH 4
#define GROUPS 1
#define TARGET
#include "kernel.h"

#define NAME two_vectors_of_4
#define WIDTH 4
#define GROUPS 2
#define TARGET
#include "kernel.h"

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f")))

typedef uint32_t words8 __attribute__((vector_size(32)));
typedef uint32_t words16 __attribute__((vector_size(64)));

AVX2 INLINED words8 row8(const uint8_t *const *at, size_t from)
{
    const __m256i row = _mm256_castsi128_si256((__m128i)row4(at, from));
    return (words8)_mm256_inserti128_si256(row, (__m128i)row4(at + 4, from), 1);
}

AVX512 INLINED words16 row16(const uint8_t *const *at, size_t from)
{
    __m512i row = _mm512_castsi128_si512((__m128i)row4(at, from));
    row = _mm512_inserti32x4(row, (__m128i)row4(at + 4, from), 1);
    row = _mm512_inserti32x4(row, (__m128i)row4(at + 8, from), 2);
    return (words16)_mm512_inserti32x4(row, (__m128i)row4(at + 12, from), 3);
}

#define NAME one_vector_of_8
#define WIDTH 8
#define GROUPS 1
#define TARGET AVX2
#include "kernel.h"

#define NAME two_vectors_of_8
#define WIDTH 8
#define GROUPS 2
#define TARGET AVX2
#include "kernel.h"

#define NAME one_vector_of_16
#define WIDTH 16
#define GROUPS 1
#define TARGET AVX512
#include "kernel.h"

#define NAME two_vectors_of_16
#define WIDTH 16
#define GROUPS 2
#define TARGET AVX512
#include "kernel.h"

#endif

typedef void Kernel(uint32_t state[4][MOST_LANES], const uint8_t *const at[], size_t blocks);

/* Kernels for up to 1, 2, `width` and 2 * `width` messages at a time. A vector of few lanes is no
   quicker than one of many, and takes about as long as two words after each other. */
typedef struct {
    size_t width;
    Kernel *vector, *vectors;
} Kernels;

static const Kernels BY_WIDTH[] = {
#if defined(__x86_64__)
    {16, one_vector_of_16, two_vectors_of_16},
    {8, one_vector_of_8, two_vectors_of_8},
#endif
    {4, one_vector_of_4, two_vectors_of_4},
};

enum { WIDTHS = sizeof BY_WIDTH / sizeof *BY_WIDTH };

static int runs_here(const Kernels *kernels)
{
#if defined(__x86_64__)
    if (kernels->width == 16)
        return __builtin_cpu_supports("avx512f") != 0;
    if (kernels->width == 8)
        return __builtin_cpu_supports("avx2") != 0;
#endif
    return kernels->width == 4;
}

/* The kernel for `lanes` messages at a time, and in *takes how many it goes through. */
static Kernel *kernel_for(const Kernels *kernels, size_t lanes, size_t *takes)
{
    if (lanes <= 2) {
        *takes = lanes;
        return lanes == 1 ? one_at_a_time : two_words;
    }
    *takes = lanes <= kernels->width ? kernels->width : 2 * kernels->width;
    return lanes <= kernels->width ? kernels->vector : kernels->vectors;
}

#endif
