// What sounds and what may come after each token of a stream: the same as in held.py and
// performance/grammar.py, for training windows, about twenty times as fast as numpy.

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

constexpr int PITCHES = 128;
constexpr int SILENT = -1;

// The first ids of note-ons, note-offs, time shifts and velocities, the size of the vocabulary, and
// the numbers of time shifts and velocities. Ids after the velocities are of other kinds.
struct Layout {
    int64_t on, off, shift, velocity, size, shifts, velocities;
};

enum Kind { ON, OFF, SHIFT, VELOCITY, OTHER };

struct Word {
    Kind kind;
    int64_t value;  // a pitch, steps, or a bin; for other kinds the index after the velocities
};

Word word_of(const Layout& layout, int64_t token) {
    if (token >= layout.on && token < layout.on + PITCHES) return {ON, token - layout.on};
    if (token >= layout.off && token < layout.off + PITCHES) return {OFF, token - layout.off};
    if (token >= layout.shift && token < layout.shift + layout.shifts)
        return {SHIFT, token - layout.shift + 1};
    if (token >= layout.velocity && token < layout.velocity + layout.velocities)
        return {VELOCITY, token - layout.velocity + 1};
    return {OTHER, token - layout.velocity - layout.velocities};
}

}  // namespace

extern "C" {

// The scalars of a GrammarState, in its order.
struct GrammarNumbers {
    int64_t next_rank, step, velocity_bin, last_type, last_shift_full, last_off_rank;
};

// Moves a state past tokens, as PerformanceGrammar.advance does. `rank` and `onset` (128,) are for
// the notes that sound. If `masks` (count, size) is not null, it receives what may come after each
// token; tokens of other kinds are never allowed.
void grammar_scan(const Layout* layout, int64_t* rank, int64_t* onset, GrammarNumbers* state,
                  const uint16_t* tokens, int64_t count, uint8_t* masks) {
    int32_t ranks[PITCHES];  // a compact copy for the loops over all pitches
    std::copy_n(rank, PITCHES, ranks);
    int sounding = 0;
    for (int pitch = 0; pitch < PITCHES; pitch++) sounding += ranks[pitch] >= 0;
    for (int64_t t = 0; t < count; t++) {
        const Word word = word_of(*layout, tokens[t]);
        const int64_t pitch = word.value;
        switch (word.kind) {
            case ON:
                sounding += rank[pitch] < 0;
                ranks[pitch] = int32_t(rank[pitch] = state->next_rank++);
                onset[pitch] = state->step;
                break;
            case OFF:
                sounding -= rank[pitch] >= 0;
                state->last_off_rank = rank[pitch];
                ranks[pitch] = rank[pitch] = onset[pitch] = SILENT;
                break;
            case SHIFT:
                state->step += word.value;
                state->last_off_rank = SILENT;
                state->last_shift_full = word.value == layout->shifts;
                break;
            case VELOCITY:
                state->velocity_bin = word.value;
                break;
            case OTHER:
                break;
        }
        state->last_type = word.kind;
        if (!masks) continue;
        uint8_t* mask = masks + t * layout->size;
        const bool free = word.kind != VELOCITY;
        const bool may_end = free && word.kind != ON;
        const int32_t ended = may_end ? int32_t(state->last_off_rank) : INT32_MAX;
        for (int p = 0; p < PITCHES; p++) mask[layout->on + p] = ranks[p] < 0;
        for (int p = 0; p < PITCHES; p++) mask[layout->off + p] = ranks[p] > ended;
        const bool may_shift = word.kind == SHIFT ? state->last_shift_full : free;
        std::memset(mask + layout->shift, may_shift, layout->shifts);
        std::memset(mask + layout->velocity, free && sounding < PITCHES, layout->velocities);
        const int64_t others = layout->velocity + layout->velocities;
        std::memset(mask + others, 0, layout->size - others);
        if (state->velocity_bin) mask[layout->velocity + state->velocity_bin - 1] = 0;
    }
}

// Updates what sounds (128,) for the tokens. `rows` (count, 128), if not null, receives what sounds
// after each.
void held_scan(int64_t on, int64_t off, uint8_t* held, const uint16_t* tokens, int64_t count,
               uint8_t* rows) {
    for (int64_t t = 0; t < count; t++) {
        if (tokens[t] >= on && tokens[t] < on + PITCHES) held[tokens[t] - on] = 1;
        if (tokens[t] >= off && tokens[t] < off + PITCHES) held[tokens[t] - off] = 0;
        if (rows) std::memcpy(rows + t * PITCHES, held, PITCHES);
    }
}

}
