/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4 against the vectors of its authors' reference implementation: key 00 01 … 0f, inputs
 * of the bytes 00 01 … of each length from 0 to 63. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "siphash.h"

static const uint64_t vectors[64] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
    0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
    0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
    0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
    0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
    0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
    0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
    0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
    0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
    0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
    0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
    0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
};

static void the_reference_vectors_come_out(void **state)
{
    uint8_t key[16], input[64];

    (void)state;
    for (uint8_t i = 0; i < 64; i++)
        input[i] = i;
    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    for (unsigned length = 0; length < 64; length++)
        assert_int_equal(siphash(siphash_key(key), input, length), vectors[length]);
}

static void another_key_gives_another_hash(void **state)
{
    uint8_t key[16] = {0};
    uint64_t first = siphash(siphash_key(key), "abc", 3);

    (void)state;
    key[15] = 1;
    assert_true(siphash(siphash_key(key), "abc", 3) != first);
}

static void words_hash_as_their_bytes(void **state)
{
    uint8_t key[16] = {1, 2, 3};
    uint64_t words[5];
    uint8_t bytes[sizeof(words)];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t i = 0; i < 5; i++) {
        memcpy(&words[i], bytes + 8 * i, 8);
        words[i] = le64toh(words[i]);
    }
    for (unsigned count = 0; count <= 5; count++)
        assert_int_equal(siphash_words(siphash_key(key), words, count),
                         siphash(siphash_key(key), bytes, 8 * count));
}

/* siphash_fixed() is the same but for the block that tells the length. */
static void the_length_is_all_that_fixed_leaves_out(void **state)
{
    struct siphash_key key = {{1, 2}};
    uint64_t words[4] = {3, 4, 5};

    (void)state;
    for (unsigned count = 0; count <= 3; count++) {
        uint64_t before = words[count];

        words[count] = (uint64_t)(8 * count) << 56;
        assert_int_equal(siphash_fixed(key, words, count + 1), siphash_words(key, words, count));
        words[count] = before;
    }
}

/* No published vectors are for whole words with the length left out; so what a table needs of it. */
static void every_bit_of_input_and_key_moves_the_table_hash(void **state)
{
    struct siphash_key key = {{1, 2}};
    uint64_t words[2] = {3, 4}, first = siphash_table(key, words, 2);

    (void)state;
    for (unsigned bit = 0; bit < 128; bit++) {
        uint64_t flip = UINT64_C(1) << bit % 64;

        words[bit / 64] ^= flip;
        assert_int_not_equal(siphash_table(key, words, 2) & UINT32_MAX, first & UINT32_MAX);
        words[bit / 64] ^= flip;
        key.word[bit / 64] ^= flip;
        assert_int_not_equal(siphash_table(key, words, 2) & UINT32_MAX, first & UINT32_MAX);
        key.word[bit / 64] ^= flip;
    }
    assert_int_equal(siphash_table(key, words, 2), first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_vectors_come_out),
        cmocka_unit_test(words_hash_as_their_bytes),
        cmocka_unit_test(the_length_is_all_that_fixed_leaves_out),
        cmocka_unit_test(every_bit_of_input_and_key_moves_the_table_hash),
        cmocka_unit_test(another_key_gives_another_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
