// The filters of midirnn/sampling/filters.py, for one token: from logits to probabilities, and to
// the token that is drawn.
//
// midirnn/sampling/native_draw.py compiles this file and calls the functions at its end through
// ctypes. They do the same in the same order, in doubles; but sums are taken in another order, so
// that the last digit may differ. Sorting is avoided where possible, and few branches depend on the
// numbers: processors cannot predict the comparisons of probabilities.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace {

// The probabilities of all tokens, 0 for those that may not come.
struct Probabilities {
    double *of;
    int size;
};

double total(Probabilities p) {
    double sum = 0.0;
    for (int id = 0; id < p.size; ++id) sum += p.of[id];
    return sum;
}

void normalise(Probabilities p) {
    const double sum = total(p);
    for (int id = 0; id < p.size; ++id) p.of[id] /= sum;
}

// Order of tokens: the most likely first, and of equally likely ones the lower id.
auto likeliest_first(Probabilities p) {
    return [p](int a, int b) { return p.of[a] > p.of[b] || (p.of[a] == p.of[b] && a < b); };
}

void keep_top_k(Probabilities p, std::int64_t k) {
    if (k >= p.size) return;
    std::vector<int> ids(p.size);
    for (int id = 0; id < p.size; ++id) ids[id] = id;
    std::nth_element(ids.begin(), ids.begin() + k, ids.end(), likeliest_first(p));
    for (auto id = ids.begin() + k; id != ids.end(); ++id) p.of[*id] = 0.0;
}

void keep_min_p(Probabilities p, double share) {
    const double least = share * *std::max_element(p.of, p.of + p.size);
    for (int id = 0; id < p.size; ++id) p.of[id] = p.of[id] >= least ? p.of[id] : 0.0;
}

// Bins of probabilities from 1 down, 16 for each power of 2: the first bits of a double.
constexpr int BINS = 1024;

int bin_of(double p) {
    constexpr double one = 1.0;
    std::int64_t bits, bits_of_one;
    std::memcpy(&bits, &p, sizeof bits);
    std::memcpy(&bits_of_one, &one, sizeof bits_of_one);
    const std::int64_t bin = (bits_of_one - bits) >> 48;
    return int(std::min<std::int64_t>(std::max<std::int64_t>(bin, 0), BINS - 1));
}

// Keep the most likely tokens that together reach `top_p`, at least one: all in the bins before the
// bin of the last one, and some of that bin, which is sorted.
void keep_top_p(Probabilities p, double top_p) {
    normalise(p);
    double sums[BINS] = {};
    for (int id = 0; id < p.size; ++id) sums[bin_of(p.of[id])] += p.of[id];
    double sum = 0.0;
    int last = 0;
    while (last < BINS - 1 && (sum + sums[last] < top_p || sum + sums[last] == 0.0))
        sum += sums[last++];
    std::vector<int> in_last(p.size);
    int count = 0;
    for (int id = 0; id < p.size; ++id) {
        in_last[count] = id;
        count += bin_of(p.of[id]) == last;
    }
    for (int id = 0; id < p.size; ++id) p.of[id] = bin_of(p.of[id]) <= last ? p.of[id] : 0.0;
    std::sort(in_last.begin(), in_last.begin() + count, likeliest_first(p));
    for (int place = 0; place < count; ++place) {
        double &of = p.of[in_last[place]];
        if (place && sum >= top_p) of = 0.0;
        sum += of;
    }
}

// exp(x) for x up to 0, except for the last digit: 2^n times a polynomial for the rest. Without
// branches or calls, so that a compiler can vectorize it.
inline double exponential(double x) {
    constexpr double to_integer = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds
    constexpr double least = -700.0;                   // exp of less counts as 0
    const double some = x < least ? least : x;
    const double shifted = some * 1.4426950408889634 + to_integer, n = shifted - to_integer;
    const double rest = (some - n * 0.69314718036912381649) - n * 1.90821492927058770002e-10;
    double sum = 1.0 / 479001600;
    sum = sum * rest + 1.0 / 39916800;
    sum = sum * rest + 1.0 / 3628800;
    sum = sum * rest + 1.0 / 362880;
    sum = sum * rest + 1.0 / 40320;
    sum = sum * rest + 1.0 / 5040;
    sum = sum * rest + 1.0 / 720;
    sum = sum * rest + 1.0 / 120;
    sum = sum * rest + 1.0 / 24;
    sum = sum * rest + 1.0 / 6;
    sum = sum * rest + 0.5;
    sum = sum * rest + 1.0;
    sum = sum * rest + 1.0;
    std::uint64_t bits;  // n is in the last ones
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    double power;
    std::memcpy(&power, &bits, sizeof power);
    return x < least ? 0.0 : sum * power;
}

// exp(logit / temperature) of the tokens that may come, 1 for the greatest; at 0 only for that one.
void soften(const float *logits, const std::uint8_t *mask, double temperature, Probabilities p) {
    constexpr double never = -std::numeric_limits<double>::infinity();
    for (int id = 0; id < p.size; ++id) p.of[id] = mask[id] ? double(logits[id]) : never;
    const double *greatest = std::max_element(p.of, p.of + p.size);
    if (temperature == 0.0) {
        const auto id = greatest - p.of;
        std::fill(p.of, p.of + p.size, 0.0);
        p.of[id] = 1.0;
        return;
    }
    const double most = *greatest;
    for (int id = 0; id < p.size; ++id) p.of[id] = exponential((p.of[id] - most) / temperature);
}

struct Knobs {
    double temperature;
    std::int64_t top_k;
    double min_p, top_p;
};

// Their sum is not 1 yet.
void filter(const float *logits, const std::uint8_t *mask, const Knobs &knobs, Probabilities p) {
    soften(logits, mask, knobs.temperature, p);
    if (knobs.top_k) keep_top_k(p, knobs.top_k);
    if (knobs.min_p > 0.0) keep_min_p(p, knobs.min_p);
    if (knobs.top_p < 1.0) keep_top_p(p, knobs.top_p);
}

}  // namespace

// `mask` (size,) says which tokens may come, at least one.

extern "C" {

// Write the probabilities `p` (size,).
void draw_probabilities(const float *logits, const std::uint8_t *mask, int size,
                        const Knobs *knobs, double *p) {
    filter(logits, mask, *knobs, {p, size});
    normalise({p, size});
}

// Return a token, drawn with a random number from 0 to below 1.
int draw_token(const float *logits, const std::uint8_t *mask, int size, const Knobs *knobs,
               double random) {
    std::vector<double> room(size);
    const Probabilities p{room.data(), size};
    filter(logits, mask, *knobs, p);
    const double wanted = random * total(p);
    double sum = 0.0;
    int last = 0;
    for (int id = 0; id < size; ++id) {
        if (p.of[id] > 0.0) last = id;
        sum += p.of[id];
        if (sum > wanted) break;
    }
    return last;
}

}  // extern "C"
