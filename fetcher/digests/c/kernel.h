/* The compression of several messages at a time; included once for each shape of it.

   Messages do not depend on each other, so each gets a lane of the vectors: a, b, c, d are vectors
   of that word of each message's state, and a step of MD5_STEPS is done to all lanes at once. Before
   that, a block of each message has to be turned from rows into columns: x[k] is the k-th word of
   all of them. This is done for four lanes and four words at a time, in every quarter (128 bits) of
   the vectors alike: row r of words 4q to 4q + 3 has lane r in its first quarter, lane r + 4 in its
   second, and so on; after interleaving by words and then by pairs of words, lanes are in order.

   A step waits for the one before, longer than the processor needs to do it. So GROUPS vectors go
   through the steps side by side, and two take hardly longer than one.

   Parameters, undefined again at the end:

       NAME     of the function, void NAME(state, at, blocks): lane l has its state in state[.][l]
                and its data at at[l]; each advances by `blocks` blocks
       WIDTH    lanes of a vector: 1 (a plain word), 4, 8 or 16
       GROUPS   vectors side by side
       TARGET   what lets the compiler use such vectors, or nothing */

#define VECTOR JOINED(words, WIDTH)
#define ROW JOINED(row, WIDTH)

#if WIDTH == 4
#define IN_QUARTERS(pick) pick(0)
#elif WIDTH == 8
#define IN_QUARTERS(pick) pick(0), pick(4)
#elif WIDTH == 16
#define IN_QUARTERS(pick) pick(0), pick(4), pick(8), pick(12)
#endif
/* Of a quarter that begins at element e, and its like in the second vector. */
#define LOW_WORDS(e) (e), WIDTH + (e), (e) + 1, WIDTH + (e) + 1
#define HIGH_WORDS(e) (e) + 2, WIDTH + (e) + 2, (e) + 3, WIDTH + (e) + 3
#define LOW_PAIRS(e) (e), (e) + 1, WIDTH + (e), WIDTH + (e) + 1
#define HIGH_PAIRS(e) (e) + 2, (e) + 3, WIDTH + (e) + 2, WIDTH + (e) + 3

TARGET static void NAME(uint32_t state[4][MOST_LANES], const uint8_t *const at[], size_t blocks)
{
    VECTOR a[GROUPS], b[GROUPS], c[GROUPS], d[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
        memcpy(&a[g], &state[0][g * WIDTH], sizeof a[g]);
        memcpy(&b[g], &state[1][g * WIDTH], sizeof b[g]);
        memcpy(&c[g], &state[2][g * WIDTH], sizeof c[g]);
        memcpy(&d[g], &state[3][g * WIDTH], sizeof d[g]);
    }
    for (size_t offset = 0; offset < blocks * BLOCK; offset += BLOCK) {
        VECTOR x[GROUPS][WORDS];
        for (int g = 0; g < GROUPS; g++) {
            const uint8_t *const *const lane = at + g * WIDTH;
#if WIDTH == 1
            for (int k = 0; k < WORDS; k++)
                memcpy(&x[g][k], lane[0] + offset + 4 * k, sizeof x[g][k]);
#else
            for (int k = 0; k < WORDS; k += 4) {
                const size_t from = offset + 4 * (size_t)k;
                const VECTOR r0 = ROW(lane + 0, from), r1 = ROW(lane + 1, from);
                const VECTOR r2 = ROW(lane + 2, from), r3 = ROW(lane + 3, from);
                const VECTOR low01 = PICKED(VECTOR, r0, r1, IN_QUARTERS(LOW_WORDS));
                const VECTOR low23 = PICKED(VECTOR, r2, r3, IN_QUARTERS(LOW_WORDS));
                const VECTOR high01 = PICKED(VECTOR, r0, r1, IN_QUARTERS(HIGH_WORDS));
                const VECTOR high23 = PICKED(VECTOR, r2, r3, IN_QUARTERS(HIGH_WORDS));
                x[g][k + 0] = PICKED(VECTOR, low01, low23, IN_QUARTERS(LOW_PAIRS));
                x[g][k + 1] = PICKED(VECTOR, low01, low23, IN_QUARTERS(HIGH_PAIRS));
                x[g][k + 2] = PICKED(VECTOR, high01, high23, IN_QUARTERS(LOW_PAIRS));
                x[g][k + 3] = PICKED(VECTOR, high01, high23, IN_QUARTERS(HIGH_PAIRS));
            }
#endif
        }
        VECTOR a0[GROUPS], b0[GROUPS], c0[GROUPS], d0[GROUPS];
        for (int g = 0; g < GROUPS; g++)
            a0[g] = a[g], b0[g] = b[g], c0[g] = c[g], d0[g] = d[g];
#define STEP(F, a, b, c, d, k, s, t)                \
    for (int g = 0; g < GROUPS; g++) {              \
        a[g] += x[g][k] + t;                        \
        a[g] += F(b[g], c[g], d[g]);                \
        a[g] = MD5_ROTATED(a[g], s) + b[g];         \
    }
        MD5_STEPS(STEP)
#undef STEP
        for (int g = 0; g < GROUPS; g++)
            a[g] += a0[g], b[g] += b0[g], c[g] += c0[g], d[g] += d0[g];
    }
    for (int g = 0; g < GROUPS; g++) {
        memcpy(&state[0][g * WIDTH], &a[g], sizeof a[g]);
        memcpy(&state[1][g * WIDTH], &b[g], sizeof b[g]);
        memcpy(&state[2][g * WIDTH], &c[g], sizeof c[g]);
        memcpy(&state[3][g * WIDTH], &d[g], sizeof d[g]);
    }
}

#undef VECTOR
#undef ROW
#undef IN_QUARTERS
#undef LOW_WORDS
#undef HIGH_WORDS
#undef LOW_PAIRS
#undef HIGH_PAIRS
#undef NAME
#undef WIDTH
#undef GROUPS
#undef TARGET
