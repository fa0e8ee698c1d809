// The rules of the terms, for whole windows and for the step of an engine: the same numbers as in
// numpy, ten to a hundred times faster.
//
// A Scan reads the tokens of a piece in order and remembers its notes. For each token it can write
// a row of indices: which of a term's weights each token of the term's group adds next (-1: none).
// The terms are explained in rules.py and steps.py, against which this is tested.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace {

constexpr int PITCHES = 128;
constexpr int NONE = -1;
constexpr int FAR = 1 << 20;
constexpr int LONGEST_CONTEXT = 12;
constexpr int LENGTHS = LONGEST_CONTEXT + 1;
constexpr int VIEWS = 3;  // exact, transposed, and in any order (matches) or all but the last (votes)
constexpr int MOST_VOTES = 8;
constexpr int SHORTEST_BAG = 3, LONGEST_BAG = 8;  // contexts in any order
constexpr int RECENCY_NOTES = 256;
constexpr int NEAR = 40;
constexpr int WIDTHS[] = {0, 2, 7};
constexpr int DENSITIES = 6;
constexpr int LONGEST_DENSITY = 288;

// ---- buckets --------------------------------------------------------------------------------

using Buckets = std::vector<int16_t>;

Buckets octave_buckets(int values, int small, double per_octave, int last) {
    Buckets buckets(values);
    for (int v = 0; v < values; v++) {
        const double octaves = std::log2(std::max(v, 1) / double(small));
        const int large = std::min(last, int(std::floor(small + per_octave * octaves)));
        buckets[v] = int16_t(v < small ? v : large);
    }
    return buckets;
}

const Buckets TIME = octave_buckets(4096, 8, 4.0, 31);
const Buckets COUNT = octave_buckets(512, 16, 1.75, 23);
const Buckets SHIFTED = octave_buckets(4096, 80, 12.0, 127);

int bucket(const Buckets& table, int value) {
    return table[std::clamp(value, 0, int(table.size()) - 1)];
}

std::vector<int> apart_buckets() {
    std::vector<int> buckets(2001);
    for (int v = 0; v <= 2000; v++) {
        int far = int(std::floor(10.5 + 3.0 * std::log2(std::max(v, 1) / 10.0)));
        buckets[v] = v <= 10 ? v : std::min(20, far);
    }
    return buckets;
}

const std::vector<int> APART = apart_buckets();

int difference_bucket(int steps) {
    int apart = APART[std::min(std::abs(steps), 2000)];
    return 20 + (steps < 0 ? -apart : apart);
}

Buckets difference_buckets() {
    Buckets buckets;
    for (int steps = -2000; steps <= 2000; steps++)
        buckets.push_back(int16_t(difference_bucket(steps)));
    return buckets;
}

const Buckets DIFFERENCES = difference_buckets();

// ---- contexts, matches and votes ------------------------------------------------------------

struct Match {
    int place = NONE, length = 0, pitch = 0;
};

// Calls `use(place, value)` for each byte from `last` down to `first` that is not 0.
template <typename Use>
void each_nonzero(const uint8_t* bytes, int first, int last, Use use) {
    for (; last - 7 >= first; last -= 8) {
        uint64_t eight;  // on little-endian processors, the last is the highest byte
        std::memcpy(&eight, bytes + last - 7, 8);
        while (eight) {
            const int byte = 7 - __builtin_clzll(eight) / 8;
            use(last - 7 + byte, int(eight >> 8 * byte));
            eight &= (uint64_t(1) << 8 * byte) - 1;
        }
    }
    for (; last >= first; last--)
        if (bytes[last]) use(last, int(bytes[last]));
}

struct Held {
    int pitch, age, since, overdue;  // since: notes begun after it; overdue: FAR for unknown
};

struct Sizes {
    int max_shift, velocity_bins, memory;
};

std::vector<uint64_t> powers() {
    std::vector<uint64_t> hashes(PITCHES);
    uint64_t power = 1;
    for (auto& hash : hashes) hash = power *= 6364136223846793005ULL;
    return hashes;
}

const std::vector<uint64_t> HASHES = powers();

// The places of each value of a sequence, and how many values up to each place equal those up to the
// newest value: LONGEST_CONTEXT at most. For windows, where a scan is not copied at each note: only
// the places of the newest value are visited.
class Repeats {
  public:
    void add(int value) {
        latest.resize(VALUES, NONE);
        earlier.push_back(latest[value]);
        latest[value] = int(contexts.size());
        contexts.push_back(0);
    }

    // Calls `use(place, length)` for each earlier place of the newest value down to `first`, the
    // newest place first. Contexts grow only if this was called for the value before, too.
    template <typename Use>
    void follow(int first, Use use) {
        const int newest = int(contexts.size()) - 1;
        for (int place = earlier[newest]; place >= first; place = earlier[place]) {
            const int length = std::min(LONGEST_CONTEXT, 1 + length_at(place - 1, newest - 1));
            contexts[place] = uint32_t(newest) << LENGTH_BITS | uint32_t(length);
            use(place, std::min(length, place - first + 1));
        }
    }

    // Calls `use` in the same way for what follow() found for the value before the newest.
    template <typename Use>
    void each_before(int first, Use use) const {
        const int before = int(contexts.size()) - 2;
        for (int place = earlier[before]; place >= first; place = earlier[place])
            if (const int length = length_at(place, before))
                use(place, std::min(length, place - first + 1));
    }

  private:
    static constexpr int VALUES = 256, LENGTH_BITS = 4;

    // Returns 0 if no context was found for that newest value.
    int length_at(int place, int newest) const {
        if (place < 0) return 0;
        const uint32_t length = contexts[place] ^ uint32_t(newest) << LENGTH_BITS;
        return length >> LENGTH_BITS ? 0 : int(length);
    }

    std::vector<int> latest, earlier;  // the newest place of each value; for each place, the one before
    std::vector<uint32_t> contexts;    // for each place: for which newest value, and the length
};

class Scan {
  public:
    explicit Scan(Sizes sizes) : sizes(sizes) {
        std::fill_n(latest, PITCHES, -FAR);
        std::fill_n(onset, PITCHES, NONE);
        std::fill_n(released, PITCHES, NONE);
        sums.push_back(0);
    }

    void feed(int token, bool brief = false) {
        const int off = PITCHES, shift = 2 * PITCHES, velocity = shift + sizes.max_shift;
        if (token < off) note_on(token, brief);
        else if (token < shift) note_off(token - off);
        else if (token < velocity) step += token - shift + 1;
        else velocity_bin = token - velocity + 1;
    }

    int count() const { return int(pitches.size()); }
    int first() const { return std::max(0, count() - sizes.memory); }
    int since_onset() const { return count() ? step - onsets.back() : 0; }
    bool keeps(int back) const { return back < count() - first(); }
    int pitch_back(int back) const { return keeps(back) ? pitches[count() - 1 - back] : -FAR; }
    int velocity_back(int back) const {
        return keeps(back) ? velocities[count() - 1 - back] : 0;
    }
    int gap(int back) const {
        return keeps(back) ? onsets.back() - onsets[count() - 1 - back] : FAR;
    }
    int silent_for(int pitch) const {
        const bool is_recent = count() - 1 - latest[pitch] < RECENCY_NOTES;
        return (released[pitch] >= 0) & is_recent ? step - released[pitch] : FAR;
    }
    Match best() const {
        Match found = matches[1].length > matches[0].length ? matches[1] : matches[0];
        return matches[2].length && found.length < 3 ? matches[2] : found;
    }
    int match_velocity() const {
        int place = best().place;
        return place >= first() ? velocities[place] : 0;
    }
    int match_interval() const {
        Match found = best();
        return found.length && found.place > first() ? onsets[found.place] - onsets[found.place - 1]
                                                     : FAR;
    }

    // Writes the pitch and the length of the match in each view; returns where the next ones go.
    int64_t* write_matches(int64_t* to) const {
        for (const Match& match : matches) {
            *to++ = match.pitch;
            *to++ = match.length;
        }
        return to;
    }

    // The notes that sound, the newest first.
    std::vector<Held> held() const {
        std::vector<Held> notes;
        Match found = best();
        for (int pitch = 0; pitch < PITCHES; pitch++) {
            if (onset[pitch] < 0) continue;
            Held note{pitch, step - onset[pitch], count() - 1 - latest[pitch], FAR};
            int at = found.place - 1 - note.since;
            if (note.since < found.length && at >= first() && durations[at] >= 0 &&
                onsets[at] + durations[at] < step)
                note.overdue = note.age - durations[at];
            notes.push_back(note);
        }
        std::sort(notes.begin(), notes.end(),
                  [](const Held& a, const Held& b) { return a.since < b.since; });
        return notes;
    }

    Sizes sizes;
    int step = 0, velocity_bin = 0;
    int latest[PITCHES], onset[PITCHES], released[PITCHES];
    std::vector<uint8_t> pitches, velocities;
    std::vector<int> onsets, durations;
    Match matches[VIEWS];
    uint8_t votes[VIEWS][PITCHES] = {};
    bool voting = true;  // whether to find votes, not only matches
    bool for_windows = false;  // set at the start if many notes are read and none is forgotten

    // Reads tokens for which no row is written. Contexts are no longer than LONGEST_CONTEXT, so that
    // matches and votes follow from the last notes: only these are compared with all others.
    void skip(const uint16_t* tokens, int64_t count) {
        int64_t last = count;
        for (int notes = 0; last > 0 && notes < LONGEST_CONTEXT + 2; last--)
            notes += tokens[last - 1] < PITCHES;
        for (int64_t t = 0; t < count; t++) feed(tokens[t], t < last);
    }

    // `brief`: skips matches and votes, which are then valid again only after some notes without it.
    void note_on(int pitch, bool brief = false) {
        latest[pitch] = count();
        onset[pitch] = step;
        released[pitch] = NONE;
        pitches.push_back(uint8_t(pitch));
        velocities.push_back(uint8_t(velocity_bin));
        onsets.push_back(step);
        durations.push_back(NONE);
        sums.push_back(sums.back() + HASHES[pitch]);
        if (for_windows) {
            const int before = count() > 1 ? pitches[count() - 2] : pitch;
            places.add(pitch);
            interval_places.add(uint8_t(pitch - before));
            if (!brief) recollect();
        } else if (brief) {
            exact.clear();
            moved.clear();
        } else {
            recollect();
        }
    }

    // Forgets the notes that are older than the memory reaches, once there are many.
    void trim() {
        const int old = first();
        if (old < sizes.memory) return;
        auto cut = [old](auto& notes) { notes.erase(notes.begin(), notes.begin() + old); };
        cut(pitches), cut(velocities), cut(onsets), cut(durations), cut(sums);
        for (auto lengths : {&exact, &moved})
            if (int(lengths->size()) > old) cut(*lengths);
        for (auto& number : latest) number = std::max(number - old, -FAR);
        for (auto& match : matches) match.place -= match.length ? old : 0;
    }

    // Passes all numbers of the state to `visit`, in a fixed order, vectors with their sizes.
    template <typename Visit>
    void each_part(Visit visit) {
        visit(&step, 1), visit(&velocity_bin, 1);
        visit(latest, PITCHES), visit(onset, PITCHES), visit(released, PITCHES);
        visit(matches, VIEWS), visit(&votes[0][0], VIEWS * PITCHES);
        auto notes = [&](auto& vector) {
            int size = int(vector.size());
            visit(&size, 1);
            vector.resize(size);
            visit(vector.data(), size);
        };
        notes(pitches), notes(velocities), notes(onsets), notes(durations);
        notes(exact), notes(moved), notes(sums);
    }

  private:
    void note_off(int pitch) {
        if (onset[pitch] == NONE) return;
        if (latest[pitch] >= 0) durations[latest[pitch]] = step - onset[pitch];
        onset[pitch] = NONE;
        released[pitch] = step;
    }

    // Sets `lengths[j]` to how many notes up to j equal those up to the last. The lengths of the note
    // before, from which this follows, go to `old`.
    template <typename Same>
    static void follow(std::vector<uint8_t>& lengths, std::vector<uint8_t>& old, int from, int last,
                       Same same) {
        lengths.swap(old);
        lengths.resize(last + 1);
        old.resize(last + 1, 0);
        uint8_t* to = lengths.data();
        const uint8_t* of = old.data();
        for (int j = from + 1; j < last; j++) {  // without a branch, so that it is vectorised
            const uint8_t longer = std::min<uint8_t>(LONGEST_CONTEXT, uint8_t(of[j - 1] + 1));
            to[j] = longer & uint8_t(-uint8_t(same(j)));
        }
        if (last > from) to[from] = same(from) ? 1 : 0;
        to[last] = 0;
    }

    void recollect() {
        const int last = count() - 1, from = first();
        const uint8_t* p = pitches.data();
        const uint8_t newest = p[last];
        if (voting) std::memset(votes, 0, sizeof votes);
        for (auto& match : matches) match = Match{};
        const auto exactly = [&](int j, int length) {
            vote(0, p[j + 1], length);
            if (length > matches[0].length) matches[0] = {j + 1, length, p[j + 1]};
        };
        const auto transposed = [&](int j, int length) {
            int pitch = uint8_t(newest + p[j + 1] - p[j]);
            if (pitch < PITCHES) vote(1, pitch, length);
            if (length >= 2 && length > matches[1].length) matches[1] = {j + 1, length, pitch};
        };
        const auto but_for_the_last = [&](int j, int length) {
            if (p[j + 1] != newest) vote(2, p[j + 2], length);
        };
        if (for_windows) {
            if (last == from) return;
            if (voting) places.each_before(from, but_for_the_last);
            places.follow(from, exactly);
            interval_places.follow(from + 1, transposed);
        } else {
            follow_all(last, from);
            if (last == from) return;
            each_length(exact, from, last - 1, exactly);
            each_length(moved, from + 1, last - 1, transposed);
            each_length(before, from, last - 2, but_for_the_last);
        }
        if (matches[1].pitch >= PITCHES) matches[1] = Match{};
        if (voting)
            for (auto& view : votes) keep_most(view);
        find_in_any_order(from, last);
    }

    // Finds the lengths of the contexts at all places.
    void follow_all(int last, int from) {
        const uint8_t* p = pitches.data();
        follow(exact, before, from, last, [&](int j) { return p[j] == p[last]; });
        if (last == 0) return;
        const uint8_t interval = uint8_t(p[last] - p[last - 1]);
        follow(moved, moved_before, from + 1, last,
               [&](int j) { return uint8_t(p[j] - p[j - 1]) == interval; });
    }

    // Calls `use(place, length)` for each context, the newest first.
    template <typename Use>
    static void each_length(const std::vector<uint8_t>& lengths, int first, int last, Use use) {
        each_nonzero(lengths.data(), first, last, [&](int place, int length) {
            use(place, std::min(length, place - first + 1));
        });
    }

    void vote(int view, int pitch, int length) {
        votes[view][pitch] = std::max(votes[view][pitch], uint8_t(length));
    }

    // Keeps the MOST_VOTES longest contexts; of equally long ones, those of the lowest pitches.
    static void keep_most(uint8_t* view) {
        int of_length[LENGTHS] = {}, shortest = LONGEST_CONTEXT, room = MOST_VOTES;
        each_nonzero(view, 0, PITCHES - 1, [&](int, int length) { of_length[length]++; });
        while (shortest > 0 && of_length[shortest] <= room) room -= of_length[shortest--];
        int too_many = of_length[shortest] - room;
        each_nonzero(view, 0, PITCHES - 1, [&](int pitch, int length) {
            if (length < shortest || (length == shortest && too_many-- > 0)) view[pitch] = 0;
        });
    }

    void find_in_any_order(int from, int last) {
        for (int length = LONGEST_BAG; length >= SHORTEST_BAG; length--) {
            if (2 * length > last + 1 - from) continue;
            const uint64_t wanted = bag(last + 1 - length, length);
            const int newest = last + 1 - 2 * length;
            const int start = for_windows ? bags.find(*this, wanted, length, from, newest)
                                          : find(wanted, length, from, newest);
            if (start >= from) {
                matches[2] = {start + length, length, pitches[start + length]};
                return;
            }
        }
    }

    // The hash of `length` notes from `start` on: equal for the same pitches in any order.
    uint64_t bag(int start, int length) const { return sums[start + length] - sums[start]; }

    // The newest place, from `newest` down to `from`, of notes with that hash; NONE if there is none.
    int find(uint64_t wanted, int length, int from, int newest) const {
        for (int start = newest; start >= from; start--)
            if (bag(start, length) == wanted) return start;
        return NONE;
    }

    // The places of bags of notes, by slots of their hashes: the newest place of each slot, and for
    // each place the one before it. For windows, where a scan is not copied at each note.
    class Bags {
      public:
        int find(const Scan& scan, uint64_t wanted, int length, int from, int newest) {
            std::vector<int>&newest_at = latest[length], &before = earlier[length];
            newest_at.resize(SLOTS, NONE);
            for (int start = std::max(int(before.size()), from); start <= newest; start++) {
                before.resize(start + 1, NONE);
                int& slot = newest_at[slot_of(scan.bag(start, length))];
                before[start] = slot;
                slot = start;
            }
            int start = newest_at[slot_of(wanted)];
            while (start >= from && scan.bag(start, length) != wanted) start = before[start];
            return start;
        }

      private:
        static constexpr int SLOTS = 1 << 11;
        static int slot_of(uint64_t sum) { return int(sum * 0x9E3779B97F4A7C15ULL >> 53); }
        std::vector<int> latest[LONGEST_BAG + 1], earlier[LONGEST_BAG + 1];
    };

    Bags bags;
    Repeats places, interval_places;
    std::vector<uint8_t> exact, moved, before, moved_before;  // before: those of the note before
    std::vector<uint64_t> sums;  // running sums of the hashes of all pitches
};

// ---- the terms ------------------------------------------------------------------------------

struct Moment {
    explicit Moment(const Scan& scan) : scan(scan), held(scan.held()) {}
    const Scan& scan;
    std::vector<Held> held;
};

using Row = int16_t*;

void interval(const Moment& m, int back, int reach, Row row) {
    for (int pitch = 0; pitch < PITCHES; pitch++) {
        int apart = pitch - m.scan.pitch_back(back);
        row[pitch] = int16_t(std::abs(apart) <= reach ? apart + reach : NONE);
    }
}

void votes(const Moment& m, Row row) {
    for (int view = 0; view < VIEWS; view++)
        for (int pitch = 0; pitch < PITCHES; pitch++) {
            int length = m.scan.votes[view][pitch];
            row[view * PITCHES + pitch] = int16_t(length ? view * LENGTHS + length : NONE);
        }
}

// How many notes ago each pitch was played, in buckets: all beyond RECENCY_NOTES are in the last.
void recency(const Moment& m, Row row) {
    const int last = m.scan.count() - 1;
    for (int pitch = 0; pitch < PITCHES; pitch++)
        row[pitch] = int16_t(bucket(COUNT, last - m.scan.latest[pitch]));
}

// The same for its pitch class.
void class_recency(const Moment& m, Row row) {
    int latest[12];
    std::fill_n(latest, 12, -FAR);
    for (int first = 0; first < PITCHES; first += 12)
        for (int pitch = first; pitch < std::min(first + 12, PITCHES); pitch++)
            latest[pitch - first] = std::max(latest[pitch - first], m.scan.latest[pitch]);
    int16_t buckets[12];
    for (int c = 0; c < 12; c++)
        buckets[c] = int16_t(bucket(COUNT, m.scan.count() - 1 - latest[c]));
    for (int first = 0; first < PITCHES; first += 12)
        std::copy_n(buckets, std::min(12, PITCHES - first), row + first);
}

template <typename Value>
void each(int size, Row row, Value value) {
    for (int index = 0; index < size; index++) row[index] = int16_t(value(index));
}

template <typename Value>
void each_held(const Moment& m, Row row, Value value) {
    std::fill_n(row, PITCHES, int16_t(NONE));
    for (int order = 0; order < int(m.held.size()); order++)
        row[m.held[order].pitch] = int16_t(value(m.held[order], order));
}

int lower(const Moment& m, int pitch) {
    return int(std::count_if(m.held.begin(), m.held.end(),
                             [&](const Held& note) { return note.pitch < pitch; }));
}

// A run of a table from `first` on. Beyond the ends of the table its end values repeat.
void run(const Buckets& table, int first, int size, Row row) {
    const int begin = std::clamp(-first, 0, size);
    const int end = std::clamp(int(table.size()) - first, begin, size);
    std::fill_n(row, begin, table.front());
    std::copy_n(table.data() + first + begin, end - begin, row + begin);
    std::fill_n(row + end, size - end, table.back());
}

void against(const Moment& m, int other, Row row) {
    const int size = m.scan.sizes.max_shift, first = m.scan.since_onset() + 1 - other;
    std::fill_n(row, size, int16_t(NONE));
    const int stop = std::min(size, NEAR + 1 - first);
    for (int index = std::max(0, -NEAR - first); index < stop; index++)
        row[index] = int16_t(first + index + NEAR);
}

void overdue_then(const Moment& m, Row row) {
    int most = m.scan.sizes.max_shift, layer = 0;
    for (const Held& note : m.held)
        if (note.overdue < FAR && layer < 4)
            run(DIFFERENCES, 2000 + note.overdue + 1, most, row + layer++ * most);
    std::fill(row + layer * most, row + 4 * most, int16_t(NONE));
}

void velocity_change(const Moment& m, int before, Row row) {
    int bins = m.scan.sizes.velocity_bins;
    each(bins, row, [&](int index) { return before ? index + 1 - before + bins - 1 : NONE; });
}

struct Term {
    const char* name;
    int layers;
    char group;  // n: note-on, o: note-off, s: time shift, v: velocity
    void (*fill)(const Moment&, Row);
    bool ages = false;  // of notes: whether it changes with time alone, and is summed separately
    bool at_notes = false;  // whether it changes only where a note begins
    bool counts = false;    // whether its indices count up by one, with NONE before and after them
};

const Term TERMS[] = {
    {"interval_1", 1, 'n', [](const Moment& m, Row row) { interval(m, 0, 127, row); }, false, true,
     true},
    {"interval_2", 1, 'n', [](const Moment& m, Row row) { interval(m, 1, 48, row); }, false, true,
     true},
    {"interval_3", 1, 'n', [](const Moment& m, Row row) { interval(m, 2, 48, row); }, false, true,
     true},
    {"interval_4", 1, 'n', [](const Moment& m, Row row) { interval(m, 3, 48, row); }, false, true,
     true},
    {"votes", VIEWS, 'n', votes, false, true},
    {"recency", 1, 'n', recency, false, true},
    {"class_recency", 1, 'n', class_recency, false, true},
    {"silence", 1, 'n',
     [](const Moment& m, Row row) {
         each(PITCHES, row, [&](int pitch) { return bucket(TIME, m.scan.silent_for(pitch)); });
     },
     true},
    {"age", 1, 'o',
     [](const Moment& m, Row row) {
         each_held(m, row, [](const Held& note, int) { return bucket(TIME, note.age); });
     },
     true},
    {"order", 1, 'o',
     [](const Moment& m, Row row) {
         each_held(m, row, [](const Held&, int order) { return std::min(order, 15); });
     }},
    {"below", 1, 'o',
     [](const Moment& m, Row row) {
         each_held(m, row, [&](const Held& note, int) { return std::min(lower(m, note.pitch), 7); });
     }},
    {"above", 1, 'o',
     [](const Moment& m, Row row) {
         each_held(m, row, [&](const Held& note, int) {
             return std::min(int(m.held.size()) - 1 - lower(m, note.pitch), 7);
         });
     }},
    {"overdue", 1, 'o',
     [](const Moment& m, Row row) {
         each_held(m, row, [](const Held& note, int) {
             return note.overdue < FAR ? difference_bucket(note.overdue) : NONE;
         });
     },
     true},
    {"interonset", 1, 's',
     [](const Moment& m, Row row) {
         run(SHIFTED, m.scan.since_onset() + 1, m.scan.sizes.max_shift, row);
     }},
    {"interonset_match", 1, 's',
     [](const Moment& m, Row row) { against(m, m.scan.match_interval(), row); }, false, false, true},
    {"interonset_1", 1, 's', [](const Moment& m, Row row) { against(m, m.scan.gap(1), row); }, false,
     false, true},
    {"interonset_2", 1, 's', [](const Moment& m, Row row) { against(m, m.scan.gap(2), row); }, false,
     false, true},
    {"overdue_then", 4, 's', overdue_then},
    {"velocity_1", 1, 'v',
     [](const Moment& m, Row row) { velocity_change(m, m.scan.velocity_back(0), row); }, false, true,
     true},
    {"velocity_2", 1, 'v',
     [](const Moment& m, Row row) { velocity_change(m, m.scan.velocity_back(1), row); }, false, true,
     true},
    {"velocity_3", 1, 'v',
     [](const Moment& m, Row row) { velocity_change(m, m.scan.velocity_back(2), row); }, false, true,
     true},
    {"velocity_4", 1, 'v',
     [](const Moment& m, Row row) { velocity_change(m, m.scan.velocity_back(3), row); }, false, true,
     true},
    {"velocity_match", 1, 'v',
     [](const Moment& m, Row row) { velocity_change(m, m.scan.match_velocity(), row); }, false, true,
     true},
};

int group_size(const Sizes& sizes, char group) {
    return group == 's' ? sizes.max_shift : group == 'v' ? sizes.velocity_bins : PITCHES;
}

// ---- densities ------------------------------------------------------------------------------

// For loops over consecutive numbers: they are compiled for wider vectors as well, where the loader
// can choose. All versions give the same numbers.
#if defined(__x86_64__) && defined(__GLIBC__)
#define FOR_WIDE_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define FOR_WIDE_VECTORS
#endif

FOR_WIDE_VECTORS void add_to(float* sums, const float* values, int count) {
    for (int i = 0; i < count; i++) sums[i] += values[i];
}

FOR_WIDE_VECTORS void means_between(const double* low, const double* high, double size, int count,
                                    float* means) {
    for (int i = 0; i < count; i++) means[i] = float((high[i] - low[i]) / size);
}

// The natural logarithm of a positive number, to 1e-7: the polynomial of Cephes (S. Moshier), logf.
inline float logarithm(float x) {
    constexpr uint32_t ROOT_OF_HALF = 0x3f3504f3;
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const int32_t power = int32_t(bits - ROOT_OF_HALF) >> 23;
    bits -= uint32_t(power) << 23;
    std::memcpy(&x, &bits, 4);  // times 2^power, it is the number
    x -= 1.0f;
    float y = 7.0376836292e-2f;
    y = y * x - 1.1514610310e-1f;
    y = y * x + 1.1676998740e-1f;
    y = y * x - 1.2420140846e-1f;
    y = y * x + 1.4249322787e-1f;
    y = y * x - 1.6668057665e-1f;
    y = y * x + 2.0000714765e-1f;
    y = y * x - 2.4999993993e-1f;
    y = y * x + 3.3333331174e-1f;
    y = y * x * (x * x) - 2.12194440e-4f * power - 0.5f * (x * x);
    return x + y + 0.693359375f * power;
}

inline float usualness(float mean) { return logarithm(0.01f + mean) + 2.5f; }

FOR_WIDE_VECTORS void usualness_of(const float* means, int count, float* to) {
    for (int i = 0; i < count; i++) to[i] = usualness(means[i]);
}

class Histogram {
  public:
    void add(int value, double weight) {
        if (0 <= value && value < LONGEST_DENSITY - 8) weights[value] += weight;
    }
    void cumulate() {
        for (int x = 0; x < LONGEST_DENSITY; x++) below[x + 1] = below[x] + weights[x];
    }
    // The means from `width` below each place to `width` above, for the places from `first` to before
    // `stop`; 0 where they would reach too far.
    void boxes(int width, int first, int stop, float* means) const {
        const int size = 2 * width + 1, whole = std::clamp(LONGEST_DENSITY - width, first, stop);
        int at = first;
        for (; at < std::min(width, whole); at++) *means++ = float(below[at + width + 1] / size);
        means_between(below + at - width, below + at + width + 1, size, whole - at, means);
        std::fill_n(means + whole - at, stop - whole, 0.0f);
    }

  private:
    double weights[LONGEST_DENSITY] = {}, below[LONGEST_DENSITY + 1] = {};
};

// The weights of the last inter-onset times and durations, the newest first, as numpy has them.
struct Fading {
    const double *intervals, *durations;
};

// The densities of the time shifts before the logarithm: exactly the numbers of usual_now() in
// densities.py, summed in the same order.
class Usual {
  public:
    Usual(const Moment& m, Fading fading) {
        const Scan& scan = m.scan;
        const int last = scan.count() - 1;
        double intervals[LONGEST_DENSITY] = {}, durations[LONGEST_DENSITY] = {};
        for (int note = std::max(scan.first(), last - 32) + 1; note <= last; note++)
            add(intervals, scan.onsets[note] - scan.onsets[note - 1], fading.intervals[last - note]);
        for (int note = std::max(scan.first(), last - 47); note <= last; note++)
            if (scan.durations[note] >= 0 && scan.onsets[note] + scan.durations[note] < scan.step)
                add(durations, scan.durations[note], fading.durations[last - note]);
        cumulate(intervals, of_onsets);
        cumulate(durations, of_held);
    }

    void write(const Moment& m, float* rows) const {
        const int most = m.scan.sizes.max_shift, newest = std::min(int(m.held.size()), 6);
        for (int number = 0; number < 3; number++)
            for (int shift = 1; shift <= most; shift++) {
                float held = 0;
                for (int n = 0; n < newest; n++)
                    held += box(of_held, m.held[n].age + shift, WIDTHS[number]);
                rows[number * most + shift - 1] =
                    box(of_onsets, m.scan.since_onset() + shift, WIDTHS[number]);
                rows[(number + 3) * most + shift - 1] = held;
            }
    }

  private:
    static void add(double* weights, int value, double weight) {
        if (0 <= value && value < LONGEST_DENSITY - 8) weights[value] += weight;
    }

    static void cumulate(const double* weights, float* below) {
        double sum = 0;
        below[0] = 0;
        for (int x = 0; x < LONGEST_DENSITY; x++) below[x + 1] = float(sum += weights[x]);
    }

    static float box(const float* below, int at, int width) {
        if (at + width >= LONGEST_DENSITY) return 0;
        return (below[at + width + 1] - below[std::max(at - width, 0)]) * float(1.0 / (2 * width + 1));
    }

    float of_onsets[LONGEST_DENSITY + 1], of_held[LONGEST_DENSITY + 1];
};

// The logarithms of the densities, for one moment after another. What does not change between moments
// is kept.
class Densities {
  public:
    // `noted`: whether a note has begun since the last moment; `moved`: whether time has passed.
    void write(const Moment& m, bool noted, bool moved, float* rows) {
        const Scan& scan = m.scan;
        const int most = scan.sizes.max_shift, last = scan.count() - 1;
        if (last < 0) {
            std::fill_n(rows, DENSITIES * most, 0.0f);
            return;
        }
        if (noted) take_onsets(scan, last);
        if (noted || moved) take_held(m, last);
        const int first = scan.since_onset() + 1;
        take_intervals(first, first + most);
        for (int width = 0; width < 3; width++) {
            copy(of_onsets[width], usualness(0), first, most, rows + width * most);
            float* sums = rows + (width + 3) * most;
            std::fill_n(sums, most, 0.0f);
            const int newest = std::min(int(m.held.size()), 6);
            for (int n = 0; n < newest; n++) {
                const int from = m.held[n].age + 1, inside = std::min(most, LONGEST_DENSITY - from);
                add_to(sums, of_held[width] + from, inside);
            }
            usualness_of(sums, most, sums);
        }
    }

  private:
    static void copy(const float* values, float beyond, int first, int size, float* to) {
        const int inside = std::clamp(LONGEST_DENSITY - first, 0, size);
        std::copy_n(values + std::min(first, LONGEST_DENSITY), inside, to);
        std::fill_n(to + inside, size - inside, beyond);
    }

    void take_onsets(const Scan& scan, int last) {
        intervals = Histogram();
        double weight = 1;
        for (int note = last; note > std::max(scan.first(), last - 32); note--, weight *= 0.93)
            intervals.add(scan.onsets[note] - scan.onsets[note - 1], weight);
        intervals.cumulate();
        known_stop = scan.since_onset() + 1;
    }

    void take_held(const Moment& m, int last) {
        const Scan& scan = m.scan;
        int first = LONGEST_DENSITY, stop = 0;  // the times that the held notes can reach
        for (const Held& note : m.held) {
            first = std::min(first, note.age + 1);
            stop = std::clamp(note.age + 1 + scan.sizes.max_shift, stop, LONGEST_DENSITY);
        }
        if (first >= stop) return;
        Histogram lasted;
        double weight = 1;
        for (int note = last; note >= std::max(scan.first(), last - 47); note--, weight *= 0.96)
            if (scan.durations[note] >= 0 && scan.onsets[note] + scan.durations[note] < scan.step)
                lasted.add(scan.durations[note], weight);
        lasted.cumulate();
        for (int number = 0; number < 3; number++)
            lasted.boxes(WIDTHS[number], first, stop, of_held[number] + first);
    }

    // Fills in the values from `first` on. Time never goes back, so only the end has to be extended.
    void take_intervals(int first, int stop) {
        stop = std::min(stop, LONGEST_DENSITY);
        first = std::max(first, known_stop);
        if (first >= stop) return;
        for (int number = 0; number < 3; number++) {
            float* usual = of_onsets[number] + first;
            intervals.boxes(WIDTHS[number], first, stop, usual);
            usualness_of(usual, stop - first, usual);
        }
        known_stop = stop;
    }

    Histogram intervals;
    float of_onsets[3][LONGEST_DENSITY];  // logarithms, up to known_stop
    float of_held[3][LONGEST_DENSITY];
    int known_stop = 0;
};

int width_of(const Sizes& sizes) {
    int width = 0;
    for (const Term& term : TERMS) width += term.layers * group_size(sizes, term.group);
    return width;
}

// Copies numbers that are read much later. Bypasses the caches where the processor can, so that the
// memory's old contents are not fetched first.
void copy_past_caches(const int16_t* from, std::size_t size, int16_t* to) {
#if defined(__SSE2__)
    constexpr std::size_t AT_ONCE = sizeof(__m128i) / sizeof *to;
    if (reinterpret_cast<std::uintptr_t>(to) % sizeof(__m128i) == 0)
        for (; size >= AT_ONCE; size -= AT_ONCE, from += AT_ONCE, to += AT_ONCE)
            _mm_stream_si128(reinterpret_cast<__m128i*>(to),
                             _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#endif
    std::copy_n(from, size, to);
}

// Makes these copies visible to other threads.
void settle_copies() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

// Writes row after row: the indices of all terms, followed by the bits of the densities, two numbers
// of 16 bits each. What a token does not change is kept from the row before.
class Rows {
  public:
    Rows(const Scan& scan, Row row)
        : scan(scan), width(width_of(scan.sizes)), usual(DENSITIES * scan.sizes.max_shift),
          present(width + 2 * usual.size()), row(row) {}

    // `noted`: a note has begun since the row before; `moved`: time has passed; `ended`: a note has
    // ended.
    void write(bool noted, bool moved, bool ended) {
        if (is_first || noted || moved || ended) {
            Moment moment(scan);
            Row to = present.data();
            for (const Term& term : TERMS) {
                if (is_first || noted || !term.at_notes) term.fill(moment, to);
                to += term.layers * group_size(scan.sizes, term.group);
            }
            densities.write(moment, is_first || noted, is_first || moved, usual.data());
            std::memcpy(to, usual.data(), usual.size() * sizeof(float));
        }
        copy_past_caches(present.data(), present.size(), row);
        row += present.size();
        is_first = false;
    }

  private:
    const Scan& scan;
    const int width;
    Densities densities;
    std::vector<float> usual;
    std::vector<int16_t> present;
    Row row;
    bool is_first = true;
};

// ---- terms and logits -------------------------------------------------------------------------

// The layout of the terms' layers, of a window's rows and of the logits.
struct Layers {
    const int32_t* layers;  // four numbers each: its column, its length, first token and first weight
    int32_t count, width, vocab, first_shift, shifts;
};

// Calls `use(token, weight, size)` for each run of consecutive tokens with consecutive weights. The
// runs cover all that the indices of a window's row select.
template <typename Use>
void each_run(const Layers& all, const int16_t* window, Use use) {
    const int32_t *layer = all.layers, *stop = layer + 4 * all.count;
    for (const Term& term : TERMS)
        for (int l = 0; l < term.layers && layer < stop; l++, layer += 4) {
            const int16_t* index = window + layer[0];
            int begin = 0, end = layer[1];
            if (term.counts) {
                while (begin < end && index[begin] < 0) begin++;
                while (begin < end && index[end - 1] < 0) end--;
                if (begin < end && index[end - 1] - index[begin] == end - begin - 1) {
                    use(layer[2] + begin, layer[3] + index[begin], end - begin);
                    continue;
                }
            }
            for (; begin < end; begin++) {
                uint64_t four;
                if (begin + 4 <= end && (std::memcpy(&four, index + begin, 8), four == ~uint64_t(0)))
                    begin += 3;
                else if (index[begin] >= 0)
                    use(layer[2] + begin, layer[3] + index[begin], 1);
            }
        }
}

// Calls `use(number, values)` for each density in a window's row.
template <typename Use>
void each_density(const Layers& all, const int16_t* window, Use use) {
    std::vector<float> usual(all.shifts);
    const int16_t* from = window + all.width - 2 * DENSITIES * all.shifts;
    for (int number = 0; number < DENSITIES; number++, from += 2 * all.shifts) {
        std::memcpy(usual.data(), from, all.shifts * sizeof(float));
        use(number, usual.data());
    }
}

void read_row(const void* from, int64_t first, int64_t size, bool is_short, float* to) {
    if (!is_short) {
        std::memcpy(to, static_cast<const float*>(from) + first, size * sizeof(float));
        return;
    }
    const uint16_t* numbers = static_cast<const uint16_t*>(from) + first;
    for (int64_t i = 0; i < size; i++) {
        const uint32_t bits = uint32_t(numbers[i]) << 16;
        std::memcpy(to + i, &bits, 4);
    }
}

// Rounds to the nearest number of 16 bits, ties to even.
void write_row(const float* from, int64_t first, int64_t size, bool is_short, void* to) {
    if (!is_short) {
        std::memcpy(static_cast<float*>(to) + first, from, size * sizeof(float));
        return;
    }
    uint16_t* numbers = static_cast<uint16_t*>(to) + first;
    for (int64_t i = 0; i < size; i++) {
        uint32_t bits;
        std::memcpy(&bits, from + i, 4);
        const bool is_none = (bits & 0x7fffffff) > 0x7f800000;  // NaN, which stays NaN
        numbers[i] = is_none ? 0x7fc0 : uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

}  // namespace

extern "C" {

const char* term_names() {
    static const std::string names = [] {
        std::string joined;
        for (const Term& term : TERMS) joined += std::string(term.name) + " ";
        return joined;
    }();
    return names.c_str();
}

void* scan_new(int max_shift, int velocity_bins, int memory) {
    return new Scan({max_shift, velocity_bins, memory});
}

void scan_free(void* scan) { delete static_cast<Scan*>(scan); }

// Feeds `count` tokens. After each, a row of `rows` (if not null) is written, and one of `matches`
// (if not null) as in scan_recall.
void scan_feed(void* handle, const uint16_t* tokens, int64_t count, int16_t* rows, int64_t* matches) {
    Scan& scan = *static_cast<Scan*>(handle);
    scan.for_windows = true;
    if (!rows) return scan.skip(tokens, count);
    const int off = PITCHES, shift = 2 * PITCHES, velocity = shift + scan.sizes.max_shift;
    Rows written(scan, rows);
    for (int64_t t = 0; t < count; t++) {
        const int token = tokens[t];
        scan.feed(token);
        written.write(token < off, shift <= token && token < velocity, off <= token && token < shift);
        if (matches) matches = scan.write_matches(matches);
    }
    settle_copies();
}

// Writes the row of the present moment: after the last token, or before the first.
void scan_now(void* handle, int16_t* row) {
    Rows(*static_cast<Scan*>(handle), row).write(true, true, true);
    settle_copies();
}

// ---- the step of an engine: a scan for each note, which never changes except for the time -------

// Returns a new scan: this one after a note-on or note-off at a step.
void* scan_after(void* handle, int step, int velocity_bin, int token) {
    Scan* scan = new Scan(*static_cast<Scan*>(handle));
    scan->trim();
    scan->step = step;
    scan->velocity_bin = velocity_bin;
    scan->feed(token);
    return scan;
}

// Adds the terms with these `weights` to `logits` at a step, in the same order as stepping.py. The
// caller adds the densities, which `usual` (6, shifts) receives before the logarithm. `layers` are as
// in Layers. Returns how many notes have begun.
int scan_add(void* handle, int step, int velocity_bin, const int32_t* layers, Fading* fading,
             const float* weights, float* logits, float* usual) {
    Scan& scan = *static_cast<Scan*>(handle);
    scan.step = step;
    scan.velocity_bin = velocity_bin;
    Moment moment(scan);
    std::vector<int16_t> own;
    for (char group : {'n', 'o', 's', 'v'}) {
        const int size = group_size(scan.sizes, group);
        std::vector<float> sums(size), aged(size);
        const int32_t* layer = layers;
        int32_t first_token = 0;
        for (const Term& term : TERMS) {
            if (term.group == group) {
                own.resize(term.layers * size);
                term.fill(moment, own.data());
                float* into = term.ages ? aged.data() : sums.data();
                for (int l = 0; l < term.layers; l++)
                    for (int i = 0; i < size; i++)
                        if (int index = own[l * size + i]; index >= 0)
                            into[i] += weights[layer[3] + index];
                first_token = layer[2];
            }
            layer += 4 * term.layers;
        }
        if (group == 'n')
            for (int i = 0; i < size; i++) logits[first_token + i] += sums[i];
        else
            for (int i = 0; i < size; i++) aged[i] = sums[i] + aged[i];
        for (int i = 0; i < size; i++) logits[first_token + i] += aged[i];
    }
    if (scan.count()) Usual(moment, *fading).write(moment, usual);
    return scan.count();
}

// Writes all that a scan remembers to `bytes`, if not null; returns how many bytes that takes.
int64_t scan_save(void* handle, char* bytes) {
    int64_t size = 0;
    static_cast<Scan*>(handle)->each_part([&](auto* values, int count) {
        if (bytes) std::memcpy(bytes + size, values, count * sizeof *values);
        size += int64_t(count * sizeof *values);
    });
    return size;
}

// Restores a new scan from what scan_save wrote.
void scan_load(void* handle, const char* bytes) {
    static_cast<Scan*>(handle)->each_part([&](auto* values, int count) {
        std::memcpy(values, bytes, count * sizeof *values);
        bytes += count * sizeof *values;
    });
}

// Feeds `count` tokens, of which only the note-ons, 0 to 127, matter. After each, row t of `matches`
// (if not null) is written: the pitch and the length of the match in each view.
void scan_recall(void* handle, const uint16_t* tokens, int64_t count, int64_t* matches) {
    Scan& scan = *static_cast<Scan*>(handle);
    scan.voting = false;
    scan.for_windows = true;
    if (!matches) return scan.skip(tokens, count);
    for (int64_t t = 0; t < count; t++) {
        if (tokens[t] < PITCHES) scan.note_on(tokens[t]);
        matches = scan.write_matches(matches);
    }
}

// Adds to `logits` (count, vocab) the `weights` (count, rows) that the indices in `window` select, and
// its densities times their weights. `window` is as scan_feed writes it. Weights are bfloat16 if
// is_short, else float.
void add_terms(const Layers* layers, int64_t count, int64_t rows, int is_short, const int16_t* window,
               const void* weights, float* logits) {
    std::vector<float> row(rows);
    for (int64_t n = 0; n < count; n++, window += layers->width, logits += layers->vocab) {
        read_row(weights, n * rows, rows, is_short, row.data());
        each_run(*layers, window, [&](int token, int weight, int size) {
            for (int i = 0; i < size; i++) logits[token + i] += row[weight + i];
        });
        each_density(*layers, window, [&](int number, const float* usual) {
            const float weight = row[rows - DENSITIES + number];
            for (int i = 0; i < layers->shifts; i++) logits[layers->first_shift + i] += weight * usual[i];
        });
    }
}

// Writes the gradient of `weights` (count, rows), given that of `logits` (count, vocab).
void term_gradients(const Layers* layers, int64_t count, int64_t rows, int is_short,
                    const int16_t* window, void* weights, const float* logits) {
    std::vector<float> row(rows);
    for (int64_t n = 0; n < count; n++, window += layers->width, logits += layers->vocab) {
        std::fill(row.begin(), row.end(), 0.0f);
        each_run(*layers, window, [&](int token, int weight, int size) {
            for (int i = 0; i < size; i++) row[weight + i] += logits[token + i];
        });
        each_density(*layers, window, [&](int number, const float* usual) {
            float sums[8] = {};  // side by side, so that the loop is vectorised
            int i = 0;
            for (; i + 8 <= layers->shifts; i += 8)
                for (int j = 0; j < 8; j++)
                    sums[j] += logits[layers->first_shift + i + j] * usual[i + j];
            for (; i < layers->shifts; i++) sums[0] += logits[layers->first_shift + i] * usual[i];
            for (float sum : sums) row[rows - DENSITIES + number] += sum;
        });
        write_row(row.data(), n * rows, rows, is_short, weights);
    }
}
}
