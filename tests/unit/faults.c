/* SPDX-License-Identifier: BSD-2-Clause */
/* faults.h */
#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static _Thread_local unsigned countdown; /* 0: nothing fails */
static _Thread_local bool armed;
static _Thread_local long live;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_memfd_create(const char *name, unsigned flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_memfd_create(const char *name, unsigned flags);

void faults_arm(unsigned n)
{
    countdown = n;
    armed = true;
}

bool faults_disarm(void)
{
    bool failed = armed && !countdown;

    countdown = 0;
    armed = false;
    return failed;
}

long faults_live(void)
{
    return live;
}

static bool fails(void)
{
    if (!countdown || --countdown)
        return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *memory, bool had)
{
    live += memory && !had;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size), false);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(count, size), false);
}

void *__wrap_realloc(void *old, size_t size)
{
    bool had = old;

    return fails() ? NULL : counted(__real_realloc(old, size), had);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    bool had = old;

    return fails() ? NULL : counted(__real_reallocarray(old, count, size), had);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, size), false);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : counted(__real_strdup(text), false);
}

void __wrap_free(void *memory)
{
    live -= memory != NULL;
    __real_free(memory);
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
    return fails() ? -1 : __real_memfd_create(name, flags);
}

unsigned faults_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return count;
}
