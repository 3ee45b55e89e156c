// Products of bytes in the tiles of AMX: sixteen rows by sixteen outputs at a time, where processor and system have them.
//
// The sums are the integers that `dot` gives, so that an answer does not depend on which of the two made it.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AMX_INT8__) && defined(__AVX512F__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define HAS_TILES 1
#else
#define HAS_TILES 0
#endif

constexpr int TILE = 16;        // rows and columns of sums in a tile
constexpr int TILE_BYTES = 64;  // inputs that a product takes at a time

#if HAS_TILES
// Whether Linux lets this process use the tiles: it has to be asked once.
inline bool tiles_allowed() {
    constexpr int REQUEST = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    static const bool allowed = syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
    return allowed;
}

// A thread's tiles, all of the full size, as long as this lives.
struct Tiles {
    bool on;
    Tiles() : on(tiles_allowed()) {
        if (!on) return;
        struct alignas(64) {
            uint8_t palette = 1, start = 0, none[14] = {};
            uint16_t bytes[16] = {};
            uint8_t rows[16] = {};
        } shape;
        for (int tile = 0; tile < 8; tile++) shape.bytes[tile] = TILE_BYTES, shape.rows[tile] = TILE;
        _tile_loadconfig(&shape);
    }
    ~Tiles() {
        if (on) _tile_release();
    }
    Tiles(const Tiles&) = delete;
};

// sums[panel][row][output] of sixteen rows of bytes with three panels of sixteen outputs, over the first `inputs`, a
// multiple of TILE_BYTES. A row of weights holds four inputs of all outputs, as in Map; its length is given in bytes.
inline void tile_sums(const uint8_t* bytes, int stride, const int8_t* weights, int row, int inputs, int32_t (*sums)[TILE][TILE]) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    for (int k = 0; k < inputs; k += TILE_BYTES) {
        const int8_t* right = weights + (size_t)(k / 4) * row;
        _tile_loadd(3, bytes + k, stride);
        _tile_loadd(4, right, row);
        _tile_dpbusd(0, 3, 4);
        _tile_loadd(5, right + TILE_BYTES, row);
        _tile_dpbusd(1, 3, 5);
        _tile_loadd(6, right + 2 * TILE_BYTES, row);
        _tile_dpbusd(2, 3, 6);
    }
    _tile_stored(0, sums[0], TILE * 4);
    _tile_stored(1, sums[1], TILE * 4);
    _tile_stored(2, sums[2], TILE * 4);
}
#else
struct Tiles {
    static constexpr bool on = false;
};
#endif
