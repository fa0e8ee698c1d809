// One step of a stacked LSTM, of one piece or of several, with weights in int8.
//
// midirnn/engines/native_engine.py compiles this file at first use and calls the functions at its
// end through ctypes. The equations are those of midirnn/models/cells.py, the gates in the order of
// torch.nn.LSTM: input, forget, cell, output.
//
// A step of one piece reads each weight once, and the weights do not fit into a core's caches, so
// the step takes as long as reading them. They are therefore int8, stored in the order in which
// they are read, in huge pages where Linux has them, and there is little code between two products.
// With several pieces, each block of weights is multiplied while it is in the first-level cache.
//
// A matrix (N, K) is cut into panels of 16 rows, a panel into blocks of 128 columns, and a block
// into groups of 4 columns; within a group the 4 columns of a row are adjacent. Each row has a
// scale in each block, and so does the vector. Products of a block are summed in int32, which is
// exact; all else is fp32, and rounded in the same places everywhere. So the results of a piece are
// the same, bit for bit, whatever other pieces are computed, and in each *path*: the same code
// compiled for another instruction set. The file includes itself once for each.
//
//   path         products
//   plain        whatever the compiler generates
//   avx2         pairs of bytes, summed in 16 bits, then in 32
//   avx512_vnni  groups of 4 bytes, summed in 32 bits
//   amx          tiles of 16 rows by 64 columns, for 16 pieces at once; else as avx512_vnni

#ifndef STEP_PATH  // The first half, which is included once.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

constexpr int ROWS = 16;     // in a panel
constexpr int BLOCK = 128;   // columns that share a scale
constexpr int GROUP = 4;     // columns that are multiplied at once
constexpr int GROUPS = BLOCK / GROUP;
constexpr int GATES = 4;
constexpr float EPSILON = 1e-5f;  // torch.nn.LayerNorm's
constexpr std::size_t CACHE_LINE = 64, HUGE_PAGE = std::size_t(1) << 21;

typedef float Floats __attribute__((vector_size(4 * ROWS)));
typedef std::int32_t Ints __attribute__((vector_size(4 * ROWS)));
typedef std::int8_t Bytes __attribute__((vector_size(ROWS)));

int up_to_multiple(int n, int of) { return (n + of - 1) / of * of; }

// Zeros, aligned to a cache line or, if there are many, to a huge page.
template <class T>
class Buffer {
   public:
    explicit Buffer(std::size_t size)
        : alignment_(size * sizeof(T) < HUGE_PAGE ? CACHE_LINE : HUGE_PAGE) {
        const std::size_t bytes = (size * sizeof(T) + alignment_ - 1) / alignment_ * alignment_;
        begin_ = static_cast<T *>(::operator new(bytes, std::align_val_t(alignment_)));
#if defined(__linux__)
        if (alignment_ == HUGE_PAGE) madvise(begin_, bytes, MADV_HUGEPAGE);
#endif
        std::memset(static_cast<void *>(begin_), 0, bytes);
    }
    ~Buffer() { ::operator delete(begin_, std::align_val_t(alignment_)); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    T *at(std::size_t index) { return begin_ + index; }
    const T *at(std::size_t index) const { return begin_ + index; }

   private:
    T *begin_;
    std::size_t alignment_;
};

constexpr int ZERO = 128;  // the zero point of the weights

struct Block {
    std::uint8_t values[GROUPS][ROWS][GROUP];
    Floats scales;
};

// A matrix and the bias that its sums start from; rows are padded to whole panels.
struct Matrix {
    int panels, blocks;
    const Block *at;
    std::vector<float> bias;
};

struct Model {
    int layers, hidden, features;
    bool residual, normalised;
    std::unique_ptr<Buffer<Block>> blocks;  // of all matrices: of each layer, then of the heads
    std::size_t used = 0;
    std::vector<Matrix> matrices;
    std::vector<float> norms;  // (layers, 2, hidden): scale and bias of each layer's output
};

// Vectors in int8, padded to whole blocks, with the scale and the sum of the values of each block.
class Quantized {
   public:
    Quantized(int vectors, int blocks)
        : blocks_(blocks),
          values_(std::size_t(vectors) * blocks * BLOCK),
          scales_(std::size_t(vectors) * blocks),
          sums_(std::size_t(vectors) * blocks) {}
    std::int8_t *values(int vector, int block) { return values_.at(index(vector, block) * BLOCK); }
    float &scale(int vector, int block) { return *scales_.at(index(vector, block)); }
    std::int32_t &sum(int vector, int block) { return *sums_.at(index(vector, block)); }
    std::size_t bytes_of_vector() const { return std::size_t(blocks_) * BLOCK; }

   private:
    std::size_t index(int vector, int block) const { return std::size_t(vector) * blocks_ + block; }

    int blocks_;
    Buffer<std::int8_t> values_;
    Buffer<float> scales_;
    Buffer<std::int32_t> sums_;
};

struct Step {
    const Model &model;
    int pieces;
    const float *table;         // (V + 1, 4H) what each token adds to the first layer's gates
    const std::int32_t *tokens;  // (pieces,)
    const float *features;      // (pieces, F)
    const float *h, *c;         // (pieces, layers, H) the state before
    float *h_after, *c_after;
    float *outputs;  // (pieces, outputs) those of all heads, one after the other
};

int width_of(const Matrix &matrix) { return matrix.panels * ROWS; }

}  // namespace

#define STEP_BYTES 0
#define STEP_PAIRS 1
#define STEP_GROUPS 2

#define STEP_PATH plain
#define STEP_TARGET
#define STEP_PRODUCTS STEP_BYTES
#define STEP_MANY 2
#include "step.cpp"

#if defined(__x86_64__)

#define STEP_PATH avx2
#define STEP_TARGET __attribute__((target("avx2")))
#define STEP_PRODUCTS STEP_PAIRS
#define STEP_MANY 4
#include "step.cpp"

#define STEP_PATH avx512_vnni
#define STEP_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define STEP_PRODUCTS STEP_GROUPS
#define STEP_MANY 8
#include "step.cpp"

#define STEP_PATH amx
#define STEP_TARGET                                                                        \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile,amx-int8")))
#define STEP_PRODUCTS STEP_GROUPS
#define STEP_MANY 8
#define STEP_TILES
#include "step.cpp"

#endif

namespace {

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2"); }
bool has_avx512_vnni() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

// Whether there are tiles and Linux lets this process use them, which has to be requested.
bool has_amx() {
#if defined(__linux__)
    constexpr long ask_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XTILE_DATA
    return has_avx512_vnni() && __builtin_cpu_supports("amx-tile") &&
           __builtin_cpu_supports("amx-int8") &&
           syscall(SYS_arch_prctl, ask_permission, tile_data) == 0;
#else
    return false;
#endif
}
#endif

struct Path {
    const char *name;
    bool (*works)();
    void (*step)(const Step &);
};

const Path PATHS[] = {
    {"plain", [] { return true; }, plain::step},
#if defined(__x86_64__)
    {"avx2", has_avx2, avx2::step},
    {"avx512_vnni", has_avx512_vnni, avx512_vnni::step},
    {"amx", has_amx, amx::step},
#endif
};

}  // namespace

// The functions that Python calls.

extern "C" {

int step_path_count() { return int(sizeof PATHS / sizeof *PATHS); }
const char *step_path_name(int path) { return PATHS[path].name; }
int step_path_works(int path) { return PATHS[path].works(); }

// A model with room for `weights` weights, padding included; null if memory does not suffice.
Model *step_new(int layers, int hidden, int features, int residual, const float *norms,
                std::int64_t weights) {
    try {
        auto model = std::make_unique<Model>();
        model->layers = layers, model->hidden = hidden, model->features = features;
        model->residual = residual, model->normalised = norms != nullptr;
        if (norms) model->norms.assign(norms, norms + std::size_t(layers) * 2 * hidden);
        model->blocks = std::make_unique<Buffer<Block>>(weights / (ROWS * BLOCK));
        return model.release();
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

void step_free(Model *model) { delete model; }

// Add the next matrix: that of each layer in turn, then that of all heads. `values` (rows, blocks,
// 128) have the zero point 128, `scales` are (rows, blocks); `bias` (rows,) may be null.
void step_add(Model *model, int rows, int blocks, const std::uint8_t *values, const float *scales,
              const float *bias) {
    const int panels = up_to_multiple(rows, ROWS) / ROWS;
    Block *first = model->blocks->at(model->used);
    model->used += std::size_t(panels) * blocks;
    for (int row = 0; row < rows; ++row)
        for (int block = 0; block < blocks; ++block) {
            Block &to = first[row / ROWS * blocks + block];
            const std::size_t at = std::size_t(row) * blocks + block;
            const int lane = row % ROWS;
            to.scales[lane] = scales[at];
            for (int column = 0; column < BLOCK; ++column)
                to.values[column / GROUP][lane][column % GROUP] = values[at * BLOCK + column];
        }
    Matrix matrix{panels, blocks, first, std::vector<float>(std::size_t(panels) * ROWS)};
    if (bias) std::copy(bias, bias + rows, matrix.bias.begin());
    model->matrices.push_back(std::move(matrix));
}

// Compute a step of `pieces` pieces. The rows of the table and of the outputs are padded to whole
// panels. Returns 0, or 1 if memory does not suffice.
int step_compute(const Model *model, int path, int pieces, const float *table,
                 const std::int32_t *tokens, const float *features, const float *h, const float *c,
                 float *h_after, float *c_after, float *outputs) {
    try {
        PATHS[path].step(
            {*model, pieces, table, tokens, features, h, c, h_after, c_after, outputs});
    } catch (const std::bad_alloc &) {
        return 1;
    }
    return 0;
}

}  // extern "C"

#else  // The second half, which is included once for each path.

namespace {
namespace STEP_PATH {

STEP_TARGET inline Floats load(const float *from) {
    Floats x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

STEP_TARGET inline void store(float *to, Floats x) { std::memcpy(to, &x, sizeof x); }

// exp with a relative error of about 1e-7, for -87 to 87: 2^n times a polynomial for the rest.
STEP_TARGET inline Floats exponential(Floats x) {
    constexpr float to_integer = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    const Floats least = Floats{} - 87.0f, most = Floats{} + 87.0f;
    x = x < least ? least : x;
    x = x > most ? most : x;
    const Floats n = (x * 1.44269504f + to_integer) - to_integer;
    const Floats rest = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats sum = Floats{} + 1.0f / 720;
    sum = sum * rest + 1.0f / 120;
    sum = sum * rest + 1.0f / 24;
    sum = sum * rest + 1.0f / 6;
    sum = sum * rest + 0.5f;
    sum = sum * rest + 1.0f;
    sum = sum * rest + 1.0f;
    const Ints bits = (__builtin_convertvector(n, Ints) + 127) << 23;
    Floats power;
    std::memcpy(&power, &bits, sizeof power);
    return sum * power;
}

STEP_TARGET inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + exponential(-x)); }
STEP_TARGET inline Floats hyperbolic_tangent(Floats x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; }

// The sum of n numbers: lane by lane, then over the lanes.
STEP_TARGET float total(const float *x, int n) {
    Floats sums = {};
    int i = 0;
    for (; i + ROWS <= n; i += ROWS) sums += load(x + i);
    for (int lane = 0; i + lane < n; ++lane) sums[lane] += x[i + lane];
    float sum = 0.0f;
    for (int lane = 0; lane < ROWS; ++lane) sum += sums[lane];
    return sum;
}

// Quantize x, each block with the scale that makes its largest number 127.
STEP_TARGET void quantize(const float *x, int blocks, Quantized &to, int vector) {
    constexpr float to_integer = 12582912.0f;
    for (int block = 0; block < blocks; ++block, x += BLOCK) {
        Floats largest = {};
        for (int i = 0; i < BLOCK; i += ROWS) {
            const Floats some = load(x + i), size = some < 0.0f ? -some : some;
            largest = size > largest ? size : largest;
        }
        float most = 0.0f;
        for (int lane = 0; lane < ROWS; ++lane) most = std::max(most, largest[lane]);
        const float per = most > 0.0f ? 127.0f / most : 0.0f;
        Ints sums = {};
        std::int8_t *values = to.values(vector, block);
        for (int i = 0; i < BLOCK; i += ROWS) {
            const Floats rounded = (load(x + i) * per + to_integer) - to_integer;
            const Ints whole = __builtin_convertvector(rounded, Ints);
            const Bytes bytes = __builtin_convertvector(whole, Bytes);
            std::memcpy(values + i, &bytes, sizeof bytes);
            sums += whole;
        }
        std::int32_t sum = 0;
        for (int lane = 0; lane < ROWS; ++lane) sum += sums[lane];
        to.sum(vector, block) = sum;
        to.scale(vector, block) = most / 127.0f;
    }
}

// The products of a block of 16 rows with a block of MANY vectors, summed. `sums` are the sums of
// the vectors' values: where weights are multiplied without subtracting their zero point, 128 times
// that is subtracted afterwards.
template <int MANY>
STEP_TARGET inline void block_products(const Block &weights, const std::int8_t *const *x,
                                       const std::int32_t *sums, Ints *to) {
#if STEP_PRODUCTS == STEP_GROUPS
    constexpr int APART = MANY == 1 ? 4 : 1;  // independent accumulators
    __m512i products[MANY][APART] = {};
    for (int group = 0; group < GROUPS; group += APART)
        for (int each = 0; each < APART; ++each) {
            const __m512i rows = _mm512_load_si512(weights.values[group + each]);
            for (int n = 0; n < MANY; ++n) {
                std::int32_t four;
                std::memcpy(&four, x[n] + GROUP * (group + each), sizeof four);
                products[n][each] =
                    _mm512_dpbusd_epi32(products[n][each], rows, _mm512_set1_epi32(four));
            }
        }
    for (int n = 0; n < MANY; ++n) {
        __m512i all = products[n][0];
        for (int each = 1; each < APART; ++each) all = _mm512_add_epi32(all, products[n][each]);
        std::memcpy(&to[n], &all, sizeof all);
        to[n] -= ZERO * sums[n];
    }
#elif STEP_PRODUCTS == STEP_PAIRS
    // |x| times the weight with the sign of x: a sum of two fits into 16 bits.
    (void)sums;
    const __m256i ones = _mm256_set1_epi16(1), zero = _mm256_set1_epi8(std::int8_t(ZERO));
    __m256i products[MANY][2] = {};
    for (int group = 0; group < GROUPS; ++group) {
        const auto *rows = reinterpret_cast<const __m256i *>(weights.values[group]);
        const __m256i halves[2] = {_mm256_xor_si256(_mm256_load_si256(rows), zero),
                                   _mm256_xor_si256(_mm256_load_si256(rows + 1), zero)};
        for (int n = 0; n < MANY; ++n) {
            std::int32_t four;
            std::memcpy(&four, x[n] + GROUP * group, sizeof four);
            const __m256i all = _mm256_set1_epi32(four), size = _mm256_abs_epi8(all);
            for (int half = 0; half < 2; ++half) {
                const __m256i pairs =
                    _mm256_maddubs_epi16(size, _mm256_sign_epi8(halves[half], all));
                products[n][half] =
                    _mm256_add_epi32(products[n][half], _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    std::memcpy(to, products, sizeof products);
#else
    (void)sums;
    for (int n = 0; n < MANY; ++n) {
        to[n] = Ints{};
        for (int group = 0; group < GROUPS; ++group)
            for (int row = 0; row < ROWS; ++row)
                for (int column = 0; column < GROUP; ++column)
                    to[n][row] += (weights.values[group][row][column] - ZERO) *
                                  x[n][GROUP * group + column];
    }
#endif
}

// Scale the products of a block of weights with a block of a vector; add them to the piece's sums.
STEP_TARGET inline void add_scaled(const Block &weights, Ints products, float scale, float *sum) {
    const Floats scales = weights.scales * scale;
    store(sum, load(sum) + __builtin_convertvector(products, Floats) * scales);
}

template <int MANY>
STEP_TARGET inline void add_products(const Block &weights, int block, Quantized &x, int first,
                                     float *sums) {
    const std::int8_t *values[MANY];
    std::int32_t of_values[MANY];
    Ints products[MANY];
    for (int n = 0; n < MANY; ++n) {
        values[n] = x.values(first + n, block);
        of_values[n] = x.sum(first + n, block);
    }
    block_products<MANY>(weights, values, of_values, products);
    for (int n = 0; n < MANY; ++n)
        add_scaled(weights, products[n], x.scale(first + n, block), sums + (first + n) * ROWS);
}

#ifdef STEP_TILES

struct TileConfiguration {  // in the layout that the instruction ldtilecfg reads
    std::uint8_t palette = 1, first_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
};

// Tile 0 holds the sums, 1 and 2 the pieces' numbers, 3 and 4 the weights of half a block each.
STEP_TARGET void begin_tiles() {
    TileConfiguration tiles;
    for (int tile = 0; tile < 5; ++tile) tiles.row_bytes[tile] = 64, tiles.rows[tile] = ROWS;
    _tile_loadconfig(&tiles);
}

STEP_TARGET void end_tiles() { _tile_release(); }

// The same as add_products for 16 pieces at a time. Returns how many pieces were done; the rest,
// fewer than 16, remain.
STEP_TARGET inline int add_tiles(const Block &weights, int block, Quantized &x, int pieces,
                                 float *sums) {
    constexpr int HALF = BLOCK / 2;
    _tile_loadd(3, weights.values, ROWS * GROUP);
    _tile_loadd(4, weights.values[GROUPS / 2], ROWS * GROUP);
    int first = 0;
    for (; first + ROWS <= pieces; first += ROWS) {
        const std::int8_t *values = x.values(first, block);
        Ints products[ROWS];
        _tile_loadd(1, values, x.bytes_of_vector());
        _tile_loadd(2, values + HALF, x.bytes_of_vector());
        _tile_zero(0);
        _tile_dpbsud(0, 1, 3);
        _tile_dpbsud(0, 2, 4);
        _tile_stored(0, products, sizeof *products);
        for (int n = first; n < first + ROWS; ++n)
            add_scaled(weights, products[n - first] - ZERO * x.sum(n, block), x.scale(n, block),
                       sums + n * ROWS);
    }
    return first;
}

#else

STEP_TARGET inline void begin_tiles() {}
STEP_TARGET inline void end_tiles() {}
STEP_TARGET inline int add_tiles(const Block &, int, Quantized &, int, float *) { return 0; }

#endif

// matrix @ x + bias for each piece. `to` (pieces, padded rows) holds the biases beforehand.
STEP_TARGET void multiply(const Matrix &matrix, Quantized &x, int pieces, float *to) {
    constexpr int MANY = STEP_MANY;
    const int width = width_of(matrix);
    std::vector<float> sums(std::size_t(pieces) * ROWS);
    const Block *block = matrix.at;
    const bool with_tiles = pieces >= ROWS;
    if (with_tiles) begin_tiles();
    for (int panel = 0; panel < matrix.panels; ++panel) {
        for (int n = 0; n < pieces; ++n)
            store(sums.data() + n * ROWS, load(to + std::size_t(n) * width + panel * ROWS));
        for (int b = 0; b < matrix.blocks; ++b, ++block) {
            int n = with_tiles ? add_tiles(*block, b, x, pieces, sums.data()) : 0;
            for (; n + MANY <= pieces; n += MANY)
                add_products<MANY>(*block, b, x, n, sums.data());
            for (; n < pieces; ++n) add_products<1>(*block, b, x, n, sums.data());
        }
        for (int n = 0; n < pieces; ++n)
            store(to + std::size_t(n) * width + panel * ROWS, load(sums.data() + n * ROWS));
    }
    if (with_tiles) end_tiles();
}

// What the next product reads of a layer's output x (H,): x itself or its layer normalisation.
STEP_TARGET void normalise(const Model &model, int layer, const float *x, float *to) {
    const int hidden = model.hidden;
    if (!model.normalised) {
        std::copy(x, x + hidden, to);
        return;
    }
    const float *scale = model.norms.data() + std::size_t(layer) * 2 * hidden;
    const float *bias = scale + hidden;
    const float mean = total(x, hidden) / float(hidden);
    std::vector<float> squares(hidden);
    for (int i = 0; i < hidden; ++i) squares[i] = (x[i] - mean) * (x[i] - mean);
    const float deviation = __builtin_sqrtf(total(squares.data(), hidden) / float(hidden) + EPSILON);
    for (int i = 0; i < hidden; ++i) to[i] = (x[i] - mean) / deviation * scale[i] + bias[i];
}

STEP_TARGET void cells(const float *gates, int hidden, const float *c, float *c_after, float *h) {
    for (int cell = 0; cell < hidden; cell += ROWS) {
        const int count = std::min(ROWS, hidden - cell);
        Floats of[GATES] = {}, before = {};
        for (int gate = 0; gate < GATES; ++gate)
            std::memcpy(&of[gate], gates + gate * hidden + cell, count * sizeof(float));
        std::memcpy(&before, c + cell, count * sizeof(float));
        const Floats kept = sigmoid(of[1]) * before;
        const Floats after = kept + sigmoid(of[0]) * hyperbolic_tangent(of[2]);
        const Floats output = sigmoid(of[3]) * hyperbolic_tangent(after);
        std::memcpy(c_after + cell, &after, count * sizeof(float));
        std::memcpy(h + cell, &output, count * sizeof(float));
    }
}

STEP_TARGET void step(const Step &now) {
    const Model &model = now.model;
    const int hidden = model.hidden, pieces = now.pieces, layers = model.layers;
    const std::size_t state = std::size_t(layers) * hidden;
    std::vector<float> operand(2 * hidden + model.features + 2 * BLOCK);
    std::vector<float> x(std::size_t(pieces) * hidden);
    std::vector<float> gates(std::size_t(pieces) * width_of(model.matrices[0]));
    for (int layer = 0; layer < layers; ++layer) {
        const Matrix &matrix = model.matrices[layer];
        const int width = width_of(matrix);
        Quantized read(pieces, matrix.blocks);
        for (int n = 0; n < pieces; ++n) {
            // The first layer reads its state and the features, the others the layer below first.
            const float *h = now.h + n * state + layer * hidden;
            float *to = operand.data(), *of_gates = gates.data() + std::size_t(n) * width;
            std::fill(operand.begin(), operand.end(), 0.0f);
            if (layer) {
                normalise(model, layer - 1, x.data() + std::size_t(n) * hidden, to);
                std::copy(h, h + hidden, to + hidden);
                std::copy(matrix.bias.begin(), matrix.bias.end(), of_gates);
            } else {
                const float *features = now.features + std::size_t(n) * model.features;
                const float *token = now.table + std::size_t(now.tokens[n]) * width;
                std::copy(features, features + model.features, std::copy(h, h + hidden, to));
                std::copy(token, token + width, of_gates);
            }
            quantize(to, matrix.blocks, read, n);
        }
        multiply(matrix, read, pieces, gates.data());
        for (int n = 0; n < pieces; ++n) {
            const std::size_t at = n * state + layer * hidden;
            float *h = now.h_after + at, *own = x.data() + std::size_t(n) * hidden;
            cells(gates.data() + std::size_t(n) * width, hidden, now.c + at, now.c_after + at, h);
            for (int i = 0; i < hidden; ++i) own[i] = layer && model.residual ? own[i] + h[i] : h[i];
        }
    }
    const Matrix &heads = model.matrices.back();
    Quantized read(pieces, heads.blocks);
    for (int n = 0; n < pieces; ++n) {
        std::fill(operand.begin(), operand.end(), 0.0f);
        normalise(model, layers - 1, x.data() + std::size_t(n) * hidden, operand.data());
        quantize(operand.data(), heads.blocks, read, n);
        std::copy(heads.bias.begin(), heads.bias.end(),
                  now.outputs + std::size_t(n) * width_of(heads));
    }
    multiply(heads, read, pieces, now.outputs);
}

}  // namespace STEP_PATH
}  // namespace

#undef STEP_PATH
#undef STEP_TARGET
#undef STEP_PRODUCTS
#undef STEP_MANY
#undef STEP_TILES

#endif
