// The tokens of quantized notes, as `_tokens` in codec.py returns them.

#include <algorithm>
#include <cstdint>
#include <vector>

// Notes are sorted by `start`; steps are those of the time grid, velocities are bins from 1.
// `firsts` are the first ids of note-ons, note-offs, time shifts and velocities. With `bins` false
// there are no velocities. `tokens` has room for `most`. Returns the number of tokens, or -1 if
// there may not be room for them.
extern "C" int64_t emit_tokens(const int64_t* start, const int64_t* end, const int64_t* pitch,
                               const int64_t* velocity, const uint8_t* is_open, int64_t notes,
                               const int64_t* firsts, int64_t max_shift, int64_t bins,
                               uint16_t* tokens, int64_t most) {
    std::vector<int64_t> offs;
    offs.reserve(notes);
    for (int64_t note = 0; note < notes; ++note) {
        if (!is_open[note]) offs.push_back(note);
    }
    std::stable_sort(offs.begin(), offs.end(),
                     [end](int64_t a, int64_t b) { return end[a] < end[b]; });
    int64_t count = 0, step = 0, bin = 0;
    size_t on = 0, off = 0;
    while (on < static_cast<size_t>(notes) || off < offs.size()) {
        // Events within a step are in order of notes; a note's note-on comes before its note-off.
        bool is_off = on == static_cast<size_t>(notes);
        if (!is_off && off < offs.size()) {
            const int64_t ending = end[offs[off]], beginning = start[on];
            is_off = ending < beginning ||
                     (ending == beginning && offs[off] < static_cast<int64_t>(on));
        }
        const int64_t note = is_off ? offs[off++] : static_cast<int64_t>(on++);
        const int64_t now = is_off ? end[note] : start[note];
        for (; now - step > max_shift; step += max_shift) {
            if (count == most) return -1;
            tokens[count++] = static_cast<uint16_t>(firsts[2] + max_shift - 1);
        }
        if (most - count < 3) return -1;
        if (now > step) tokens[count++] = static_cast<uint16_t>(firsts[2] + now - step - 1);
        step = now;
        if (!is_off && bins && velocity[note] != bin) {
            bin = velocity[note];
            tokens[count++] = static_cast<uint16_t>(firsts[3] + bin - 1);
        }
        tokens[count++] = static_cast<uint16_t>(firsts[is_off ? 1 : 0] + pitch[note]);
    }
    return count;
}
