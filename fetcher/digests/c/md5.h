/* MD5 (RFC 1321) as data: its start, its steps and its end.

   Four words a, b, c, d are the state; a block of sixteen words x[k] goes through 64 steps

       a = b + ((a + F(b, c, d) + x[k] + t) <<< s)

   in which the four words take turns. MD5_STEPS lists all of them; who uses it says what a step
   does, be a word one number, or a vector of numbers of as many messages (kernel.h).

   Each step waits for b, which the step before has made. So the function of a round is written in
   the way in which b goes through the fewest operations, and all else is ready before: G, which
   takes bits either of b or of c, may be a sum, of which one half does without b. */

#ifndef FETCHER_MD5_H
#define FETCHER_MD5_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "MD5's words are little-endian, and are read here as they lie in memory"
#endif

enum { BLOCK = 64, WORDS = BLOCK / 4, DIGEST = 16 };

static const uint32_t MD5_START[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

/* S(F, a, b, c, d, k, s, t), in the order of RFC 1321, section 3.4;
   t of the i-th step, from 1, is the integer part of 2^32 * |sin(i)|. */
#define MD5_STEPS(S)                        \
    S(MD5_F, a, b, c, d, 0, 7, 0xd76aa478)   \
    S(MD5_F, d, a, b, c, 1, 12, 0xe8c7b756)  \
    S(MD5_F, c, d, a, b, 2, 17, 0x242070db)  \
    S(MD5_F, b, c, d, a, 3, 22, 0xc1bdceee)  \
    S(MD5_F, a, b, c, d, 4, 7, 0xf57c0faf)   \
    S(MD5_F, d, a, b, c, 5, 12, 0x4787c62a)  \
    S(MD5_F, c, d, a, b, 6, 17, 0xa8304613)  \
    S(MD5_F, b, c, d, a, 7, 22, 0xfd469501)  \
    S(MD5_F, a, b, c, d, 8, 7, 0x698098d8)   \
    S(MD5_F, d, a, b, c, 9, 12, 0x8b44f7af)  \
    S(MD5_F, c, d, a, b, 10, 17, 0xffff5bb1) \
    S(MD5_F, b, c, d, a, 11, 22, 0x895cd7be) \
    S(MD5_F, a, b, c, d, 12, 7, 0x6b901122)  \
    S(MD5_F, d, a, b, c, 13, 12, 0xfd987193) \
    S(MD5_F, c, d, a, b, 14, 17, 0xa679438e) \
    S(MD5_F, b, c, d, a, 15, 22, 0x49b40821) \
    S(MD5_G, a, b, c, d, 1, 5, 0xf61e2562)   \
    S(MD5_G, d, a, b, c, 6, 9, 0xc040b340)   \
    S(MD5_G, c, d, a, b, 11, 14, 0x265e5a51) \
    S(MD5_G, b, c, d, a, 0, 20, 0xe9b6c7aa)  \
    S(MD5_G, a, b, c, d, 5, 5, 0xd62f105d)   \
    S(MD5_G, d, a, b, c, 10, 9, 0x02441453)  \
    S(MD5_G, c, d, a, b, 15, 14, 0xd8a1e681) \
    S(MD5_G, b, c, d, a, 4, 20, 0xe7d3fbc8)  \
    S(MD5_G, a, b, c, d, 9, 5, 0x21e1cde6)   \
    S(MD5_G, d, a, b, c, 14, 9, 0xc33707d6)  \
    S(MD5_G, c, d, a, b, 3, 14, 0xf4d50d87)  \
    S(MD5_G, b, c, d, a, 8, 20, 0x455a14ed)  \
    S(MD5_G, a, b, c, d, 13, 5, 0xa9e3e905)  \
    S(MD5_G, d, a, b, c, 2, 9, 0xfcefa3f8)   \
    S(MD5_G, c, d, a, b, 7, 14, 0x676f02d9)  \
    S(MD5_G, b, c, d, a, 12, 20, 0x8d2a4c8a) \
    S(MD5_H, a, b, c, d, 5, 4, 0xfffa3942)   \
    S(MD5_H, d, a, b, c, 8, 11, 0x8771f681)  \
    S(MD5_H, c, d, a, b, 11, 16, 0x6d9d6122) \
    S(MD5_H, b, c, d, a, 14, 23, 0xfde5380c) \
    S(MD5_H, a, b, c, d, 1, 4, 0xa4beea44)   \
    S(MD5_H, d, a, b, c, 4, 11, 0x4bdecfa9)  \
    S(MD5_H, c, d, a, b, 7, 16, 0xf6bb4b60)  \
    S(MD5_H, b, c, d, a, 10, 23, 0xbebfbc70) \
    S(MD5_H, a, b, c, d, 13, 4, 0x289b7ec6)  \
    S(MD5_H, d, a, b, c, 0, 11, 0xeaa127fa)  \
    S(MD5_H, c, d, a, b, 3, 16, 0xd4ef3085)  \
    S(MD5_H, b, c, d, a, 6, 23, 0x04881d05)  \
    S(MD5_H, a, b, c, d, 9, 4, 0xd9d4d039)   \
    S(MD5_H, d, a, b, c, 12, 11, 0xe6db99e5) \
    S(MD5_H, c, d, a, b, 15, 16, 0x1fa27cf8) \
    S(MD5_H, b, c, d, a, 2, 23, 0xc4ac5665)  \
    S(MD5_I, a, b, c, d, 0, 6, 0xf4292244)   \
    S(MD5_I, d, a, b, c, 7, 10, 0x432aff97)  \
    S(MD5_I, c, d, a, b, 14, 15, 0xab9423a7) \
    S(MD5_I, b, c, d, a, 5, 21, 0xfc93a039)  \
    S(MD5_I, a, b, c, d, 12, 6, 0x655b59c3)  \
    S(MD5_I, d, a, b, c, 3, 10, 0x8f0ccc92)  \
    S(MD5_I, c, d, a, b, 10, 15, 0xffeff47d) \
    S(MD5_I, b, c, d, a, 1, 21, 0x85845dd1)  \
    S(MD5_I, a, b, c, d, 8, 6, 0x6fa87e4f)   \
    S(MD5_I, d, a, b, c, 15, 10, 0xfe2ce6e0) \
    S(MD5_I, c, d, a, b, 6, 15, 0xa3014314)  \
    S(MD5_I, b, c, d, a, 13, 21, 0x4e0811a1) \
    S(MD5_I, a, b, c, d, 4, 6, 0xf7537e82)   \
    S(MD5_I, d, a, b, c, 11, 10, 0xbd3af235) \
    S(MD5_I, c, d, a, b, 2, 15, 0x2ad7d2bb)  \
    S(MD5_I, b, c, d, a, 9, 21, 0xeb86d391) 

#define MD5_F(b, c, d) (d ^ (b & (c ^ d)))
#define MD5_G(b, c, d) ((c & ~d) + (b & d))
#define MD5_H(b, c, d) (b ^ (c ^ d))
#define MD5_I(b, c, d) (c ^ (b | ~d))

#define MD5_ROTATED(word, by) (((word) << (by)) | ((word) >> (32 - (by))))

/* What follows a message's last whole block: its `count` (less than a block) remaining bytes, which
   stand in `tail` already, a one bit, zeros, and the number of bits modulo 2^64 (RFC 1321, sections
   3.1 and 3.2). Returns how many blocks that makes, 1 or 2. */
static size_t md5_pad(uint8_t tail[2 * BLOCK], uint64_t length)
{
    const size_t count = (size_t)(length % BLOCK);
    const uint64_t bits = length << 3;
    const size_t blocks = count + 1 + sizeof bits > BLOCK ? 2 : 1;
    tail[count] = 0x80;
    memset(tail + count + 1, 0, blocks * BLOCK - sizeof bits - count - 1);
    memcpy(tail + blocks * BLOCK - sizeof bits, &bits, sizeof bits);
    return blocks;
}

#endif
