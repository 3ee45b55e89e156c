// The steps of a transformer encoder that libraries leave slow on a CPU while training: attention over short texts
// without padding, normalisation with its residual, and sums over rows. Matrix products are the library's.
//
// Plain C functions on addresses, one for each form of number (f32, bf16); computed in float. Rows lie one behind the
// other. `threads` share the work in fixed parts, so that the same number of threads gives the same bits.
#include <omp.h>

#include "attention.h"

namespace {

template <typename T>
void attention_forward(const T* qkv, T* out, float* normaliser, const int64_t* offsets, int texts, int heads, int size,
                       int threads) {
    int longest = 0, width = heads * size;
    for (int text = 0; text < texts; text++) longest = std::max(longest, (int)(offsets[text + 1] - offsets[text]));
#pragma omp parallel num_threads(threads)
    {
        Attention attention(longest, size);
#pragma omp for schedule(static)
        for (int item = 0; item < texts * heads; item++) {
            int64_t first = offsets[item / heads];
            attention.forward(qkv + first * 3 * width, out + first * width, normaliser + first * heads * 2, heads,
                              item % heads, (int)(offsets[item / heads + 1] - first));
        }
    }
}

template <typename T>
void attention_backward(const T* qkv, const T* out, const T* gradient, const float* normaliser, T* result,
                        const int64_t* offsets, int texts, int heads, int size, int threads) {
    int longest = 0, width = heads * size;
    for (int text = 0; text < texts; text++) longest = std::max(longest, (int)(offsets[text + 1] - offsets[text]));
    float scale = 1 / std::sqrt((float)size);
#pragma omp parallel num_threads(threads)
    {
        HeadParts parts(longest, size);
        int padded = parts.padded;
        Buffer shares((size_t)BLOCK * round_up(longest)), errors((size_t)BLOCK * round_up(longest));
        Buffer upstream((size_t)BLOCK * padded), to_q((size_t)BLOCK * padded), answer(padded);
        Buffer to_k((size_t)longest * padded), to_v((size_t)longest * padded);
#pragma omp for schedule(static)
        for (int item = 0; item < texts * heads; item++) {
            int text = item / heads, head = item % heads;
            int64_t first = offsets[text];
            parts.read(qkv + first * 3 * width, heads, head, (int)(offsets[text + 1] - first), scale, true);
            int length = parts.length, wide = parts.wide;
            std::memset(to_k.data, 0, (size_t)length * padded * sizeof(float));
            std::memset(to_v.data, 0, (size_t)length * padded * sizeof(float));
            for (int start = 0; start < length; start += BLOCK) {
                int rows = std::min(BLOCK, length - start);
                const float* queries = parts.q + start * padded;
                for (int row = 0; row < rows; row++)
                    take(gradient + (first + start + row) * width + head * size, upstream + row * padded, size, 1);
                product(queries, padded, 1, parts.k_turned, wide, shares, wide, rows, wide, size, false);
                product(upstream, padded, 1, parts.v_turned, wide, errors, wide, rows, wide, size, false);
                for (int row = 0; row < rows; row++) {
                    float *line = shares + row * wide, *error = errors + row * wide;
                    take(out + (first + start + row) * width + head * size, answer, size, 1);
                    vec along{};
                    for (int d = 0; d < padded; d += LANES) along += load(answer + d) * load(upstream + row * padded + d);
                    const float* kept = normaliser + ((first + start + row) * heads + head) * 2;
                    float common = sum(along), top = kept[0], inverse = kept[1];
                    for (int t = 0; t < wide; t += LANES) {
                        vec share = exponential(load(line + t) - top) * inverse;
                        store(line + t, share);
                        store(error + t, share * (load(error + t) - common));
                    }
                    for (int t = length; t < wide; t++) line[t] = error[t] = 0;
                }
                product(errors, wide, 1, parts.k, padded, to_q, padded, rows, padded, length, false);
                product(errors, 1, wide, queries, padded, to_k, padded, length, padded, rows, true);
                product(shares, 1, wide, upstream, padded, to_v, padded, length, padded, rows, true);
                for (int row = 0; row < rows; row++)
                    give(to_q + row * padded, result + (first + start + row) * 3 * width + head * size, size, scale);
            }
            for (int t = 0; t < length; t++) {
                T* row = result + (first + t) * 3 * width + head * size;
                give(to_k + t * padded, row + width, size, 1);  // the queries carry the scale already
                give(to_v + t * padded, row + 2 * width, size, 1);
            }
        }
    }
}

// --------------------------------------------------------------------------------------------------- normalisation

// Calls body(i, read, write) for every vector of a row; the last, partial one goes lane by lane.
template <typename Body>
inline void along(int width, Body body) {
    int i = 0;
    for (; i + LANES <= width; i += LANES) body(i, LANES);
    if (i < width) body(i, width - i);
}
template <typename T>
inline vec read(const T* from, int count) {
    return count == LANES ? load(from) : load_some(from, count);
}
template <typename T>
inline void write(T* to, vec value, int count) {
    if (count == LANES) store(to, value);
    else store_some(to, value, count);
}

template <typename T>
void norm_forward(const T* x, const T* residual, const float* scale, const float* shift, T* total, T* out,
                  float* statistics, int rows, int width, float epsilon, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int row = 0; row < rows; row++) {
        const T *a = x + (size_t)row * width, *b = residual + (size_t)row * width;
        T *kept = total + (size_t)row * width, *to = out + (size_t)row * width;
        vec sums{};
        along(width, [&](int i, int n) {
            write(kept + i, read(a + i, n) + read(b + i, n), n);
            sums += read(kept + i, n);
        });
        float mean = sum(sums) / width;
        vec squares{};
        along(width, [&](int i, int n) {
            vec distance = read(kept + i, n) - mean;
            if (n < LANES)
                for (int lane = n; lane < LANES; lane++) distance[lane] = 0;
            squares += distance * distance;
        });
        float inverse = 1 / std::sqrt(sum(squares) / width + epsilon);
        statistics[2 * row] = mean;
        statistics[2 * row + 1] = inverse;
        along(width, [&](int i, int n) {
            write(to + i, (read(kept + i, n) - mean) * inverse * read(scale + i, n) + read(shift + i, n), n);
        });
    }
}

// `result` is the gradient of the sum that was normalised; `to_scale` and `to_shift` get those of the parameters.
template <typename T>
void norm_backward(const T* gradient, const T* total, const float* statistics, const float* scale, T* result,
                   float* to_scale, float* to_shift, int rows, int width, int threads) {
    Buffer parts((size_t)threads * 2 * width);
#pragma omp parallel num_threads(threads)
    {
        float* own = parts + (size_t)omp_get_thread_num() * 2 * width;
#pragma omp for schedule(static)
        for (int row = 0; row < rows; row++) {
            const T *up = gradient + (size_t)row * width, *kept = total + (size_t)row * width;
            T* to = result + (size_t)row * width;
            float mean = statistics[2 * row], inverse = statistics[2 * row + 1];
            vec plain{}, weighted{};
            along(width, [&](int i, int n) {
                vec g = read(up + i, n), normal = (read(kept + i, n) - mean) * inverse;
                write(own + i, read(own + i, n) + g * normal, n);
                write(own + width + i, read(own + width + i, n) + g, n);
                vec scaled = g * read(scale + i, n);
                plain += scaled;
                weighted += scaled * normal;
            });
            float average = sum(plain) / width, slope = sum(weighted) / width;
            along(width, [&](int i, int n) {
                vec normal = (read(kept + i, n) - mean) * inverse;
                write(to + i, (read(up + i, n) * read(scale + i, n) - average - normal * slope) * inverse, n);
            });
        }
    }
    for (int thread = 0; thread < threads; thread++)
        for (int i = 0; i < width; i++) {
            to_scale[i] += parts[(size_t)thread * 2 * width + i];
            to_shift[i] += parts[(size_t)thread * 2 * width + width + i];
        }
}

// ------------------------------------------------------------------------------------------------------------ sums

// result (width) = the sum of all rows, in float; parts of rows are added in a fixed order.
template <typename T>
void sum_rows(const T* x, float* result, int rows, int width, int threads) {
    Buffer parts((size_t)threads * width);
#pragma omp parallel num_threads(threads)
    {
        float* own = parts + (size_t)omp_get_thread_num() * width;
#pragma omp for schedule(static)
        for (int row = 0; row < rows; row++) {
            const T* from = x + (size_t)row * width;
            along(width, [&](int i, int n) { write(own + i, read(own + i, n) + read(from + i, n), n); });
        }
    }
    for (int i = 0; i < width; i++) {
        float total = 0;
        for (int thread = 0; thread < threads; thread++) total += parts[(size_t)thread * width + i];
        result[i] = total;
    }
}

}  // namespace

#define FORM(suffix, T)                                                                                                \
    extern "C" void attention_forward_##suffix(const T* qkv, T* out, float* normaliser, const int64_t* offsets,        \
                                               int texts, int heads, int size, int threads) {                          \
        attention_forward(qkv, out, normaliser, offsets, texts, heads, size, threads);                                 \
    }                                                                                                                  \
    extern "C" void attention_backward_##suffix(const T* qkv, const T* out, const T* gradient, const float* normaliser,\
                                                T* result, const int64_t* offsets, int texts, int heads, int size,     \
                                                int threads) {                                                         \
        attention_backward(qkv, out, gradient, normaliser, result, offsets, texts, heads, size, threads);              \
    }                                                                                                                  \
    extern "C" void norm_forward_##suffix(const T* x, const T* residual, const float* scale, const float* shift,       \
                                          T* total, T* out, float* statistics, int rows, int width, float epsilon,     \
                                          int threads) {                                                               \
        norm_forward(x, residual, scale, shift, total, out, statistics, rows, width, epsilon, threads);                \
    }                                                                                                                  \
    extern "C" void norm_backward_##suffix(const T* gradient, const T* total, const float* statistics,                 \
                                           const float* scale, T* result, float* to_scale, float* to_shift, int rows,  \
                                           int width, int threads) {                                                   \
        norm_backward(gradient, total, statistics, scale, result, to_scale, to_shift, rows, width, threads);           \
    }                                                                                                                  \
    extern "C" void sum_rows_##suffix(const T* x, float* result, int rows, int width, int threads) {                   \
        sum_rows(x, result, rows, width, threads);                                                                     \
    }

FORM(f32, float)
FORM(bf16, bf16)
