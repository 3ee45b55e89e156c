// A whole encoder of BERT's kind for answering: texts in, hidden states out, its linear maps in 8-bit integers.
//
// Weights are rounded per output, activations per token (one scale and one zero point each), so that the answer to a text
// does not depend on the texts beside it, nor on the number of threads. All else is computed in float. A thread takes a
// few texts through all layers at a time, so that everything but the weights stays in its caches.
#include <omp.h>

#include <vector>

#include "attention.h"
#include "tiles.h"

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#include <immintrin.h>
#endif

namespace {

constexpr int PANEL = 3;    // vectors of outputs that a product holds at a time
constexpr int SHORT = 64;   // rows that the wide feed-forward layer takes at a time
constexpr int CHUNK = 128;  // tokens that go through all layers together, at least one text

// sums + the products of four neighbouring unsigned and signed bytes in each place.
inline ivec dot(ivec sums, ivec bytes, ivec weights) {
#if defined(__AVX512VNNI__)
    return (ivec)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)bytes, (__m512i)weights);
#elif defined(__AVXVNNI__)
    return (ivec)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)bytes, (__m256i)weights);
#else
    for (int place = 0; place < 32; place += 8)
        sums += ((bytes >> place) & 255) * ((weights << (24 - place)) >> 24);
    return sums;
#endif
}

// One linear map as encoder.py lays it out: outputs in groups of PANEL * LANES, padded; for each group
// the weights of four inputs at a time, output by output.
struct Map {
    int inputs, outputs;        // inputs is a multiple of 4
    const int8_t* weights;      // (groups, inputs / 4, PANEL * LANES, 4)
    const float* scales;        // (outputs, padded): a weight is its integer times this
    const int32_t* sums;        // (outputs, padded) of the integers
    const float* bias;          // (outputs, padded)
};

// Rows of activations in unsigned bytes: value = (byte - zero) * scale.
struct Bytes {
    std::vector<uint8_t> data;
    std::vector<float> scales;
    std::vector<int32_t> zeros;

    void take(const float* rows, int count, int width) {
        size_t room = (size_t)(count + TILE - 1) / TILE * TILE * width;  // a tile reads whole sixteens
        if (data.size() < room) data.resize(room);
        if (scales.size() < (size_t)count) scales.resize(count), zeros.resize(count);
        for (int row = 0; row < count; row++) take_row(rows + (size_t)row * width, row, width);
    }

    void take_row(const float* from, int row, int width) {
        vec least{}, most{};  // zero is always within
        int i = 0;
        for (; i + LANES <= width; i += LANES) {
            vec value = load(from + i);
            least = min(least, value);
            most = max(most, value);
        }
        float low = -largest(-least), high = largest(most);
        for (; i < width; i++) low = std::min(low, from[i]), high = std::max(high, from[i]);
        float scale = std::max((high - low) / 255, 1e-30f), inverse = 1 / scale;
        float zero = std::nearbyint(-low * inverse);
        scales[row] = scale;
        zeros[row] = (int32_t)zero;
        uint8_t* to = data.data() + (size_t)row * width;
        typedef uint8_t bytes __attribute__((vector_size(LANES)));
        for (i = 0; i + LANES <= width; i += LANES) {
            vec value = load(from + i) * inverse + zero + 12582912.0f;  // rounds to the nearest, as in exponential()
            ivec whole = (ivec)value - 0x4b400000;
            whole = whole < 0 ? ivec{} : whole;
            whole = whole > 255 ? ivec{} + 255 : whole;
            bytes half = __builtin_convertvector(whole, bytes);
            std::memcpy(to + i, &half, sizeof(half));
        }
        for (; i < width; i++) to[i] = (uint8_t)std::min(255.0f, std::max(0.0f, std::nearbyint(from[i] * inverse + zero)));
    }
};

// The normal distribution's share below x: Abramowitz and Stegun 7.1.26, error below 1.5e-7.
inline vec gelu(vec x) {
    vec size = (x < 0 ? -x : x) * 0.7071067811865476f;
    vec t = 1.0f / (1.0f + 0.3275911f * size);
    vec tail = splat(1.061405429f);
    tail = tail * t - 1.453152027f;
    tail = tail * t + 1.421413741f;
    tail = tail * t - 0.284496736f;
    tail = tail * t + 0.254829592f;
    tail = tail * t * exponential(-0.5f * x * x) * 0.5f;
    return x * (x < 0 ? tail : 1.0f - tail);
}

// Rows of the outputs from `column` on out of their sums, which `sums(row, panel)` gives as a vector.
template <bool GELU, typename Sums>
inline void finish(const Map& map, Sums sums, const Bytes& from, int row, int rows, int column, float* to) {
    for (int v = 0; v < PANEL; v++) {
        int at = column + v * LANES, count = std::min(LANES, map.outputs - at);
        if (count <= 0) break;
        ivec whole;
        std::memcpy(&whole, map.sums + at, sizeof(whole));
        vec scale = load(map.scales + at), bias = load(map.bias + at);
        for (int r = 0; r < rows; r++) {
            vec value = __builtin_convertvector(sums(r, v) - whole * from.zeros[row + r], vec);
            value = value * (scale * from.scales[row + r]) + bias;
            if (GELU) value = gelu(value);
            float* place = to + (size_t)(row + r) * map.outputs + at;
            if (count == LANES) store(place, value);
            else store_some(place, value, count);
        }
    }
}

// sums + the products of R rows from input `first` on with a group of outputs.
template <int R>
inline void add_products(const Map& map, const int8_t* weights, const uint8_t* bytes, int first, ivec (*sums)[PANEL]) {
    for (int k = first; k < map.inputs; k += 4) {
        ivec right[PANEL];
        for (int v = 0; v < PANEL; v++)
            std::memcpy(&right[v], weights + (size_t)k * PANEL * LANES + v * LANES * 4, sizeof(ivec));
        for (int r = 0; r < R; r++) {
            int32_t four;
            std::memcpy(&four, bytes + (size_t)r * map.inputs + k, 4);
            ivec left = ivec{} + four;
            for (int v = 0; v < PANEL; v++) sums[r][v] = dot(sums[r][v], left, right[v]);
        }
    }
}

template <int R, bool GELU>
void map_tile(const Map& map, const int8_t* weights, const Bytes& from, int row, int column, float* to) {
    ivec sums[R][PANEL];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < PANEL; v++) sums[r][v] = ivec{};
    add_products<R>(map, weights, from.data.data() + (size_t)row * map.inputs, 0, sums);
    finish<GELU>(map, [&](int r, int v) { return sums[r][v]; }, from, row, R, column, to);
}

#if HAS_TILES
// The same for up to sixteen rows: whole tiles of inputs there, what is left of them as above.
template <bool GELU>
void map_tiles(const Map& map, const int8_t* weights, const Bytes& from, int row, int rows, int column, float* to) {
    static_assert(PANEL == 3 && LANES == TILE, "three tiles of sums");
    alignas(64) int32_t sums[PANEL][TILE][TILE];
    const uint8_t* bytes = from.data.data() + (size_t)row * map.inputs;
    int whole = map.inputs / TILE_BYTES * TILE_BYTES;
    tile_sums(bytes, map.inputs, weights, PANEL * LANES * 4, whole, sums);
    if (whole < map.inputs)
        for (int r = 0; r < rows; r++) {
            ivec one[1][PANEL];
            for (int v = 0; v < PANEL; v++) std::memcpy(&one[0][v], sums[v][r], sizeof(ivec));
            add_products<1>(map, weights, bytes + (size_t)r * map.inputs, whole, one);
            for (int v = 0; v < PANEL; v++) std::memcpy(sums[v][r], &one[0][v], sizeof(ivec));
        }
    auto sum = [&](int r, int v) {
        ivec value;
        std::memcpy(&value, sums[v][r], sizeof(value));
        return value;
    };
    finish<GELU>(map, sum, from, row, rows, column, to);
}
#endif

template <bool GELU>
void apply(const Map& map, const Bytes& from, int rows, float* to, [[maybe_unused]] const Tiles& tiles) {
    for (int column = 0; column < map.outputs; column += PANEL * LANES) {
        const int8_t* weights = map.weights + (size_t)column * map.inputs;
#if HAS_TILES
        if (tiles.on) {
            for (int row = 0; row < rows; row += TILE)
                map_tiles<GELU>(map, weights, from, row, std::min(TILE, rows - row), column, to);
            continue;
        }
#endif
        for (int row = 0; row < rows; row += ROWS) {
#define ROWS_LEFT(R) case R: map_tile<R, GELU>(map, weights, from, row, column, to); break;
            switch (std::min(ROWS, rows - row)) {
                ROWS_LEFT(1) ROWS_LEFT(2) ROWS_LEFT(3) ROWS_LEFT(4) ROWS_LEFT(5) ROWS_LEFT(6) ROWS_LEFT(7) ROWS_LEFT(8)
            }
#undef ROWS_LEFT
        }
    }
}

struct Norm {
    const float *scale, *shift;
};

// rows = normalised (rows + added), in place.
void add_norm(float* rows, const float* added, int count, int width, const Norm& norm, float epsilon) {
    for (int row = 0; row < count; row++) {
        float* line = rows + (size_t)row * width;
        if (added)
            for (int i = 0; i < width; i++) line[i] += added[(size_t)row * width + i];
        vec total{}, squares{};
        int i = 0;
        float rest = 0;
        for (; i + LANES <= width; i += LANES) total += load(line + i);
        for (; i < width; i++) rest += line[i];
        float mean = (sum(total) + rest) / width;
        rest = 0;
        for (i = 0; i + LANES <= width; i += LANES) {
            vec distance = load(line + i) - mean;
            squares += distance * distance;
        }
        for (; i < width; i++) rest += (line[i] - mean) * (line[i] - mean);
        float inverse = 1 / std::sqrt((sum(squares) + rest) / width + epsilon);
        for (i = 0; i + LANES <= width; i += LANES)
            store(line + i, (load(line + i) - mean) * inverse * load(norm.scale + i) + load(norm.shift + i));
        for (; i < width; i++) line[i] = (line[i] - mean) * inverse * norm.scale[i] + norm.shift[i];
    }
}

struct Layer {
    Map fused, mixed, up, down;
    Norm attention, output;
};

}  // namespace

extern "C" {

// As encoder.py declares it.
struct Encoder {
    int layers, width, heads, inner;
    float epsilon;
    const float *words, *positions, *kinds;  // embedding tables
    Norm embeddings;
    const Layer* all;
};

// out (tokens, width) = the hidden states of texts whose tokens are ids[offsets[i] .. offsets[i + 1]); the first token of a
// text has position `first`. types, where given, are the tokens' types.
void encode(const Encoder* encoder, const int32_t* ids, const int32_t* types, const int64_t* offsets, int texts, int first,
            float* out, int threads) {
    std::vector<int> starts{0};  // of chunks
    int longest = 0, most = 0;
    for (int text = 0; text < texts; text++) {
        longest = std::max(longest, (int)(offsets[text + 1] - offsets[text]));
        if (text > starts.back() && offsets[text + 1] - offsets[starts.back()] > CHUNK) starts.push_back(text);
        most = std::max(most, (int)(offsets[text + 1] - offsets[starts.back()]));
    }
    starts.push_back(texts);
    int width = encoder->width, size = width / encoder->heads;
#pragma omp parallel num_threads(threads)
    {
        Attention attention(longest, size);
        Buffer fused((size_t)most * 3 * width), mixed((size_t)most * width), wide((size_t)std::min(most, SHORT) * encoder->inner);
        Bytes bytes;
        Tiles tiles;
#pragma omp for schedule(dynamic, 1)
        for (int chunk = 0; chunk < (int)starts.size() - 1; chunk++) {
            int64_t begin = offsets[starts[chunk]];
            int rows = (int)(offsets[starts[chunk + 1]] - begin);
            float* state = out + begin * width;
            for (int text = starts[chunk]; text < starts[chunk + 1]; text++)
                for (int64_t t = offsets[text]; t < offsets[text + 1]; t++) {
                    const float* word = encoder->words + (size_t)ids[t] * width;
                    const float* place = encoder->positions + (size_t)(first + t - offsets[text]) * width;
                    const float* kind = encoder->kinds + (types ? (size_t)types[t] * width : 0);
                    for (int i = 0; i < width; i++) out[t * width + i] = word[i] + place[i] + kind[i];
                }
            add_norm(state, nullptr, rows, width, encoder->embeddings, encoder->epsilon);
            for (int l = 0; l < encoder->layers; l++) {
                const Layer& layer = encoder->all[l];
                bytes.take(state, rows, width);
                apply<false>(layer.fused, bytes, rows, fused, tiles);
                for (int text = starts[chunk]; text < starts[chunk + 1]; text++) {
                    int64_t at = offsets[text] - begin;
                    for (int head = 0; head < encoder->heads; head++)
                        attention.forward(fused + at * 3 * width, mixed + at * width, (float*)nullptr, encoder->heads, head,
                                          (int)(offsets[text + 1] - offsets[text]));
                }
                bytes.take(mixed, rows, width);
                apply<false>(layer.mixed, bytes, rows, mixed, tiles);
                add_norm(state, mixed, rows, width, layer.attention, encoder->epsilon);
                for (int row = 0; row < rows; row += SHORT) {
                    int count = std::min(SHORT, rows - row);
                    bytes.take(state + (size_t)row * width, count, width);
                    apply<true>(layer.up, bytes, count, wide, tiles);
                    bytes.take(wide, count, encoder->inner);
                    apply<false>(layer.down, bytes, count, mixed + (size_t)row * width, tiles);
                }
                add_norm(state, mixed, rows, width, layer.output, encoder->epsilon);
            }
        }
    }
}

// Outputs that lie together in a map's weights.
int group() { return PANEL * LANES; }
}
