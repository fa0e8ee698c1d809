// One step of a stacked LSTM at batch 1, with weights in int8.
//
// midirnn/engines/native_engine.py compiles this file at first use and calls the functions at its
// end through ctypes. The equations are those of midirnn/models/cells.py, the gates in the order of
// torch.nn.LSTM: input, forget, cell, output.
//
// A step reads each weight once, and the weights do not fit into a core's caches: its time is that
// of reading them. So they are int8, lie in memory in the order in which they are read, in huge
// pages where Linux has them, and what is between two products takes little code.
//
// A matrix (N, K) is cut into panels of 16 rows, a panel into blocks of 128 columns, and a block
// into groups of 4 columns; within a group the 4 columns of a row stand side by side. Each row has
// a scale in each block, and so does the vector. Products of a block are summed in int32, which is
// exact; all else is fp32, with every rounding in one place. So the results are the same bit for
// bit in each *path*, the same code compiled for another instruction set: the file includes itself
// once for each.
//
//   path         products
//   plain        what the compiler makes of them
//   avx2         pairs of bytes, summed in 16 bits, then in 32
//   avx512_vnni  groups of 4 bytes, summed in 32 bits

#ifndef STEP_PATH  // The first half, which is read once.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
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

int up_to_multiple(int n, int of) { return (n + of - 1) / of * of; }

// Zeros at the beginning of a cache line; where there are many, of a huge page.
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

struct Block {
    std::int8_t values[GROUPS][ROWS][GROUP];
    Floats scales;
    Ints sums;  // of each row's values: for products of bytes that must not be negative
};

// A matrix and the bias that its product begins with; rows are padded to whole panels.
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

// A vector in int8, padded to whole blocks, with a scale for each block.
struct Quantized {
    alignas(CACHE_LINE) std::int8_t values[64 * BLOCK];
    float scales[64];
};
constexpr int MOST_COLUMNS = 64 * BLOCK;

struct Step {
    const Model &model;
    const float *token;     // (4H,) what the token gives to the first layer's gates
    const float *features;  // (F,)
    const float *h, *c;     // (layers, H) the state before
    float *h_after, *c_after, *outputs;
};

}  // namespace

#define STEP_BYTES 0
#define STEP_PAIRS 1
#define STEP_GROUPS 2

#define STEP_PATH plain
#define STEP_TARGET
#define STEP_PRODUCTS STEP_BYTES
#include "step.cpp"

#if defined(__x86_64__)

#define STEP_PATH avx2
#define STEP_TARGET __attribute__((target("avx2")))
#define STEP_PRODUCTS STEP_PAIRS
#include "step.cpp"

#define STEP_PATH avx512_vnni
#define STEP_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define STEP_PRODUCTS STEP_GROUPS
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
#endif
};

}  // namespace

// What Python calls.

extern "C" {

int step_path_count() { return int(sizeof PATHS / sizeof *PATHS); }
const char *step_path_name(int path) { return PATHS[path].name; }
int step_path_works(int path) { return PATHS[path].works(); }
int step_most_columns() { return MOST_COLUMNS; }

// A model with room for so many weights, which count with their padding; null without memory.
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

// Add the next matrix: of each layer in turn, at last of all heads. `values` (rows, blocks, 128)
// have 128 for zero, `scales` are (rows, blocks); `bias` (rows,) may be null.
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
            for (int column = 0; column < BLOCK; ++column) {
                const int value = values[at * BLOCK + column] - 128;
                to.values[column / GROUP][lane][column % GROUP] = std::int8_t(value);
                to.sums[lane] += value;
            }
        }
    Matrix matrix{panels, blocks, first, std::vector<float>(std::size_t(panels) * ROWS)};
    if (bias) std::copy(bias, bias + rows, matrix.bias.begin());
    model->matrices.push_back(std::move(matrix));
}

// Compute a step. Outputs are those of all heads, one after the other, padded to whole panels.
void step_compute(const Model *model, int path, const float *token, const float *features,
                  const float *h, const float *c, float *h_after, float *c_after, float *outputs) {
    PATHS[path].step({*model, token, features, h, c, h_after, c_after, outputs});
}

}  // extern "C"

#else  // The second half, which is read once for each path.

namespace {
namespace STEP_PATH {

STEP_TARGET inline Floats load(const float *from) {
    Floats x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

STEP_TARGET inline void store(float *to, Floats x) { std::memcpy(to, &x, sizeof x); }

// exp to about 1e-7 of it, for -87 to 87: 2^n times a polynomial for the rest.
STEP_TARGET inline Floats exponential(Floats x) {
    constexpr float to_integer = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded
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

// Write x (columns,) from a block on, each block with the scale that makes its largest number 127.
STEP_TARGET void quantize(const float *x, int blocks, Quantized &to) {
    constexpr float to_integer = 12582912.0f;
    for (int block = 0; block < blocks; ++block, x += BLOCK) {
        Floats largest = {};
        for (int i = 0; i < BLOCK; i += ROWS) {
            const Floats some = load(x + i), size = some < 0.0f ? -some : some;
            largest = size > largest ? size : largest;
        }
        float most = 0.0f;
        for (int lane = 0; lane < ROWS; ++lane) most = std::max(most, largest[lane]);
        const float scale = most / 127.0f, per = most > 0.0f ? 127.0f / most : 0.0f;
        to.scales[block] = scale;
        for (int i = 0; i < BLOCK; i += ROWS) {
            const Floats rounded = (load(x + i) * per + to_integer) - to_integer;
            const Ints whole = __builtin_convertvector(rounded, Ints);
            for (int lane = 0; lane < ROWS; ++lane)
                to.values[block * BLOCK + i + lane] = std::int8_t(whole[lane]);
        }
    }
}

// The products of a block of 16 rows with a block of the vector, summed.
STEP_TARGET inline Ints block_product(const Block &weights, const std::int8_t *x) {
#if STEP_PRODUCTS == STEP_GROUPS
    // One factor must not be negative: x + 128, of which 128 times the sum of the row is too much.
    const __m512i above = _mm512_set1_epi8(-128);
    __m512i sums[4] = {};
    for (int group = 0; group < GROUPS; group += 4)
        for (int each = 0; each < 4; ++each) {
            std::int32_t four;
            std::memcpy(&four, x + GROUP * (group + each), sizeof four);
            sums[each] = _mm512_dpbusd_epi32(
                sums[each], _mm512_xor_si512(_mm512_set1_epi32(four), above),
                _mm512_load_si512(weights.values[group + each]));
        }
    const __m512i all = _mm512_add_epi32(_mm512_add_epi32(sums[0], sums[1]),
                                         _mm512_add_epi32(sums[2], sums[3]));
    Ints product;
    std::memcpy(&product, &all, sizeof product);
    return product - 128 * weights.sums;
#elif STEP_PRODUCTS == STEP_PAIRS
    // |x| times the weight with the sign of x: a sum of two fits into 16 bits.
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i low = _mm256_setzero_si256(), high = low;
    for (int group = 0; group < GROUPS; ++group) {
        std::int32_t four;
        std::memcpy(&four, x + GROUP * group, sizeof four);
        const __m256i all = _mm256_set1_epi32(four), size = _mm256_abs_epi8(all);
        const auto *rows = reinterpret_cast<const __m256i *>(weights.values[group]);
        const __m256i first = _mm256_sign_epi8(_mm256_load_si256(rows), all);
        const __m256i second = _mm256_sign_epi8(_mm256_load_si256(rows + 1), all);
        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_maddubs_epi16(size, first), ones));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_maddubs_epi16(size, second), ones));
    }
    Ints product;
    std::memcpy(&product, &low, sizeof low);
    std::memcpy(reinterpret_cast<char *>(&product) + sizeof low, &high, sizeof high);
    return product;
#else
    Ints product = {};
    for (int group = 0; group < GROUPS; ++group)
        for (int row = 0; row < ROWS; ++row)
            for (int column = 0; column < GROUP; ++column)
                product[row] += weights.values[group][row][column] * x[GROUP * group + column];
    return product;
#endif
}

// matrix @ x + bias; where `bias` is given it stands for the matrix's own.
STEP_TARGET void multiply(const Matrix &matrix, const Quantized &x, const float *bias, float *to) {
    const Block *block = matrix.at;
    if (!bias) bias = matrix.bias.data();
    for (int panel = 0; panel < matrix.panels; ++panel) {
        Floats sum = load(bias + panel * ROWS);
        for (int b = 0; b < matrix.blocks; ++b, ++block) {
            const Ints whole = block_product(*block, x.values + b * BLOCK);
            sum += __builtin_convertvector(whole, Floats) * (block->scales * x.scales[b]);
        }
        store(to + panel * ROWS, sum);
    }
}

// What the next product reads of a layer's output x (H,): x itself, or its layer normalisation.
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
    const int hidden = model.hidden, widest = 2 * hidden + model.features + 2 * BLOCK;
    std::vector<float> operand(widest), gates(GATES * hidden + ROWS), x(hidden);
    thread_local Quantized quantized;
    for (int layer = 0; layer < model.layers; ++layer) {
        const Matrix &matrix = model.matrices[layer];
        const float *h = now.h + layer * hidden;
        float *h_after = now.h_after + layer * hidden;
        // The first layer reads its own state and the features, the others the layer below first.
        int columns = 0;
        std::fill(operand.begin(), operand.end(), 0.0f);
        if (layer) {
            normalise(model, layer - 1, x.data(), operand.data());
            columns = hidden;
        }
        std::copy(h, h + hidden, operand.begin() + columns);
        columns += hidden;
        if (!layer) std::copy(now.features, now.features + model.features, operand.begin() + columns);
        quantize(operand.data(), matrix.blocks, quantized);
        multiply(matrix, quantized, layer ? nullptr : now.token, gates.data());
        cells(gates.data(), hidden, now.c + layer * hidden, now.c_after + layer * hidden, h_after);
        for (int i = 0; i < hidden; ++i)
            x[i] = layer && model.residual ? x[i] + h_after[i] : h_after[i];
    }
    const Matrix &heads = model.matrices.back();
    std::fill(operand.begin(), operand.end(), 0.0f);
    normalise(model, model.layers - 1, x.data(), operand.data());
    quantize(operand.data(), heads.blocks, quantized);
    multiply(heads, quantized, nullptr, now.outputs);
}

}  // namespace STEP_PATH
}  // namespace

#undef STEP_PATH
#undef STEP_TARGET
#undef STEP_PRODUCTS

#endif
