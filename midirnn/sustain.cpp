// How long a sustain pedal holds notes, as sustain.py does it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

constexpr double NEVER = std::numeric_limits<double>::infinity();

// When a pedal goes down, and when it comes up again.
struct Pedal {
    std::vector<double> downs, ups;

    // Returns when it next goes up; NaN if it is up at this time. `hint` is the number of times it
    // went down before some nearby time.
    double next_up(double time, size_t& hint) const {
        while (hint < downs.size() && downs[hint] <= time) ++hint;
        while (hint > 0 && downs[hint - 1] > time) --hint;
        return hint > 0 && ups[hint - 1] > time ? ups[hint - 1] : NAN;
    }
};

Pedal intervals(const double* time, const uint8_t* value, int64_t count, bool as_note_seq) {
    Pedal pedal;
    bool was_down = false;
    for (int64_t begin = 0, stop; begin < count; begin = stop) {
        bool has_up = false;
        for (stop = begin; stop < count && time[stop] == time[begin]; ++stop) {
            has_up |= value[stop] < 64;
        }
        const bool is_down = as_note_seq ? !has_up : value[stop - 1] >= 64;
        // A pedal that goes up and down at one time ends an interval and begins another.
        if (was_down && has_up) pedal.ups.push_back(time[begin]);
        if (is_down && (has_up || !was_down)) pedal.downs.push_back(time[begin]);
        was_down = is_down;
    }
    if (pedal.ups.size() < pedal.downs.size()) pedal.ups.push_back(NEVER);
    return pedal;
}

}  // namespace

// Writes to `ends` when each note ends with the pedal; infinite where it stays down. Notes are in
// order of `start`, pedals in order of `time`.
extern "C" void sustained_ends(const double* start, const double* end, const uint8_t* pitch,
                               int64_t notes, const double* time, const uint8_t* value,
                               int64_t pedals, int as_note_seq, double* ends) {
    const Pedal pedal = intervals(time, value, pedals, as_note_seq);
    double restrikes[256];  // for each pitch the next strike with the pedal down
    std::fill(std::begin(restrikes), std::end(restrikes), NEVER);
    size_t at_start = pedal.downs.size(), at_end = at_start;
    for (int64_t note = notes - 1; note >= 0; --note) {
        double& restrike = restrikes[pitch[note]];
        const double up = pedal.next_up(end[note], at_end);
        const bool held = !std::isnan(up);
        const bool is_struck = held ? restrike < up : restrike <= end[note];
        ends[note] = is_struck ? restrike : held ? up : end[note];
        if (!std::isnan(pedal.next_up(start[note], at_start))) restrike = std::min(restrike, start[note]);
    }
}
