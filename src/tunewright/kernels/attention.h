// Softmax attention of one head of one text to itself, forward.
#pragma once
#include "products.h"

constexpr int BLOCK = 32;  // queries at a time: their scores against all keys stay in the first caches

// One text's queries, keys and values of one head, in floats: q and v (length, padded), k and its transpose.
struct HeadParts {
    int length, size, padded, wide;  // head size, rounded up; text length, rounded up
    Buffer q, k, k_turned, v, v_turned;
    HeadParts(int longest, int size)
        : length(0), size(size), padded(round_up(size)), wide(0), q((size_t)longest * padded), k((size_t)longest * padded),
          k_turned((size_t)size * round_up(longest)), v((size_t)longest * padded),
          v_turned((size_t)size * round_up(longest)) {}

    template <typename T>
    void read(const T* qkv, int heads, int head, int count, float scale, bool backward) {
        length = count;
        wide = round_up(count);
        int width = heads * size;
        for (int t = 0; t < length; t++) {
            const T* row = qkv + (size_t)t * 3 * width + head * size;
            take(row, q + t * padded, size, scale);
            take(row + width, k + t * padded, size, 1);
            take(row + 2 * width, v + t * padded, size, 1);
        }
        turn(k, k_turned);
        if (backward) turn(v, v_turned);
    }

    void turn(const float* from, float* to) const {
        for (int d = 0; d < size; d++) {
            for (int t = 0; t < length; t++) to[d * wide + t] = from[t * padded + d];
            for (int t = length; t < wide; t++) to[d * wide + t] = 0;
        }
    }
};

// What a thread needs to attend: the head's parts, scores of a block of queries, and their answers.
struct Attention {
    HeadParts parts;
    Buffer scores, mixed;
    Attention(int longest, int size)
        : parts(longest, size), scores((size_t)BLOCK * round_up(longest)), mixed((size_t)BLOCK * parts.padded) {}

    // qkv and out are the text's first rows; `kept`, where wanted, gets each query's largest score and one over the sum of
    // its exponentials, heads side by side.
    template <typename T>
    void forward(const T* qkv, T* out, float* kept, int heads, int head, int count) {
        int size = parts.size, padded = parts.padded, width = heads * size;
        parts.read(qkv, heads, head, count, 1 / std::sqrt((float)size), false);
        int length = parts.length, wide = parts.wide;
        for (int start = 0; start < length; start += BLOCK) {
            int rows = std::min(BLOCK, length - start);
            product(parts.q + start * padded, padded, 1, parts.k_turned, wide, scores, wide, rows, wide, size, false);
            float shares[BLOCK];
            for (int row = 0; row < rows; row++) {
                float top;
                shares[row] = softmax(scores + row * wide, length, wide, top);
                if (kept) {
                    float* to = kept + ((size_t)(start + row) * heads + head) * 2;
                    to[0] = top;
                    to[1] = shares[row];
                }
            }
            product(scores, wide, 1, parts.v, padded, mixed, padded, rows, padded, length, false);
            for (int row = 0; row < rows; row++)
                give(mixed + row * padded, out + (size_t)(start + row) * width + head * size, size, shares[row]);
        }
    }

    // Exponentials of a line of scores, less the largest; gives one over their sum.
    static float softmax(float* line, int length, int wide, float& top) {
        for (int t = length; t < wide; t++) line[t] = -INFINITY;
        vec most = load(line);
        for (int t = LANES; t < wide; t += LANES) most = max(most, load(line + t));
        top = largest(most);
        vec total{};
        for (int t = 0; t < wide; t += LANES) {
            vec value = exponential(load(line + t) - top);
            store(line + t, value);
            total += value;
        }
        float beyond = 0;
        for (int t = length; t < wide; t++) {
            beyond += line[t];
            line[t] = 0;
        }
        return 1 / (sum(total) - beyond);
    }
};
