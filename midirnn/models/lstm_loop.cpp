// The loop over time of an LSTM layer, forward and backward, for training on a CPU.
//
// midirnn/models/lstm_native.py compiles this file at first use and calls the functions at its end
// through ctypes. The equations are those of midirnn/models/cells.py, the gates in the order of
// torch.nn.LSTM: input, forget, cell, output.
//
// A *path* is this loop for one instruction set. The file includes itself once for each path: the
// second half is compiled again with other macros, into a namespace of its own, and every function
// in it carries the path's target attribute. So one library runs on any processor, and the caller
// picks a path for which lstm_path_works returns 1.
//
//   path         numbers   matrix products
//   plain        fp32      vectors of 4, with any compiler
//   avx2         fp32      fused multiply-add, 8 lanes
//   avx512       fp32      fused multiply-add, 16 lanes
//   avx512_bf16  bf16      dot products of pairs, 16 lanes
//   amx          bf16      tiles of 16 x 32 by 32 x 16
//
// "Numbers" is the type of the gates, the activations, the outputs and their gradients. Sums, the
// cell state and all that is computed for each cell are fp32 in every path.
//
// How a window is computed: the rows of a batch do not depend on each other, so a block of up to 16
// rows goes through the whole window alone, and threads share the blocks. In each step a *panel* of
// four vectors is multiplied at a time. Forward these are the four gates of the same cells, so that
// the cells' new state follows at once, from registers and the first-level cache. Backward they are
// four neighbouring vectors of dh. Weights are packed once for each call, panel after panel, in the
// order in which they are read.

#ifndef LSTM_PATH  // The first half, which is read once.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <type_traits>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace {

constexpr int BLOCK = 16;      // rows that go through a window together, at most; a tile's height
constexpr int GATES = 4;       // and vectors in a panel
constexpr int FEWEST_ROWS = 4;  // in a block, where a batch is split among threads
constexpr int TILE_DEPTH = 32;  // numbers in bf16 that one row of a tile holds
constexpr std::size_t CACHE_LINE = 64, HUGE_PAGE = std::size_t(1) << 21;

struct Bfloat16 {
    std::uint16_t bits;
};

// One call. Pointers to void are to the path's numbers; T steps, B rows, H cells.
struct Forward {
    int threads, steps, batch, hidden;
    const void *projected;  // (T, B, 4H) the input's part of the gates
    const void *weight;     // (4H, H) recurrent weight
    const float *bias;      // (4H) added to all gates; null: none, or in `projected`
    void *activations;      // (T, B, 4H) written; may be `projected` itself
    float *cells;           // (T + 1, B, H) the first is read, the others are written
    void *outputs;          // (T + 1, B, H) likewise
};

struct Backward {
    int threads, steps, batch, hidden;
    const void *dy;      // (T, B, H) gradient of the outputs
    const void *weight;  // (4H, H)
    const void *activations;
    const float *cells;
    void *dgates;  // (T, B, 4H) written; may be `activations` itself
    float *dh;     // (B, H) gradient of the last output; becomes that of the first
    float *dc;     // (B, H) the same of the cell state
    float *dbias;  // (B, 4H) zeros; the sums of dgates over a block's rows are added to its first row
};

// Prefetch the cache line of a number that the next step reads or writes. What a step needs is too
// scattered for the processor's own prefetching, and waiting for it takes longer than computing.
inline void will_read(const void *number) { __builtin_prefetch(number, 0, 2); }
inline void will_write(const void *number) { __builtin_prefetch(number, 1, 2); }

constexpr int up_to_multiple(int n, int of) { return (n + of - 1) / of * of; }

// A zeroed array, aligned to a cache line by default.
template <class T>
class Buffer {
   public:
    explicit Buffer(std::size_t size, std::size_t alignment = CACHE_LINE)
        : begin_(static_cast<T *>(::operator new(size * sizeof(T), std::align_val_t(alignment)))),
          alignment_(alignment) {
#if defined(__linux__)
        if (alignment == HUGE_PAGE) madvise(begin_, size * sizeof(T), MADV_HUGEPAGE);
#endif
        std::memset(static_cast<void *>(begin_), 0, size * sizeof(T));
    }
    ~Buffer() { ::operator delete(begin_, std::align_val_t(alignment_)); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    T *at(std::size_t index) { return begin_ + index; }
    const T *at(std::size_t index) const { return begin_ + index; }
    void swap(Buffer &other) { std::swap(begin_, other.begin_), std::swap(alignment_, other.alignment_); }

   private:
    T *begin_;
    std::size_t alignment_;
};

// Memory for packed weights, kept from call to call. It is in huge pages where Linux has them: the
// weights are read once in every step, and with pages of 4 KB translating their addresses takes
// longer than multiplying (on a virtual machine, four times as long).
template <class T>
T *room_for_weights(std::size_t size) {
    thread_local std::unique_ptr<Buffer<T>> kept;
    thread_local std::size_t kept_size = 0;
    if (size > kept_size) {
        kept.reset();
        kept_size = 0;
        const std::size_t in_page = HUGE_PAGE / sizeof(T);
        kept = std::make_unique<Buffer<T>>((size + in_page - 1) / in_page * in_page, HUGE_PAGE);
        kept_size = size;
    }
    return kept->at(0);
}

// Calls run(window, packed, first row, number of rows) for blocks of rows, in several threads.
template <class Window, class Number>
void in_blocks(const Window &window, const Number *packed,
               void (*run)(const Window &, const Number *, int, int)) {
    const int batch = window.batch;
    const int blocks = std::max((batch + BLOCK - 1) / BLOCK,
                                std::min(window.threads, std::max(1, batch / FEWEST_ROWS)));
    std::atomic<int> next{0};
    std::atomic<bool> failed{false};
    const auto work = [&] {
        try {
            for (int block = next++; block < blocks; block = next++) {
                const int first = int(std::int64_t(batch) * block / blocks);
                const int last = int(std::int64_t(batch) * (block + 1) / blocks);
                run(window, packed, first, last - first);
            }
        } catch (const std::bad_alloc &) {
            failed = true;
        }
    };
    std::vector<std::thread> helpers;
    try {
        for (int helper = 1; helper < std::min(window.threads, blocks); ++helper)
            helpers.emplace_back(work);
    } catch (const std::exception &) {
        // No more threads can be started: those that run share the work.
    }
    work();
    for (std::thread &helper : helpers) helper.join();
    if (failed) throw std::bad_alloc();
}

}  // namespace

// The paths, the best last. LSTM_KIND says how products are computed.

#define LSTM_FMA 0
#define LSTM_DOT_PRODUCTS 1
#define LSTM_TILES 2

#define LSTM_PATH plain
#define LSTM_TARGET
#define LSTM_LANES 4
#define LSTM_KIND LSTM_FMA
#include "lstm_loop.cpp"

#if defined(__x86_64__)

#define LSTM_PATH avx2
#define LSTM_TARGET __attribute__((target("avx2,fma")))
#define LSTM_LANES 8
#define LSTM_KIND LSTM_FMA
#include "lstm_loop.cpp"

#define LSTM_PATH avx512
#define LSTM_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define LSTM_LANES 16
#define LSTM_KIND LSTM_FMA
#include "lstm_loop.cpp"

#define LSTM_PATH avx512_bf16
#define LSTM_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")))
#define LSTM_LANES 16
#define LSTM_KIND LSTM_DOT_PRODUCTS
#include "lstm_loop.cpp"

#define LSTM_PATH amx
#define LSTM_TARGET \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma,amx-tile,amx-bf16")))
#define LSTM_LANES 16
#define LSTM_KIND LSTM_TILES
#include "lstm_loop.cpp"

#endif

namespace {

#if defined(__x86_64__)

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

// Returns true if there are tiles and Linux lets this process use them, which requires asking it.
bool has_amx() {
#if defined(__linux__)
    constexpr long ask_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XTILE_DATA
    return has_avx512_bf16() && __builtin_cpu_supports("amx-tile") &&
           __builtin_cpu_supports("amx-bf16") &&
           syscall(SYS_arch_prctl, ask_permission, tile_data) == 0;
#else
    return false;
#endif
}

#endif

// The transpose of a matrix (rows, columns) in bf16. A product that sums over the rows, such as the
// weights' gradient, takes half the time with it.

#if defined(__x86_64__)

// 16 x 16 numbers; the steps from row to row are in numbers.
__attribute__((target("avx2"))) void transpose_block(const Bfloat16 *from, std::size_t from_step,
                                                     Bfloat16 *to, std::size_t to_step) {
    __m256i half[2][8];  // of 8 rows each: column k in the lower lane, k + 8 in the upper one
    for (int rows = 0; rows < 2; ++rows) {
        __m256i a[8], b[8];
        for (int row = 0; row < 8; ++row)
            a[row] = _mm256_loadu_si256(
                reinterpret_cast<const __m256i *>(from + (8 * rows + row) * from_step));
        for (int k = 0; k < 4; ++k) {
            b[2 * k] = _mm256_unpacklo_epi16(a[2 * k], a[2 * k + 1]);
            b[2 * k + 1] = _mm256_unpackhi_epi16(a[2 * k], a[2 * k + 1]);
        }
        for (int k = 0; k < 8; k += 4)
            for (int j = 0; j < 2; ++j) {
                a[k + 2 * j] = _mm256_unpacklo_epi32(b[k + j], b[k + j + 2]);
                a[k + 2 * j + 1] = _mm256_unpackhi_epi32(b[k + j], b[k + j + 2]);
            }
        for (int k = 0; k < 4; ++k) {
            half[rows][2 * k] = _mm256_unpacklo_epi64(a[k], a[k + 4]);
            half[rows][2 * k + 1] = _mm256_unpackhi_epi64(a[k], a[k + 4]);
        }
    }
    for (int k = 0; k < 8; ++k) {
        const __m256i lower = _mm256_permute2x128_si256(half[0][k], half[1][k], 0x20);
        const __m256i upper = _mm256_permute2x128_si256(half[0][k], half[1][k], 0x31);
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + k * to_step), lower);
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + (k + 8) * to_step), upper);
    }
}

#endif

// `row_step`: from row to row of the result. The padding between rows becomes 0, since oneDNN may
// read it.
void transpose(int rows, int columns, const Bfloat16 *from, Bfloat16 *to, int row_step) {
    constexpr int SIDE = 16, AT_ONCE = 2 * SIDE;  // a cache line of the input, and of the output
    int whole_rows = 0, whole_columns = 0;
#if defined(__x86_64__)
    whole_rows = rows / AT_ONCE * AT_ONCE;
    whole_columns = columns / AT_ONCE * AT_ONCE;
    for (int row = 0; row < whole_rows; row += AT_ONCE)
        for (int column = 0; column < whole_columns; column += AT_ONCE)
            for (int block = 0; block < 4; ++block) {
                const int r = row + block % 2 * SIDE, c = column + block / 2 * SIDE;
                transpose_block(from + std::size_t(r) * columns + c, columns,
                                to + std::size_t(c) * row_step + r, row_step);
            }
#endif
    for (int row = 0; row < rows; ++row)
        for (int column = row < whole_rows ? whole_columns : 0; column < columns; ++column)
            to[std::size_t(column) * row_step + row] = from[std::size_t(row) * columns + column];
    for (int column = 0; column < columns; ++column)
        std::fill_n(to + std::size_t(column) * row_step + rows, row_step - rows, Bfloat16{0});
}

struct Path {
    const char *name;
    bool bf16;
    bool (*works)();
    void (*forward)(const Forward &);
    void (*backward)(const Backward &);
};

const Path PATHS[] = {
    {"plain", false, [] { return true; }, plain::forward, plain::backward},
#if defined(__x86_64__)
    {"avx2", false, has_avx2, avx2::forward, avx2::backward},
    {"avx512", false, has_avx512, avx512::forward, avx512::backward},
    {"avx512_bf16", true, has_avx512_bf16, avx512_bf16::forward, avx512_bf16::backward},
    {"amx", true, has_amx, amx::forward, amx::backward},
#endif
};

}  // namespace

// What Python calls.

extern "C" {

int lstm_path_count() { return int(sizeof PATHS / sizeof *PATHS); }
const char *lstm_path_name(int path) { return PATHS[path].name; }
int lstm_path_is_bf16(int path) { return PATHS[path].bf16; }
int lstm_path_works(int path) { return PATHS[path].works(); }

// Both return 0, or 1 if memory runs out.

int lstm_forward(int path, int threads, int steps, int batch, int hidden, const void *projected,
                 const void *weight, const float *bias, void *activations, float *cells,
                 void *outputs) {
    try {
        PATHS[path].forward(
            {threads, steps, batch, hidden, projected, weight, bias, activations, cells, outputs});
    } catch (const std::bad_alloc &) {
        return 1;
    }
    return 0;
}

int lstm_backward(int path, int threads, int steps, int batch, int hidden, const void *dy,
                  const void *weight, const void *activations, const float *cells, void *dgates,
                  float *dh, float *dc, float *dbias) {
    try {
        PATHS[path].backward({threads, steps, batch, hidden, dy, weight, activations, cells,
                              dgates, dh, dc, dbias});
    } catch (const std::bad_alloc &) {
        return 1;
    }
    return 0;
}

// For processors with AMX, which have AVX2 too.
void lstm_transpose(int rows, int columns, const void *from, void *to, int row_step) {
    transpose(rows, columns, static_cast<const Bfloat16 *>(from), static_cast<Bfloat16 *>(to),
              row_step);
}

}  // extern "C"

#else  // The second half, which is read once for each path.

namespace {
namespace LSTM_PATH {

constexpr int LANES = LSTM_LANES;
constexpr int PANEL = GATES * LANES;  // columns

#if LSTM_KIND == LSTM_FMA
using Number = float;
constexpr int DEPTH = 1;  // the depth of a product is a multiple of this
#else
using Number = Bfloat16;
constexpr int DEPTH = TILE_DEPTH;
#endif

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef std::int32_t Ints __attribute__((vector_size(4 * LANES)));

// Loading and storing vectors. Where a row ends within a vector, only `count` lanes are in memory.

LSTM_TARGET inline Floats load(const float *from, int count) {
    Floats x = {};
    if (count >= LANES)
        std::memcpy(&x, from, sizeof x);
    else
        std::memcpy(&x, from, count * sizeof *from);
    return x;
}

LSTM_TARGET inline void store(float *to, Floats x, int count) {
    if (count >= LANES)
        std::memcpy(to, &x, sizeof x);
    else
        std::memcpy(to, &x, count * sizeof *to);
}

#if LSTM_KIND != LSTM_FMA

LSTM_TARGET inline Floats load(const Bfloat16 *from, int count) {
    __m256i bits = _mm256_setzero_si256();
    if (count >= LANES)
        std::memcpy(&bits, from, sizeof bits);
    else
        std::memcpy(&bits, from, count * sizeof *from);
    return (Floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
}

LSTM_TARGET inline void store(Bfloat16 *to, Floats x, int count) {
    const __m256i bits = (__m256i)_mm512_cvtneps_pbh((__m512)x);
    if (count >= LANES)
        std::memcpy(to, &bits, sizeof bits);
    else
        std::memcpy(to, &bits, count * sizeof *to);
}

#endif

// Functions of a cell.

LSTM_TARGET inline Floats all(float x) { return x - Floats{}; }

// 1 / x, accurate to the last bit or two.
LSTM_TARGET inline Floats reciprocal(Floats x) {
#if LSTM_LANES == 16
    const Floats guess = (Floats)_mm512_rcp14_ps((__m512)x);
    return guess * (2.0f - x * guess);
#else
    return 1.0f / x;
#endif
}

#if LSTM_KIND == LSTM_FMA

// e^x with a relative error of 1e-7; x is clamped to +-87. NaN stays NaN.
LSTM_TARGET inline Floats exponential(Floats x) {
#if LSTM_LANES == 16  // these return the second operand if either is NaN
    x = (Floats)_mm512_min_ps(_mm512_set1_ps(87.0f), (__m512)x);
    x = (Floats)_mm512_max_ps(_mm512_set1_ps(-87.0f), (__m512)x);
#else
    x = x > 87.0f ? all(87.0f) : x;
    x = x < -87.0f ? all(-87.0f) : x;
#endif
    // x = n ln 2 + rest. Adding 1.5 * 2^23 rounds n and leaves it in the lowest bits.
    const Floats shifted = x * 1.44269504f + 12582912.0f;
    const Floats n = shifted - 12582912.0f;
    const Floats rest = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    // e^rest: the polynomial of Cephes (S. Moshier), expf.
    Floats p = all(1.9875691500e-4f);
    p = p * rest + 1.3981999507e-3f;
    p = p * rest + 8.3334519073e-3f;
    p = p * rest + 4.1665795894e-2f;
    p = p * rest + 1.6666665459e-1f;
    p = p * rest + 5.0000001201e-1f;
    p = p * (rest * rest) + rest + 1.0f;
    return (Floats)((Ints)p + ((Ints)shifted << 23));  // times 2^n
}

#else

// e^x with a relative error of 4e-6, which is enough for results in bf16; x is clamped to at most 87.
// NaN stays NaN.
LSTM_TARGET inline Floats exponential(Floats x) {
    const Floats power = (Floats)_mm512_min_ps(_mm512_set1_ps(126.0f), (__m512)(x * 1.44269504f));
    const Floats rest = (Floats)_mm512_reduce_ps((__m512)power, _MM_FROUND_TO_NEG_INF);  // 0 to 1
    // 2^rest: of the polynomials of degree 4 that are exact at 0 and 1, the one with the least
    // relative error between them. Being exact there, it keeps the state of cells that do not change.
    Floats p = all(1.35557475e-2f);
    p = p * rest + 5.20323701e-2f;
    p = p * rest + 2.41379768e-1f;
    p = p * rest + 6.93032146e-1f;
    p = p * rest + 1.0f;
    return (Floats)_mm512_scalef_ps((__m512)p, (__m512)power);  // times 2 to the whole power
}

#endif

LSTM_TARGET inline Floats sigmoid(Floats x) { return reciprocal(1.0f + exponential(-x)); }

LSTM_TARGET inline Floats hyperbolic_tangent(Floats x) {
    return 1.0f - 2.0f * reciprocal(1.0f + exponential(x + x));
}

// Packed weights: panel after panel; within a panel, blocks of DEPTH rows of the product's depth;
// within a block, vector after vector. In bf16 a lane holds two neighbours in depth, as dot products
// and tiles read them.

struct Panels {
    int count, depth;  // depth: padded with zeros to a multiple of DEPTH
    std::size_t size() const { return std::size_t(count) * depth * PANEL; }
    std::size_t begin(int panel) const { return std::size_t(panel) * depth * PANEL; }
};

#if LSTM_KIND == LSTM_FMA
using Lane = float;
inline Lane lane_of(const Number *weight, std::size_t, bool) { return *weight; }
#else
using Lane = std::uint32_t;
inline Lane lane_of(const Number *weight, std::size_t next, bool is_last) {
    return weight->bits | Lane(is_last ? 0 : weight[next].bits) << 16;
}
#endif
constexpr int IN_LANE = sizeof(Lane) / sizeof(Number);  // numbers, neighbours in depth

// Returns the offset in lanes of lane k (in depth) of a vector within its panel.
inline std::size_t place(int k, int vector) {
    constexpr int CHUNK = DEPTH / IN_LANE;
    return (std::size_t(k / CHUNK * GATES + vector) * CHUNK + k % CHUNK) * LANES;
}

// Packs the matrix whose number in row k (depth) of a vector's column `lane` is
// from(panel, vector)[k * k_step + lane * lane_step]; the vector has count(panel, vector) columns.
template <class From, class Count>
void pack(Panels panels, int depth, std::size_t k_step, std::size_t lane_step, From from, Count count,
          Number *packed) {
    for (int panel = 0; panel < panels.count; ++panel) {
        Lane *to = reinterpret_cast<Lane *>(packed + panels.begin(panel));
        for (int vector = 0; vector < GATES; ++vector) {
            const Number *first = from(panel, vector);
            const int columns = std::clamp(count(panel, vector), 0, LANES);
            for (int k = 0; k < panels.depth; k += IN_LANE) {
                Lane *lanes = to + place(k / IN_LANE, vector);
                std::fill_n(lanes, LANES, Lane());
                if (k >= depth) continue;
                for (int lane = 0; lane < columns; ++lane)
                    lanes[lane] =
                        lane_of(first + k * k_step + lane * lane_step, k_step, k + 1 == depth);
            }
        }
    }
}

// A panel for each vector of cells: their four gates.
inline Panels forward_panels(int hidden) {
    return {(hidden + LANES - 1) / LANES, up_to_multiple(hidden, DEPTH)};
}

void pack_forward(const Number *weight, int hidden, Panels panels, Number *packed) {
    pack(
        panels, hidden, 1, hidden,
        [=](int panel, int gate) {
            return weight + std::size_t(gate * hidden + panel * LANES) * hidden;
        },
        [=](int panel, int) { return hidden - panel * LANES; }, packed);
}

// A panel for every four vectors of cells.
inline Panels backward_panels(int hidden) {
    return {(hidden + PANEL - 1) / PANEL, up_to_multiple(GATES * hidden, DEPTH)};
}

void pack_backward(const Number *weight, int hidden, Panels panels, Number *packed) {
    pack(
        panels, GATES * hidden, hidden, 1,
        [=](int panel, int vector) { return weight + panel * PANEL + vector * LANES; },
        [=](int panel, int vector) { return hidden - panel * PANEL - vector * LANES; }, packed);
}

// The product of a block's rows (row after row, `depth` numbers each) and one panel. The sums of a
// row and a vector go to sums + row * row_stride + vector * vector_stride. between(part, parts) does
// a share of other work after each part of the product, which keeps both the tile unit and the vector
// units of the processor busy.

struct Sums {
    float *begin;
    int row_stride, vector_stride;
    float *at(int row, int vector) const { return begin + row * row_stride + vector * vector_stride; }
};

#if LSTM_KIND == LSTM_TILES

struct TileConfiguration {  // as the instruction ldtilecfg reads it
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
};

// Tiles 0 to 3 are the sums, 4 the block's rows, 5 to 7 weights.
LSTM_TARGET void begin_products(int rows) {
    TileConfiguration tiles;
    for (int tile = 0; tile < 8; ++tile) {
        tiles.row_bytes[tile] = 64;
        tiles.rows[tile] = std::uint8_t(tile < 5 ? rows : TILE_DEPTH / 2);
    }
    _tile_loadconfig(&tiles);
}

LSTM_TARGET void end_products() { _tile_release(); }

template <class Between>
LSTM_TARGET inline void multiply(const Number *rows, int, int depth, const Number *panel, Sums sums,
                                 Between between) {
    constexpr int TILE = TILE_DEPTH * LANES;
    const std::size_t row_bytes = depth * sizeof(Number), tile_bytes = 64;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int k = 0; k < depth; k += TILE_DEPTH, panel += GATES * TILE) {
        _tile_loadd(4, rows + k, row_bytes);
        _tile_loadd(5, panel, tile_bytes);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, panel + TILE, tile_bytes);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, panel + 2 * TILE, tile_bytes);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, panel + 3 * TILE, tile_bytes);
        _tile_dpbf16ps(3, 4, 5);
        between(k / TILE_DEPTH + 1, depth / TILE_DEPTH);
    }
    const std::size_t sum_bytes = sums.row_stride * sizeof(float);
    _tile_stored(0, sums.at(0, 0), sum_bytes);
    _tile_stored(1, sums.at(0, 1), sum_bytes);
    _tile_stored(2, sums.at(0, 2), sum_bytes);
    _tile_stored(3, sums.at(0, 3), sum_bytes);
}

#else

LSTM_TARGET inline void begin_products(int) {}
LSTM_TARGET inline void end_products() {}

constexpr int ROWS_AT_ONCE = LANES == 16 ? 6 : 3;  // as many sums as fit into registers

#if LSTM_KIND == LSTM_FMA

template <int ROWS>
LSTM_TARGET inline void multiply_rows(const Number *rows, int depth, const Number *panel, Sums sums) {
    Floats sum[ROWS][GATES] = {};
    for (int k = 0; k < depth; ++k, panel += PANEL) {
        Floats weights[GATES];
        for (int vector = 0; vector < GATES; ++vector)
            weights[vector] = load(panel + vector * LANES, LANES);
        for (int row = 0; row < ROWS; ++row)
            for (int vector = 0; vector < GATES; ++vector)
                sum[row][vector] += rows[row * depth + k] * weights[vector];
    }
    for (int row = 0; row < ROWS; ++row)
        for (int vector = 0; vector < GATES; ++vector)
            store(sums.at(row, vector), sum[row][vector], LANES);
}

#else

template <int ROWS>
LSTM_TARGET inline void multiply_rows(const Number *rows, int depth, const Number *panel, Sums sums) {
    __m512 sum[ROWS][GATES] = {};
    for (int k = 0; k < depth; k += 2, panel += 2 * LANES) {
        if (k && k % DEPTH == 0) panel += (GATES - 1) * DEPTH * LANES;
        __m512bh weights[GATES];
        for (int vector = 0; vector < GATES; ++vector)
            std::memcpy(&weights[vector], panel + vector * DEPTH * LANES, sizeof *weights);
        for (int row = 0; row < ROWS; ++row) {
            std::int32_t pair;
            std::memcpy(&pair, rows + row * depth + k, sizeof pair);
            const __m512bh pairs = (__m512bh)_mm512_set1_epi32(pair);
            for (int vector = 0; vector < GATES; ++vector)
                sum[row][vector] = _mm512_dpbf16_ps(sum[row][vector], pairs, weights[vector]);
        }
    }
    for (int row = 0; row < ROWS; ++row)
        for (int vector = 0; vector < GATES; ++vector)
            store(sums.at(row, vector), (Floats)sum[row][vector], LANES);
}

#endif

template <int ROWS>
LSTM_TARGET inline void multiply_last(const Number *rows, int count, int depth, const Number *panel,
                                      Sums sums) {
    if (count == ROWS)
        multiply_rows<ROWS>(rows, depth, panel, sums);
    else if constexpr (ROWS > 1)
        multiply_last<ROWS - 1>(rows, count, depth, panel, sums);
}

template <class Between>
LSTM_TARGET inline void multiply(const Number *rows, int count, int depth, const Number *panel,
                                 Sums sums, Between between) {
    for (; count > ROWS_AT_ONCE; count -= ROWS_AT_ONCE) {
        multiply_rows<ROWS_AT_ONCE>(rows, depth, panel, sums);
        rows += ROWS_AT_ONCE * depth;
        sums.begin += ROWS_AT_ONCE * sums.row_stride;
    }
    multiply_last<ROWS_AT_ONCE>(rows, count, depth, panel, sums);
    between(1, 1);
}

#endif

// Forward.

// Computes the new state of one vector of cells in one row, and returns h. Pointers are to the first
// of these cells; `gates` is the recurrent part, vector after vector.
LSTM_TARGET inline Floats cell_forward(const float *gates, const Number *projected,
                                       const float *bias, int hidden, int count,
                                       const float *c_before, float *c_after, Number *activations) {
    Floats sums[GATES];
    for (int gate = 0; gate < GATES; ++gate)
        sums[gate] = load(gates + gate * BLOCK * LANES, LANES) +
                     (load(projected + gate * hidden, count) + load(bias + gate * hidden, count));
    const Floats i = sigmoid(sums[0]), f = sigmoid(sums[1]);
    const Floats g = hyperbolic_tangent(sums[2]), o = sigmoid(sums[3]);
    const Floats c = f * load(c_before, count) + i * g;
    store(c_after, c, count);
    store(activations, i, count);
    store(activations + hidden, f, count);
    store(activations + 2 * hidden, g, count);
    store(activations + 3 * hidden, o, count);
    return o * hyperbolic_tangent(c);
}

LSTM_TARGET void forward_block(const Forward &window, const Number *packed, int first, int rows) {
    const int hidden = window.hidden;
    const std::size_t step = std::size_t(window.batch) * hidden, start = std::size_t(first) * hidden;
    const auto *projected = static_cast<const Number *>(window.projected) + GATES * start;
    auto *activations = static_cast<Number *>(window.activations) + GATES * start;
    auto *outputs = static_cast<Number *>(window.outputs) + start;
    float *cells = window.cells + start;
    const Panels panels = forward_panels(hidden);
    Buffer<Number> before(std::size_t(BLOCK) * panels.depth);  // rows of h, padded for the product
    Buffer<Number> after(std::size_t(BLOCK) * panels.depth);
    constexpr int SUMS = BLOCK * PANEL;
    Buffer<float> gates(2 * SUMS);  // of two panels: they stay in the first-level cache
    Buffer<float> bias(std::size_t(GATES) * hidden);
    if (window.bias) std::memcpy(bias.at(0), window.bias, GATES * hidden * sizeof(float));
    for (int row = 0; row < rows; ++row)
        std::memcpy(before.at(std::size_t(row) * panels.depth), outputs + std::size_t(row) * hidden,
                    hidden * sizeof(Number));
    begin_products(rows);
    for (int t = 0; t < window.steps; ++t) {
        const auto update_cells = [&](int panel, int row, int stop) LSTM_TARGET {
            const int cell = panel * LANES, count = std::min(LANES, hidden - cell);
            for (; row < stop; ++row) {
                const std::size_t at = std::size_t(row) * hidden + cell;
                const std::size_t gate = GATES * std::size_t(row) * hidden + cell;
                const Floats output = cell_forward(gates.at(panel % 2 * SUMS + row * LANES),
                                                   projected + gate, bias.at(cell), hidden, count,
                                                   cells + at, cells + step + at,
                                                   activations + gate);
                store(outputs + step + at, output, count);
                store(after.at(std::size_t(row) * panels.depth + cell), output, count);
                for (int number = 0; number < GATES; ++number) {
                    const std::size_t next = GATES * step + gate + number * hidden;
                    will_write(activations + next);
                    if (projected != activations) will_read(projected + next);
                }
                will_write(cells + 2 * step + at);
                will_write(outputs + 2 * step + at);
            }
        };
        for (int panel = 0; panel < panels.count; ++panel)  // along with the cells of the previous panel
            multiply(before.at(0), rows, panels.depth, packed + panels.begin(panel),
                     Sums{gates.at(panel % 2 * SUMS), LANES, BLOCK * LANES},
                     [&](int part, int parts) LSTM_TARGET {
                         if (panel)
                             update_cells(panel - 1, rows * (part - 1) / parts, rows * part / parts);
                     });
        update_cells(panels.count - 1, 0, rows);
        before.swap(after);
        projected += GATES * step;
        activations += GATES * step;
        outputs += step;
        cells += step;
    }
    end_products();
}

void forward(const Forward &window) {
    const Panels panels = forward_panels(window.hidden);
    Number *packed = room_for_weights<Number>(panels.size());
    pack_forward(static_cast<const Number *>(window.weight), window.hidden, panels, packed);
    in_blocks(window, packed, forward_block);
}

// Backward.

// Computes the gradients of the gates of one vector in one row from those of its h and c (dc becomes
// that of the step before). They are written twice: as a result, and for the product that follows.
LSTM_TARGET inline void cell_backward(Floats dh, float *dc, const Number *activations, int hidden,
                                      int count, const float *c_before, const float *c_after,
                                      Number *dgates, Number *operand, float *dbias) {
    const Floats i = load(activations, count), f = load(activations + hidden, count);
    const Floats g = load(activations + 2 * hidden, count);
    const Floats o = load(activations + 3 * hidden, count);
    const Floats tanh_c = hyperbolic_tangent(load(c_after, count));
    const Floats dcell = load(dc, count) + dh * o * (1.0f - tanh_c * tanh_c);
    const Floats gradients[GATES] = {
        dcell * g * i * (1.0f - i),
        dcell * load(c_before, count) * f * (1.0f - f),
        dcell * i * (1.0f - g * g),
        dh * tanh_c * o * (1.0f - o),
    };
    for (int gate = 0; gate < GATES; ++gate) {
        store(dgates + gate * hidden, gradients[gate], count);
        store(operand + gate * hidden, gradients[gate], count);
        store(dbias + gate * hidden, load(dbias + gate * hidden, count) + gradients[gate], count);
    }
    store(dc, dcell * f, count);
}

LSTM_TARGET void backward_block(const Backward &window, const Number *packed, int first, int rows) {
    const int hidden = window.hidden;
    const std::size_t step = std::size_t(window.batch) * hidden, start = std::size_t(first) * hidden;
    const auto *dy = static_cast<const Number *>(window.dy) + start;
    const auto *activations = static_cast<const Number *>(window.activations) + GATES * start;
    auto *dgates = static_cast<Number *>(window.dgates) + GATES * start;
    const float *cells = window.cells + start;
    float *dc = window.dc + start, *dbias = window.dbias + GATES * start;
    const Panels panels = backward_panels(hidden);
    const int width = panels.count * PANEL;
    Buffer<Number> operand(std::size_t(BLOCK) * panels.depth);
    Buffer<Number> operand_before(std::size_t(BLOCK) * panels.depth);
    Buffer<float> dh(std::size_t(BLOCK) * width);  // its rows padded to whole panels
    for (int row = 0; row < rows; ++row)
        std::memcpy(dh.at(std::size_t(row) * width), window.dh + start + std::size_t(row) * hidden,
                    hidden * sizeof(float));
    const auto update_cells = [&](int t, Number *to, int panel, int row, int stop) LSTM_TARGET {
        const int end = std::min(hidden, (panel + 1) * PANEL);
        for (; row < stop; ++row)
            for (int cell = panel * PANEL; cell < end; cell += LANES) {
                const int count = std::min(LANES, hidden - cell);
                const std::size_t at = std::size_t(row) * hidden + cell, now = t * step + at;
                const std::size_t gate = GATES * (t * step + std::size_t(row) * hidden) + cell;
                for (int number = 0; number < GATES && t; ++number) {
                    const std::size_t next = gate + number * hidden - GATES * step;
                    will_write(dgates + next);
                    if (activations != dgates) will_read(activations + next);
                }
                if (t) will_read(cells + now - step), will_read(dy + now - step);
                const Floats dh_total =
                    load(dy + now, count) + load(dh.at(std::size_t(row) * width + cell), LANES);
                cell_backward(dh_total, dc + at, activations + gate, hidden, count, cells + now,
                              cells + now + step, dgates + gate,
                              to + std::size_t(row) * panels.depth + cell, dbias + cell);
            }
    };
    begin_products(rows);
    for (int panel = 0; panel < panels.count; ++panel)
        update_cells(window.steps - 1, operand.at(0), panel, 0, rows);
    for (int t = window.steps - 1; t >= 0; --t) {
        for (int panel = 0; panel < panels.count; ++panel)  // along with step t - 1 of the previous panel
            multiply(operand.at(0), rows, panels.depth, packed + panels.begin(panel),
                     Sums{dh.at(panel * PANEL), width, LANES},
                     [&](int part, int parts) LSTM_TARGET {
                         if (panel && t)
                             update_cells(t - 1, operand_before.at(0), panel - 1,
                                          rows * (part - 1) / parts, rows * part / parts);
                     });
        if (t) update_cells(t - 1, operand_before.at(0), panels.count - 1, 0, rows);
        operand.swap(operand_before);
    }
    end_products();
    for (int row = 0; row < rows; ++row)
        std::memcpy(window.dh + start + std::size_t(row) * hidden, dh.at(std::size_t(row) * width),
                    hidden * sizeof(float));
}

void backward(const Backward &window) {
    const Panels panels = backward_panels(window.hidden);
    Number *packed = room_for_weights<Number>(panels.size());
    pack_backward(static_cast<const Number *>(window.weight), window.hidden, panels, packed);
    in_blocks(window, packed, backward_block);
}

}  // namespace LSTM_PATH
}  // namespace

#undef LSTM_PATH
#undef LSTM_TARGET
#undef LSTM_LANES
#undef LSTM_KIND

#endif
