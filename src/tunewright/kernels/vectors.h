// Vectors of floats as wide as the machine's registers, and the few functions on them that the kernels need.
//
// Written in the vector extensions of GCC and Clang, so that one text serves every instruction set.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int LANES = 16;
constexpr int ROWS = 8;  // rows of a product held in registers at a time: 2 * ROWS sums and a few operands fit in 32
#elif defined(__AVX__)
constexpr int LANES = 8;
constexpr int ROWS = 5;
#else
constexpr int LANES = 4;
constexpr int ROWS = 5;
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));
typedef uint32_t uvec __attribute__((vector_size(LANES * 4)));
typedef uint16_t hvec __attribute__((vector_size(LANES * 2)));

struct bf16 {
    uint16_t bits;
};

static inline vec splat(float value) { return value - vec{}; }

static inline vec load(const float* from) {
    vec value;
    std::memcpy(&value, from, sizeof(value));
    return value;
}

static inline void store(float* to, vec value) { std::memcpy(to, &value, sizeof(value)); }

static inline vec load(const bf16* from) {
    hvec half;
    std::memcpy(&half, from, sizeof(half));
    return (vec)(__builtin_convertvector(half, uvec) << 16);
}

// Rounds to the nearest, ties to even; what is not a number stays so.
static inline void store(bf16* to, vec value) {
#if defined(__AVX512BF16__)
    __m256bh half = _mm512_cvtneps_pbh((__m512)value);
    std::memcpy(to, &half, sizeof(half));
#else
    uvec bits = (uvec)value;
    uvec rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    ivec number = value == value;
    hvec half = __builtin_convertvector(((uvec)number & rounded) | (~(uvec)number & 0x7fc0), hvec);
    std::memcpy(to, &half, sizeof(half));
#endif
}

static inline float get(const float* from) { return *from; }
static inline float get(const bf16* from) {
    uint32_t bits = (uint32_t)from->bits << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
static inline void put(float* to, float value) { *to = value; }
static inline void put(bf16* to, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    to->bits = value == value ? (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) : 0x7fc0;
}

// The first `count` values of a vector; the rest are zero, and are not touched in memory.
template <typename T>
static inline vec load_some(const T* from, int count) {
    vec value{};
    for (int lane = 0; lane < count; lane++) value[lane] = get(from + lane);
    return value;
}
template <typename T>
static inline void store_some(T* to, vec value, int count) {
    for (int lane = 0; lane < count; lane++) put(to + lane, value[lane]);
}

typedef float vec4 __attribute__((vector_size(16)));

static inline vec max(vec a, vec b) { return a > b ? a : b; }
static inline vec min(vec a, vec b) { return a < b ? a : b; }

static inline vec square_root(vec value) {
#if defined(__AVX512F__)
    return (vec)_mm512_sqrt_ps((__m512)value);
#else
    for (int lane = 0; lane < LANES; lane++) value[lane] = __builtin_sqrtf(value[lane]);
    return value;
#endif
}

static inline float sum(vec value) {
    vec4 quarters[LANES / 4];
    std::memcpy(quarters, &value, sizeof(value));
    for (int i = 1; i < LANES / 4; i++) quarters[0] += quarters[i];
    return (quarters[0][0] + quarters[0][1]) + (quarters[0][2] + quarters[0][3]);
}
static inline float largest(vec value) {
    vec4 quarters[LANES / 4];
    std::memcpy(quarters, &value, sizeof(value));
    vec4 most = quarters[0];
    for (int i = 1; i < LANES / 4; i++) most = most > quarters[i] ? most : quarters[i];
    float a = most[0] > most[1] ? most[0] : most[1], b = most[2] > most[3] ? most[2] : most[3];
    return a > b ? a : b;
}

// e^x by Cody-Waite reduction and the Taylor polynomial of degree 6; relative error below 4e-7.
static inline vec exponential(vec x) {
    x = min(max(x, splat(-87.0f)), splat(88.0f));
    vec shifted = x * 1.44269504088896341f + 12582912.0f;  // 1.5 * 2^23: the sum's low bits are the nearest whole number
    ivec whole = (ivec)shifted - 0x4b400000;
    vec n = shifted - 12582912.0f;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = splat(1.0f / 720);
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * (vec)((whole + 127) << 23);
}
