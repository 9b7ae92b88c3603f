/* Messages of all lengths onto the lanes of a kernel, so that few lanes are ever idle.

   A job is what is to be done for one message: blocks in up to three places, one after the other.
   The longest jobs begin first, and a lane whose job has ended gets the next one at once, so only
   the last ones run with lanes to spare; they move together, to where a narrower kernel reaches. A
   kernel goes on for as many blocks as all lanes have. Lanes without a job do again what the first
   one does, and nobody looks at it. */

#ifndef FETCHER_SCHEDULE_H
#define FETCHER_SCHEDULE_H

#include <stdlib.h>

#include "kernels.h"

typedef struct {
    const uint8_t *data;
    size_t blocks;
} Part;

enum { PARTS = 3 };

typedef struct {
    uint32_t *state; /* four words: where the chain begins, and in the end its end */
    Part parts[PARTS];
} Job;

typedef struct {
    Job *job;
    size_t part, left; /* blocks of the part */
} Lane;

static size_t blocks_of(const Job *job)
{
    return job->parts[0].blocks + job->parts[1].blocks + job->parts[2].blocks;
}

static int longest_first(const void *one, const void *other)
{
    const size_t a = blocks_of(one), b = blocks_of(other);
    return (a < b) - (a > b);
}

/* Has the lane go to the next part that has blocks; false if its job has none. */
static int goes_on(Lane *lane, const uint8_t **at)
{
    while (lane->left == 0) {
        if (++lane->part == PARTS)
            return 0;
        *at = lane->job->parts[lane->part].data;
        lane->left = lane->job->parts[lane->part].blocks;
    }
    return 1;
}

static void do_jobs(const Kernels *kernels, Job *jobs, size_t count)
{
    uint32_t state[4][MOST_LANES] = {{0}};
    const uint8_t *at[MOST_LANES] = {0};
    Lane lanes[MOST_LANES];
    const size_t most = 2 * kernels->width;
    size_t busy = 0, next = 0;
    if (count > most)
        qsort(jobs, count, sizeof *jobs, longest_first);
    for (;;) {
        while (busy < most && next < count) {
            Job *const job = &jobs[next++];
            Lane *const lane = &lanes[busy];
            *lane = (Lane){job, 0, job->parts[0].blocks};
            at[busy] = job->parts[0].data;
            if (!goes_on(lane, &at[busy]))
                continue;
            for (int word = 0; word < 4; word++)
                state[word][busy] = job->state[word];
            busy++;
        }
        if (busy == 0)
            return;

        size_t blocks = lanes[0].left, takes;
        for (size_t n = 1; n < busy; n++)
            if (lanes[n].left < blocks)
                blocks = lanes[n].left;
        Kernel *const kernel = kernel_for(kernels, busy, &takes);
        for (size_t n = busy; n < takes; n++)
            at[n] = at[0];
        kernel(state, at, blocks);

        for (size_t n = busy; n-- > 0;) {
            at[n] += blocks * BLOCK;
            lanes[n].left -= blocks;
            if (goes_on(&lanes[n], &at[n]))
                continue;
            for (int word = 0; word < 4; word++)
                lanes[n].job->state[word] = state[word][n];
            if (n != --busy) {
                lanes[n] = lanes[busy];
                at[n] = at[busy];
                for (int word = 0; word < 4; word++)
                    state[word][n] = state[word][busy];
            }
        }
    }
}

#endif
