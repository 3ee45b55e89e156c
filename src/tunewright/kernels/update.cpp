// AdamW (Loshchilov and Hutter 2019), the gradient's clipping and the running average of the weights in one pass over the
// memory: each of them alone costs as much, as all that they wait for is memory.
//
// Of a table of words a step has gradients for a few rows. The rest move too – by what remains of their moments, by decay –
// but nobody looks at them before they are used again: then their steps are made up for.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t PART = 1 << 14;  // numbers that a thread takes at a time
constexpr int REPLAYED = 128;      // steps made up for one by one; 0.9^128 of a moment is below a weight's last bit

// What one step does: weight = keep · weight − size · first / (√second / root + epsilon); the average moves by `share`.
struct Step {
    double keep, size, root, share;
};

struct Constants {
    float beta1, beta2, epsilon, scale;  // the scale clips the gradient
};

// One parameter: `size` numbers in each place, or a table of rows `width` wide.
struct Weights {
    float* weight;
    const float* gradient;
    float *first, *second, *average;
    int64_t size;
    Step step;
};

struct Rows {
    Weights all;
    const int64_t* chosen;  // rows, their gradients one behind the other; null: every row
    int64_t count, width, now;
    int64_t* seen;      // of every row: the step it has come to
    const Step* steps;  // of every step up to now; the first is number 1
};

struct Lanes {
    vec weight, first, second, average;
    inline void move(vec keep, vec size, vec root, vec share, float epsilon) {
        weight = weight * keep - size * first / (square_root(second) / root + epsilon);
        average += share * (weight - average);
    }
};

inline void update(const Weights& w, const Constants& c, int64_t start, int64_t stop, const float* gradient) {
    vec keep = splat((float)w.step.keep), size = splat((float)w.step.size);
    vec root = splat((float)w.step.root), share = splat((float)w.step.share);
    for (int64_t i = start; i < stop; i += LANES) {
        int count = (int)std::min<int64_t>(LANES, stop - i);
        bool whole = count == LANES;
        auto get = [&](const float* from) { return whole ? load(from) : load_some(from, count); };
        Lanes x{get(w.weight + i), get(w.first + i), get(w.second + i), w.average ? get(w.average + i) : vec{}};
        vec g = get(gradient + i - start) * c.scale;
        x.first += (g - x.first) * (1 - c.beta1);
        x.second = x.second * c.beta2 + g * g * (1 - c.beta2);
        x.move(keep, size, root, share, c.epsilon);
        auto put = [&](float* to, vec value) { whole ? store(to, value) : store_some(to, value, count); };
        put(w.weight + i, x.weight);
        put(w.first + i, x.first);
        put(w.second + i, x.second);
        if (w.average) put(w.average + i, x.average);
    }
}

// Steps `from` … `to` without a gradient, as one: weight = keep · weight, average = own · average + others · old weight.
struct Decay {
    int64_t from = 0, to = -1;
    double keep = 1, own = 1, others = 0;
    void over(const Step* steps, int64_t first, int64_t last) {
        if (first == from && last == to) return;
        from = first, to = last;
        keep = own = 1, others = 0;
        for (int64_t j = first; j <= last; j++) {
            const Step& step = steps[j - 1];
            keep *= step.keep;
            own *= 1 - step.share;
            others = others * (1 - step.share) + step.share * keep;
        }
    }
};

// Brings a row to step `until`, one of those that had no gradient for it.
inline void make_up(const Rows& rows, const Constants& c, int64_t row, int64_t until, Decay& decay) {
    int64_t seen = rows.seen[row];
    if (seen >= until) return;
    const Weights& w = rows.all;
    int64_t place = row * rows.width;
    bool moved = false;
    for (int64_t i = place; i < place + rows.width && !moved; i++) moved = w.second[i] != 0;
    int64_t replayed = moved ? std::min<int64_t>(until, seen + REPLAYED) : seen;
    decay.over(rows.steps, replayed + 1, until);
    float fade1 = std::pow(c.beta1, (float)(until - replayed)), fade2 = std::pow(c.beta2, (float)(until - replayed));
    for (int64_t i = place; i < place + rows.width; i += LANES) {
        int count = (int)std::min<int64_t>(LANES, place + rows.width - i);
        bool whole = count == LANES;
        auto get = [&](const float* from) { return whole ? load(from) : load_some(from, count); };
        auto put = [&](float* to, vec value) { whole ? store(to, value) : store_some(to, value, count); };
        Lanes x{get(w.weight + i), get(w.first + i), get(w.second + i), w.average ? get(w.average + i) : vec{}};
        for (int64_t j = seen; j < replayed; j++) {
            const Step& step = rows.steps[j];
            x.first *= c.beta1;
            x.second *= c.beta2;
            x.move(splat((float)step.keep), splat((float)step.size), splat((float)step.root), splat((float)step.share),
                   c.epsilon);
        }
        if (replayed < until) {
            x.average = x.average * (float)decay.own + x.weight * (float)decay.others;
            x.weight *= (float)decay.keep;
            x.first *= fade1;
            x.second *= fade2;
        }
        put(w.weight + i, x.weight);
        if (w.average) put(w.average + i, x.average);
        if (moved) {  // untouched moments stay pages that the system has not given yet
            put(w.first + i, x.first);
            put(w.second + i, x.second);
        }
    }
    rows.seen[row] = until;
}

}  // namespace

extern "C" {

// The sum of squares of all gradients; the same for every number of threads.
double gradient_square(const Weights* all, int count, int threads) {
    double total = 0;
    for (int k = 0; k < count; k++) {
        int64_t size = all[k].size, parts = (size + PART - 1) / PART;
        const float* gradient = all[k].gradient;
        if (!gradient) continue;
        std::vector<double> sums(parts);
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t part = 0; part < parts; part++) {
            int64_t i = part * PART, stop = std::min(size, i + PART);
            vec squares[4] = {};
            for (; i + 4 * LANES <= stop; i += 4 * LANES)
                for (int way = 0; way < 4; way++) {
                    vec value = load(gradient + i + way * LANES);
                    squares[way] += value * value;
                }
            double rest = 0;
            for (; i < stop; i++) rest += (double)gradient[i] * gradient[i];
            sums[part] = rest + sum(squares[0] + squares[1] + squares[2] + squares[3]);
        }
        for (double one : sums) total += one;
    }
    return total;
}

void update_weights(const Weights* all, int count, const Constants* constants, int threads) {
#pragma omp parallel num_threads(threads)
    for (int k = 0; k < count; k++) {
        const Weights& weights = all[k];
#pragma omp for schedule(static) nowait
        for (int64_t start = 0; start < weights.size; start += PART)
            update(weights, *constants, start, std::min(weights.size, start + PART), weights.gradient + start);
    }
}

// Moves rows by their gradient; where there is none, only brings them to the step `now`.
void update_rows(const Rows* rows, const Constants* constants, int threads) {
    const float* gradient = rows->all.gradient;
    int64_t before = gradient ? rows->now - 1 : rows->now;
#pragma omp parallel num_threads(threads)
    {
        Decay decay;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < rows->count; i++) {
            int64_t row = rows->chosen ? rows->chosen[i] : i, place = row * rows->width;
            make_up(*rows, *constants, row, before, decay);
            if (!gradient) continue;
            update(rows->all, *constants, place, place + rows->width, gradient + i * rows->width);
            rows->seen[row] = rows->now;
        }
    }
}
}
