/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a fuzz target without an engine: the examples, then so many mutations of them, always the same
 * ones; or the files that are named, to look at an input again.
 *
 *   usage: fuzz_NAME [-n RUNS] [-s SEED] [FILE…]
 *          fuzz_NAME -w DIRECTORY
 *
 * -w writes the examples to a directory, for an engine that begins with files (tools/fuzz).
 *
 * Mutations are the usual: flipped bits, interesting bytes, pieces deleted, doubled, moved, and spliced
 * from other examples. On a crash the input is left in crash-NAME-SEED-RUN, to be given as a FILE. */
#include "fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNS_DEFAULT 100000
#define INPUT_MAX    32768

static uint8_t input[INPUT_MAX];
static size_t input_size;
static char crash_path[256];
static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % limit);
}

/* By calls that a signal handler may make; also when a sanitizer ends the process by abort(). */
static void keep_crash(int number)
{
    int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd >= 0 && write(fd, input, input_size) >= 0)
        close(fd);
    signal(number, SIG_DFL);
    raise(number);
}

/* The target gets memory that ends where the input does, for the sanitizers. */
static void run_input(void)
{
    uint8_t *copy = malloc(input_size ? input_size : 1);

    if (!copy)
        abort();
    memcpy(copy, input, input_size);
    LLVMFuzzerTestOneInput(copy, input_size);
    free(copy);
}

static size_t example_count(void)
{
    size_t count = 0;

    while (fuzz_examples[count].data)
        count++;
    return count;
}

static void take_example(size_t index)
{
    const struct fuzz_example *example = &fuzz_examples[index];

    input_size = example->size < INPUT_MAX ? example->size : INPUT_MAX;
    memcpy(input, example->data, input_size);
}

/* Puts `size` bytes in at `at`, as far as there is room. */
static void insert(size_t at, const uint8_t *from, size_t size)
{
    uint8_t piece[256];

    if (size > sizeof(piece))
        size = sizeof(piece);
    if (size > INPUT_MAX - input_size)
        size = INPUT_MAX - input_size;
    memcpy(piece, from, size);
    memmove(input + at + size, input + at, input_size - at);
    memcpy(input + at, piece, size);
    input_size += size;
}

static void insert_other(size_t count)
{
    const struct fuzz_example *other = &fuzz_examples[random_below((uint32_t)count)];
    size_t from;

    if (!other->size)
        return;
    from = random_below((uint32_t)other->size);
    insert(random_below((uint32_t)input_size + 1), (const uint8_t *)other->data + from,
           random_below((uint32_t)(other->size - from)) + 1);
}

static void mutate_once(size_t count)
{
    static const uint8_t bytes[] = {0,    1,   0x7f, 0x80, 0xff, '\n', '\r', ' ',
                                    '\t', ':', ',',  ';',  '0',  '9',  '-',  '%'};
    size_t at = input_size ? random_below((uint32_t)input_size) : 0, size;

    if (input_size == 0) {
        insert_other(count);
        return;
    }
    size = random_below((uint32_t)(input_size - at)) + 1;
    switch (random_below(8)) {
    case 0: input[at] ^= (uint8_t)(1u << random_below(8)); break;
    case 1: input[at] = bytes[random_below(sizeof(bytes))]; break;
    case 2: input[at] = (uint8_t)random_below(256); break;
    case 3:
        memmove(input + at, input + at + size, input_size - at - size);
        input_size -= size;
        break;
    case 4: insert(random_below((uint32_t)input_size + 1), input + at, size); break;
    case 5: insert(at, &bytes[random_below(sizeof(bytes))], 1); break;
    case 6: input_size = at; break;
    default: insert_other(count); break;
    }
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");

    if (!file) {
        perror(path);
        return 1;
    }
    input_size = fread(input, 1, sizeof(input), file);
    fclose(file);
    run_input();
    return 0;
}

/* Returns the process's exit status. */
static int write_examples(const char *directory, const char *name, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char path[512];
        FILE *file;
        bool written;

        snprintf(path, sizeof(path), "%s/%s-%zu", directory, name, i);
        file = fopen(path, "wb");
        if (!file) {
            perror(path);
            return 1;
        }
        written =
            fwrite(fuzz_examples[i].data, 1, fuzz_examples[i].size, file) == fuzz_examples[i].size;
        if (fclose(file) != 0 || !written) {
            perror(path);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long runs = RUNS_DEFAULT, seed = 1;
    const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    size_t count = example_count();
    int option;

    while ((option = getopt(argc, argv, "n:s:w:")) != -1) {
        if (option == 'n')
            runs = strtoul(optarg, NULL, 10);
        else if (option == 's')
            seed = strtoul(optarg, NULL, 10);
        else if (option == 'w')
            return write_examples(optarg, name, count);
        else
            return 2;
    }
    signal(SIGABRT, keep_crash);
    signal(SIGSEGV, keep_crash);
    if (optind < argc) {
        int failed = 0;

        for (; optind < argc; optind++)
            failed |= run_file(argv[optind]);
        return failed;
    }
    for (size_t i = 0; i < count; i++) {
        take_example(i);
        run_input();
    }
    for (unsigned long run = 0; run < runs; run++) {
        /* Each run stands by itself, so that it can be repeated alone. */
        random_state = (seed << 32 | run) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        random_below(1);
        snprintf(crash_path, sizeof(crash_path), "crash-%s-%lu-%lu", name, seed, run);
        take_example(random_below((uint32_t)count));
        for (uint32_t i = random_below(8) + 1; i > 0; i--)
            mutate_once(count);
        run_input();
    }
    printf("%s: %lu inputs\n", name, runs);
    return 0;
}
