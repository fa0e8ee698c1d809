// The loop over the bytes of a MIDI track, as `_parse_track` in parse.py does it.
//
// Only tracks without damage are read here; at the first unexpected byte the scan gives up, and
// the Python loop reports what is wrong.

#include <cstdint>

namespace {

constexpr int64_t MAX_DELTA = 0x0FFFFFFF;
constexpr int64_t MAX_TICKS = (int64_t{1} << 41) - 1;

// Reads a variable-length quantity; returns false if it is cut off or too long.
bool quantity(const uint8_t* body, int64_t size, int64_t& position, int64_t& value) {
    value = 0;
    for (;;) {
        if (position >= size) return false;
        const uint8_t byte = body[position++];
        value = (value << 7) | (byte & 0x7F);
        if (value > MAX_DELTA) return false;
        if (!(byte & 0x80)) return true;
    }
}

}  // namespace

// Packs the channel messages into `events` (room for size / 2 + 1), and writes the tick, the kind,
// the position and the length of tempos, signatures and names to `metas` (room for `most` rows).
// `found` gets the number of both and the last tick. Returns 0, or -1 for an unexpected byte.
extern "C" int scan_track(const uint8_t* body, int64_t size, int64_t* events, int64_t* metas,
                          int64_t most, int64_t* found) {
    int64_t position = 0, tick = 0, count = 0, rows = 0;
    uint8_t running = 0;
    while (position < size) {
        int64_t delta, length;
        if (!quantity(body, size, position, delta)) return -1;
        tick += delta;
        if (tick > MAX_TICKS || position >= size) return -1;
        uint8_t status = body[position];
        if (status >= 0xF0) {
            if (status == 0xFF) {
                if (position + 1 >= size) return -1;
                const uint8_t kind = body[position + 1];
                position += 2;
                if (!quantity(body, size, position, length)) return -1;
                if (kind == 0x2F) break;
                if (position + length > size) return -1;
                if (kind == 0x51 || kind == 0x58 || kind == 0x59 || kind == 0x03) {
                    if (rows >= most) return -1;
                    int64_t* row = metas + 4 * rows++;
                    row[0] = tick, row[1] = kind, row[2] = position, row[3] = length;
                }
            } else if (status == 0xF0 || status == 0xF7) {
                ++position;
                if (!quantity(body, size, position, length)) return -1;
                if (position + length > size) return -1;
                running = 0;
            } else {
                return -1;
            }
            position += length;
            continue;
        }
        if (status >= 0x80) {
            running = status;
            ++position;
        } else if (running) {
            status = running;
        } else {
            return -1;
        }
        const uint8_t kind = status & 0xF0;
        const int bytes = kind == 0xC0 || kind == 0xD0 ? 1 : 2;
        if (position + bytes > size) return -1;
        const uint8_t first = body[position], second = bytes == 2 ? body[position + 1] : 0;
        if ((first | second) & 0x80) return -1;
        position += bytes;
        if (kind != 0xA0) {
            events[count++] = tick << 22 | int64_t{status & 0x7F} << 15 | int64_t{first} << 7 | second;
        }
    }
    found[0] = count, found[1] = rows, found[2] = tick;
    return 0;
}
