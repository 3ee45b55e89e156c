// Products of small matrices of floats held in the caches, buffers for them, and copying in and out of other numbers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "vectors.h"

static inline int round_up(int value) { return (value + LANES - 1) / LANES * LANES; }

// A buffer of zeros that a thread keeps for its part of the work.
struct Buffer {
    float* data;
    explicit Buffer(size_t size) {
        size_t bytes = (size * sizeof(float) + 63) / 64 * 64;
        data = static_cast<float*>(std::aligned_alloc(64, bytes ? bytes : 64));
        std::memset(data, 0, bytes);
    }
    ~Buffer() { std::free(data); }
    Buffer(const Buffer&) = delete;
    operator float*() { return data; }
};

// c (rows, columns) = or += a · b, for ROWS or fewer rows in registers. a's element (row, k) lies at row * a_row + k * a_k;
// b (inner, columns) and c have contiguous rows; columns is a multiple of LANES.
template <int R, int V>
inline void tile(const float* a, int a_row, int a_k, const float* b, int b_row, float* c, int c_row, int inner, bool add) {
    vec sums[R][V];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++) sums[r][v] = add ? load(c + r * c_row + v * LANES) : vec{};
    for (int k = 0; k < inner; k++) {
        vec right[V];
        for (int v = 0; v < V; v++) right[v] = load(b + k * b_row + v * LANES);
        for (int r = 0; r < R; r++) {
            vec left = splat(a[r * a_row + k * a_k]);
            for (int v = 0; v < V; v++) sums[r][v] += left * right[v];
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++) store(c + r * c_row + v * LANES, sums[r][v]);
}

template <int R>
inline void product_rows(const float* a, int a_row, int a_k, const float* b, int b_row, float* c, int c_row, int columns,
                  int inner, bool add) {
    int column = 0;
    for (; column + 2 * LANES <= columns; column += 2 * LANES)
        tile<R, 2>(a, a_row, a_k, b + column, b_row, c + column, c_row, inner, add);
    for (; column < columns; column += LANES)
        tile<R, 1>(a, a_row, a_k, b + column, b_row, c + column, c_row, inner, add);
}

inline void product(const float* a, int a_row, int a_k, const float* b, int b_row, float* c, int c_row, int rows, int columns,
             int inner, bool add) {
    for (int row = 0; row < rows; row += ROWS) {
        const float* left = a + row * a_row;
        float* to = c + row * c_row;
#define ROWS_LEFT(R) case R: product_rows<R>(left, a_row, a_k, b, b_row, to, c_row, columns, inner, add); break;
        switch (std::min(ROWS, rows - row)) {
            ROWS_LEFT(1) ROWS_LEFT(2) ROWS_LEFT(3) ROWS_LEFT(4) ROWS_LEFT(5) ROWS_LEFT(6) ROWS_LEFT(7) ROWS_LEFT(8)
        }
#undef ROWS_LEFT
    }
}

// Copy `count` values from `from` to floats, times `factor`.
template <typename T>
inline void take(const T* from, float* to, int count, float factor) {
    int i = 0;
    for (; i + LANES <= count; i += LANES) store(to + i, load(from + i) * factor);
    for (; i < count; i++) to[i] = get(from + i) * factor;
}

template <typename T>
inline void give(const float* from, T* to, int count, float factor) {
    int i = 0;
    for (; i + LANES <= count; i += LANES) store(to + i, load(from + i) * factor);
    for (; i < count; i++) put(to + i, from[i] * factor);
}

