// Note-ons and note-offs to notes, pedals and controllers, as pairing.py does it.
//
// An event is packed into 64 bits: tick << 22 | (status - 128) << 15 | data 1 << 7 | data 2.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace {

constexpr int NOTE_OFF = 0x8, NOTE_ON = 0x9, CONTROL = 0xB, PROGRAM = 0xC, PRESSURE = 0xD, BEND = 0xE;
constexpr int SUSTAIN = 64, SHARED_SUSTAIN = SUSTAIN | 0x80, BANK_MSB = 0, BANK_LSB = 32;
constexpr int RESET_CONTROLLERS = 121, PITCH_BEND = 128, CHANNEL_PRESSURE = 129, CENTRE = 8192;
constexpr int KEYS = 16 * 128;
constexpr int32_t NONE = -1;
constexpr int64_t MOST_MOVES = 64;

struct Event {
    int64_t tick;
    int kind, channel, first, second;

    explicit Event(int64_t packed)
        : tick(packed >> 22),
          kind(static_cast<int>(packed >> 19 & 0x7) | 0x8),
          channel(static_cast<int>(packed >> 15 & 0xF)),
          first(static_cast<int>(packed >> 7 & 0xFF)),
          second(static_cast<int>(packed & 0x7F)) {}
};

bool is_mode(int number) { return number == 120 || (number >= 123 && number <= 127); }

bool is_pedal_reset(int number) { return number == RESET_CONTROLLERS || (is_mode(number) && number != 123); }

// The notes found so far: for each the index of its note-on and its columns in the output.
struct Found {
    int64_t *start, *end;
    uint8_t *pitch, *velocity;
    int32_t* part;
    int64_t* parts;
    int64_t most_parts, notes = 0, part_count = 0;

    // Returns false if there are too many parts.
    bool add(const Event& on, int64_t ended, int64_t sound) {
        int64_t index = 0;
        while (index < part_count && parts[index] != sound) ++index;
        if (index == part_count) {
            if (part_count == most_parts) return false;
            parts[part_count++] = sound;
        }
        start[notes] = on.tick, end[notes] = ended, part[notes] = static_cast<int32_t>(index);
        pitch[notes] = static_cast<uint8_t>(on.first);
        velocity[notes++] = static_cast<uint8_t>(on.second);
        return true;
    }
};

}  // namespace

// Writes the notes of a track in the order in which they end, then those that are never released;
// arrays have room for `count`. `parts` gets the key of each part (channel, bank, program).
// `found` gets the number of released notes, of all notes and of parts. Returns 0, or -1 if there
// are more than `most_parts`.
extern "C" int pair_notes(const int64_t* packed, int64_t count, int64_t last_tick, int64_t* start,
                          int64_t* end, uint8_t* pitch, uint8_t* velocity, int32_t* part,
                          int64_t* parts, int64_t most_parts, int64_t* found) {
    Found notes{start, end, pitch, velocity, part, parts, most_parts};
    // The sounding note-ons of a key form a linked list: the first, the last, and the next of each.
    std::vector<int32_t> first(KEYS, NONE), last(KEYS, NONE), next(count, NONE);
    std::vector<int32_t> ended;
    int64_t bank[16][2] = {}, program[16] = {};
    const auto sound = [&program](int channel) { return int64_t{channel} << 21 | program[channel]; };
    // Ends the notes of a key that began before the tick. If there are none, the others are dropped.
    const auto release = [&](int key, int64_t tick) {
        int32_t place = first[key];
        const size_t before = ended.size();
        while (place != NONE && packed[place] >> 22 < tick) {
            ended.push_back(place);
            place = next[place];
        }
        first[key] = ended.size() > before ? place : NONE;
    };
    for (int32_t place = 0; place < count; ++place) {
        const Event event(packed[place]);
        const int key = event.channel << 7 | (event.first & 0x7F);
        if (event.kind == NOTE_ON && event.second > 0) {
            (first[key] == NONE ? first[key] : next[last[key]]) = place;
            last[key] = place;
            continue;
        }
        ended.clear();
        if (event.kind <= NOTE_ON) {
            release(key, event.tick);
        } else if (event.kind == CONTROL && is_mode(event.first)) {
            for (int any = 0; any < 128; ++any) release(event.channel << 7 | any, event.tick);
            std::sort(ended.begin(), ended.end());
        } else if (event.kind == CONTROL && (event.first == BANK_MSB || event.first == BANK_LSB)) {
            bank[event.channel][event.first == BANK_LSB] = event.second;
        } else if (event.kind == PROGRAM) {
            const int64_t* selected = bank[event.channel];
            program[event.channel] = selected[0] << 14 | selected[1] << 7 | event.first;
        }
        for (const int32_t on : ended) {
            if (!notes.add(Event(packed[on]), event.tick, sound(event.channel))) return -1;
        }
    }
    found[0] = notes.notes;
    ended.clear();
    for (int32_t place : first) {
        for (; place != NONE; place = next[place]) {
            if (packed[place] >> 22 < last_tick) ended.push_back(place);
        }
    }
    std::sort(ended.begin(), ended.end());
    for (const int32_t on : ended) {
        const Event event(packed[on]);
        if (!notes.add(event, last_tick, sound(event.channel))) return -1;
    }
    found[1] = notes.notes, found[2] = notes.part_count;
    return 0;
}

// Writes the stable order of notes by time, then by pitch. Returns false if they are already
// sorted.
extern "C" int order_notes(const double* time, const uint8_t* pitch, int64_t count, int64_t* order) {
    const auto is_before = [time, pitch](int64_t one, int64_t other) {
        return time[one] != time[other] ? time[one] < time[other] : pitch[one] < pitch[other];
    };
    int64_t moves_left = MOST_MOVES * count;  // few are needed: short notes are nearly in order
    bool moved = false;
    for (int64_t note = 0; note < count && moves_left >= 0; ++note) {
        int64_t place = note;
        for (; place > 0 && is_before(note, order[place - 1]); --place) order[place] = order[place - 1];
        order[place] = note;
        moves_left -= note - place;
        moved |= place < note;
    }
    if (moves_left < 0) {
        std::iota(order, order + count, int64_t{0});
        std::stable_sort(order, order + count, is_before);
    }
    return moved;
}

// Writes the sustain pedal of a channel; arrays have room for `count`. Returns how many there are.
extern "C" int64_t pedals_of(const int64_t* packed, int64_t count, int channel, int64_t* tick,
                             int16_t* value, uint8_t* shared) {
    int64_t found = 0;
    bool was_down = false;
    for (int64_t place = 0; place < count; ++place) {
        const Event event(packed[place]);
        if (event.kind != CONTROL || event.channel != channel) continue;
        const bool resets = is_pedal_reset(event.first);
        if (!resets && event.first != SUSTAIN && event.first != SHARED_SUSTAIN) continue;
        // A reset counts only after a pedal that is down.
        if (!resets || was_down) {
            tick[found] = event.tick;
            value[found] = static_cast<int16_t>(resets ? 0 : event.second);
            shared[found++] = resets || event.first == SHARED_SUSTAIN;
        }
        was_down = !resets && event.second >= 64;
    }
    return found;
}

// Writes the other controllers of a channel, pitch bend and pressure; arrays have room for `count`.
// Returns how many there are, or -1 if CC 121 resets some.
extern "C" int64_t controls_of(const int64_t* packed, int64_t count, int channel, int64_t* tick,
                               uint8_t* number, int16_t* value) {
    int64_t found = 0;
    for (int64_t place = 0; place < count; ++place) {
        const Event event(packed[place]);
        if (event.channel != channel || event.kind < CONTROL || event.kind == PROGRAM) continue;
        int which = event.first, is = event.second;
        if (event.kind == BEND) {
            which = PITCH_BEND, is = (event.second << 7 | event.first) - CENTRE;
        } else if (event.kind == PRESSURE) {
            which = CHANNEL_PRESSURE, is = event.first;
        } else if (which == RESET_CONTROLLERS) {
            return -1;
        } else if (which >= 120 || which == SUSTAIN || which == BANK_MSB || which == BANK_LSB) {
            continue;
        }
        tick[found] = event.tick;
        number[found] = static_cast<uint8_t>(which);
        value[found++] = static_cast<int16_t>(is);
    }
    return found;
}
