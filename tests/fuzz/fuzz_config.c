/* SPDX-License-Identifier: BSD-2-Clause */
/* What an administrator may write: the configuration file and the values of options. The first byte of an
 * input says which. What is refused is refused with a line of why; what is taken has to be in order. */
#include "fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"

#define A_FILE     "\0"
#define A_NIC      "\1"
#define A_LIST     "\2"
#define A_PROTOCOL "\3"
#define AN_OPTION  "\4"

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(A_FILE "nic = eth1,queues=2,xdp=native\nnic = packet:eth0\nworkers = 2\ncpus = 0-1\n"
                     "[protocols]\nsctp = @games root\n253/ports = *\n"),
    FUZZ_TEXT(A_FILE "# a comment\nring-size = 64K\nlocal = no\nports-max = 10\nuser = nobody\n"),
    FUZZ_TEXT(A_NIC "eth1,queues=2,mode=zerocopy,xdp=generic,share=yes"),
    FUZZ_TEXT(A_NIC
              "wire:/run/link,queues=2,loss=1,duplicate=1,reorder=5,delay=10,rate=100,seed=1"),
    FUZZ_TEXT(A_NIC "packet:lo"),
    FUZZ_TEXT(A_LIST "0-3,7,12-15"),
    FUZZ_TEXT(A_PROTOCOL "sctp\0root @games *"),
    FUZZ_TEXT(A_PROTOCOL "253/ports\0*"),
    FUZZ_TEXT(AN_OPTION "\0eth0"),
    FUZZ_TEXT(AN_OPTION "\11"
                        "128K"),
    FUZZ_TEXT(AN_OPTION "\4/run/multistack/control.sock"),
    {NULL, 0},
};

static char error[CONFIG_ERROR_SIZE];

/* Whoever refuses says why. */
static void check_status(int status)
{
    assert(status == 0 || status == -1);
    assert(!status || (*error && memchr(error, 0, sizeof(error))));
}

static void read_file(struct config *config, const char *text, size_t size)
{
    static int fd = -1;
    char path[32];

    if (fd < 0)
        fd = memfd_create("config", 0);
    assert(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, text, size, 0) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    check_status(config_read_file(config, path, error));
}

static void read_list(const char *text)
{
    uint64_t mask[4] = {0};
    uint32_t cpus[8];
    int status = config_parse_cpus(text, mask, sizeof(mask) * 8, error);

    check_status(status);
    if (!status) {
        assert(mask[0] | mask[1] | mask[2] | mask[3]);
        assert(config_list_cpus(text, cpus, 8) <= 8);
    }
}

static void read_text(struct config *config, uint8_t what, const char *text, size_t size)
{
    size_t length = strlen(text);

    switch (what) {
    case 1: {
        struct nic_spec spec;

        check_status(config_parse_nic(text, &spec, error));
        break;
    }
    case 2: read_list(text); break;
    case 3:
        if (length < size)
            check_status(config_set_protocol(config, text, text + length + 1, error));
        break;
    default:
        if (size)
            check_status(config_set(config, config_options[(uint8_t)*text % config_option_count].id,
                                    text + 1, error));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    char *text;

    if (size < 1)
        return 0;
    *error = '\0';
    config_init(&config);
    text = malloc(size); /* of its own, so that a sanitizer sees the end */
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (*data == 0)
        read_file(&config, text, size - 1);
    else
        read_text(&config, *data, text, size - 1);
    free(text);
    *error = '\0';
    check_status(config_check(&config, error));
    return 0;
}
