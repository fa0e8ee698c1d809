// Sums a few rows of a table for each place of a window: those of its token and of its features, most
// of whose numbers are 0. A matrix product would multiply by all these zeros.
//
// A place sums the row of its token and the rows of its features, which begin at row `first`, times
// their numbers. Tables, sums and their gradients are fp32 or bf16; everything is computed in fp32.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <exception>
#include <thread>
#include <vector>

#if defined(__x86_64__) && defined(__GLIBC__)
#define FOR_WIDE_VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_WIDE_VECTORS
#endif

namespace {

using Bfloat16 = uint16_t;

constexpr int64_t BLOCK = 256;  // columns at a time: this many of all rows fit into a cache

inline float number_of(float number) { return number; }

inline float number_of(Bfloat16 bits) {
    const uint32_t wide = uint32_t(bits) << 16;
    float number;
    std::memcpy(&number, &wide, 4);
    return number;
}

FOR_WIDE_VECTORS void add(float* sums, const float* row, float times, int64_t count) {
    for (int64_t i = 0; i < count; i++) sums[i] += times * row[i];
}

FOR_WIDE_VECTORS void add(float* sums, const Bfloat16* row, float times, int64_t count) {
    for (int64_t i = 0; i < count; i++) sums[i] += times * number_of(row[i]);
}

FOR_WIDE_VECTORS void put(const float* sums, int64_t count, float* to) {
    for (int64_t i = 0; i < count; i++) to[i] = sums[i];
}

// Rounds to the nearest number of 16 bits, ties to even.
FOR_WIDE_VECTORS void put(const float* sums, int64_t count, Bfloat16* to) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        std::memcpy(&bits, sums + i, 4);
        to[i] = Bfloat16((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

struct Window {
    int threads;
    int64_t places, columns, first, features;
    const int64_t* tokens;  // (places,)
    const float* numbers;   // (places, features)
};

struct Term {
    int64_t row;
    float times;
};

// The terms of all places, one after another; those of a place end at ends[place].
struct Terms {
    explicit Terms(const Window& window) {
        const float* number = window.numbers;
        for (int64_t place = 0; place < window.places; place++) {
            all.push_back({window.tokens[place], 1.0f});
            for (int64_t feature = 0; feature < window.features; feature++, number++)
                if (*number != 0) all.push_back({window.first + feature, *number});
            ends.push_back(all.size());
        }
    }

    template <class Use>
    void each(int64_t place, Use use) const {
        for (std::size_t i = place ? ends[place - 1] : 0; i < ends[place]; i++) use(all[i]);
    }

    std::vector<Term> all;
    std::vector<std::size_t> ends;
};

// Calls work(first column, number of columns) for blocks of columns, in several threads.
template <class Work>
void in_blocks(const Window& window, Work work) {
    std::atomic<int64_t> next{0};
    const auto share = [&] {
        for (int64_t at = BLOCK * next++; at < window.columns; at = BLOCK * next++)
            work(at, std::min(BLOCK, window.columns - at));
    };
    std::vector<std::thread> helpers;
    try {
        for (int thread = 1; thread < window.threads; thread++) helpers.emplace_back(share);
    } catch (const std::exception&) {
        // No more threads can be started: those that run share the work.
    }
    share();
    for (std::thread& helper : helpers) helper.join();
}

template <class Number>
void sum(const Window& window, const Number* table, Number* sums) {
    const Terms terms(window);
    in_blocks(window, [&](int64_t at, int64_t count) {
        float block[BLOCK];
        for (int64_t place = 0; place < window.places; place++) {
            std::fill_n(block, count, 0.0f);
            terms.each(place, [&](Term term) {
                add(block, table + term.row * window.columns + at, term.times, count);
            });
            put(block, count, sums + place * window.columns + at);
        }
    });
}

template <class Number>
void spread(const Window& window, const Number* gradients, float* table) {
    const Terms terms(window);
    in_blocks(window, [&](int64_t at, int64_t count) {
        for (int64_t place = 0; place < window.places; place++)
            terms.each(place, [&](Term term) {
                add(table + term.row * window.columns + at,
                    gradients + place * window.columns + at, term.times, count);
            });
    });
}

}  // namespace

extern "C" {

// Reads `table` (rows, columns) and writes `sums` (places, columns); both are bf16 if is_short.
void sum_rows(const Window* window, int is_short, const void* table, void* sums) {
    if (is_short)
        sum(*window, static_cast<const Bfloat16*>(table), static_cast<Bfloat16*>(sums));
    else
        sum(*window, static_cast<const float*>(table), static_cast<float*>(sums));
}

// Adds the gradient that the sums pass back to the gradient of the table, which is fp32.
void spread_rows(const Window* window, int is_short, const void* gradients, float* table) {
    if (is_short)
        spread(*window, static_cast<const Bfloat16*>(gradients), table);
    else
        spread(*window, static_cast<const float*>(gradients), table);
}
}
