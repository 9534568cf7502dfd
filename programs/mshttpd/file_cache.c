/* SPDX-License-Identifier: BSD-2-Clause */
#include "file_cache.h"

#include "http_date.h"
#include "http_target.h"
#include "media_type.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TABLE_SIZE    4096 /* a power of two */
#define ENTRIES_MAX   1024 /* also bounds the descriptors held */
#define MEMORY_MAX    (256 * 1024 * 1024)
#define CHECK_EVERY   1000000 /* µs */
#define READ_ATTEMPTS 3

struct file_cache {
    int root;
    bool has_openat2;
    unsigned entries;
    uint64_t memory;              /* bytes of data in entries */
    struct file *newest, *oldest; /* by last use */
    struct file *table[TABLE_SIZE];
};

/* ── Opening below the root ──────────────────────────────────────────────────────────────────── */

/* Neither waits for a pipe's other end, nor takes a terminal. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* Folder by folder, and no symbolic link on the way: paths have no ".." (http_target.h). */
static int open_stepwise(int root, const char *path)
{
    int folder = root, next;

    for (;;) {
        const char *slash = strchr(path, '/');
        char name[256];
        size_t size = slash ? (size_t)(slash - path) : strlen(path);

        if (size == 0 || size >= sizeof(name)) {
            errno = size ? ENAMETOOLONG : ENOENT;
            next = -1;
        } else {
            memcpy(name, path, size);
            name[size] = '\0';
            next = openat(folder, name, OPEN_FLAGS | O_NOFOLLOW | (slash ? O_DIRECTORY : 0));
        }
        if (folder != root) {
            int error = errno;

            close(folder);
            errno = error;
        }
        if (next < 0 || !slash)
            return next;
        folder = next;
        path = slash + 1;
    }
}

static int open_beneath(struct file_cache *cache, const char *path)
{
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd;

    if (cache->has_openat2) {
        fd = (int)syscall(SYS_openat2, cache->root, path, &how, sizeof(how));
        /* Old kernels do not have it, some sandboxes do not let it through. */
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
            return fd;
        cache->has_openat2 = false;
    }
    return open_stepwise(cache->root, path);
}

/* What a client may know of why a file cannot be had. */
static int public_error(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG: return -ENOENT;
    case EXDEV: /* a link that leads out of the root */
    case ELOOP:
    case EPERM:
    case ENXIO:
    case EACCES: return -EACCES;
    default: return -error;
    }
}

/* ── Entries ─────────────────────────────────────────────────────────────────────────────────── */

static uint32_t hash_of(const char *path, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a: the paths of the table are those of existing files */

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)path[i]) * 16777619u;
    return hash;
}

static void free_file(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free((void *)file->data);
    free(file);
}

void file_release(struct file *file)
{
    assert(file->references > 0);
    if (--file->references == 0)
        free_file(file);
}

static void unlink_use(struct file_cache *cache, struct file *file)
{
    *(file->newer ? &file->newer->older : &cache->newest) = file->older;
    *(file->older ? &file->older->newer : &cache->oldest) = file->newer;
    assert(cache->newest != file && cache->oldest != file);
}

static void link_use(struct file_cache *cache, struct file *file)
{
    file->newer = NULL;
    file->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = file;
    cache->newest = file;
}

/* The entry leaves the cache; whoever still uses it goes on doing so. */
static void drop(struct file_cache *cache, struct file *file)
{
    struct file **at = &cache->table[file->hash % TABLE_SIZE];

    while (*at != file)
        at = &(*at)->chain;
    *at = file->chain;
    unlink_use(cache, file);
    cache->entries--;
    cache->memory -= file->data ? file->size : 0;
    file->cache = NULL;
    file_release(file);
}

static void add(struct file_cache *cache, struct file *file)
{
    struct file **at = &cache->table[file->hash % TABLE_SIZE];

    file->chain = *at;
    *at = file;
    link_use(cache, file);
    cache->entries++;
    cache->memory += file->data ? file->size : 0;
    file->cache = cache;
    file_hold(file);
    while (cache->oldest != file && (cache->entries > ENTRIES_MAX || cache->memory > MEMORY_MAX))
        drop(cache, cache->oldest); /* NOLINT(clang-analyzer-unix.Malloc): `oldest` moves on */
}

static struct file *find(struct file_cache *cache, uint32_t hash, const char *path, size_t size,
                         bool is_gzip)
{
    struct file *file = cache->table[hash % TABLE_SIZE];

    while (file && (file->hash != hash || file->is_gzip != is_gzip || file->path_size != size ||
                    memcmp(file->path, path, size) != 0))
        file = file->chain;
    return file;
}

/* ── Reading a file ──────────────────────────────────────────────────────────────────────────── */

static bool same_file(const struct file *file, const struct stat *status)
{
    return file->device == status->st_dev && file->inode == status->st_ino &&
           file->size == (uint64_t)status->st_size &&
           file->mtime.tv_sec == status->st_mtim.tv_sec &&
           file->mtime.tv_nsec == status->st_mtim.tv_nsec &&
           file->ctime.tv_sec == status->st_ctim.tv_sec &&
           file->ctime.tv_nsec == status->st_ctim.tv_nsec;
}

static void describe(struct file *file, const struct stat *status)
{
    char modified[HTTP_DATE_SIZE];
    int size;

    file->device = status->st_dev;
    file->inode = status->st_ino;
    file->size = (uint64_t)status->st_size;
    file->mtime = status->st_mtim;
    file->ctime = status->st_ctim;
    file->modified = status->st_mtime;
    size = snprintf(file->etag, sizeof(file->etag), "\"%jx-%jx%s\"",
                    (uintmax_t)status->st_mtim.tv_sec * 1000000000 +
                        (uintmax_t)status->st_mtim.tv_nsec,
                    (uintmax_t)status->st_size, file->is_gzip ? "-gz" : "");
    assert(size > 0 && (size_t)size < sizeof(file->etag));
    file->etag_size = (uint8_t)size;
    http_date_format(file->modified, modified);
    size = snprintf(file->head, sizeof(file->head), "Last-Modified: %.*s\r\nETag: %s\r\n%s",
                    HTTP_DATE_SIZE, modified, file->etag,
                    file->is_gzip || file->has_gzip ? "Vary: Accept-Encoding\r\n" : "");
    assert(size > 0 && (size_t)size < sizeof(file->head));
    file->validators_size = (uint16_t)size;
    size += snprintf(file->head + size, sizeof(file->head) - (size_t)size, "%sContent-Type: %s\r\n",
                     file->is_gzip ? "Content-Encoding: gzip\r\n" : "", media_type(file->path));
    assert((size_t)size < sizeof(file->head));
    file->type_size = (uint16_t)size;
    size += snprintf(file->head + size, sizeof(file->head) - (size_t)size,
                     "Accept-Ranges: bytes\r\nContent-Length: %ju\r\n", (uintmax_t)file->size);
    assert((size_t)size < sizeof(file->head));
    file->head_size = (uint16_t)size;
}

/* All of a file, or a negative errno; -EAGAIN when it changes under the reading. */
static int read_whole(int fd, struct file *file)
{
    struct stat status;
    uint8_t *data = malloc(file->size ? file->size : 1);
    size_t at = 0;

    if (!data)
        return -ENOMEM;
    while (at < file->size) {
        ssize_t got = pread(fd, data + at, file->size - at, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            int error = got < 0 ? errno : EAGAIN;

            free(data);
            return -error;
        }
        at += (size_t)got;
    }
    if (fstat(fd, &status) != 0 || !same_file(file, &status)) {
        free(data);
        return -EAGAIN;
    }
    file->data = data;
    return 0;
}

#define GZIP_SUFFIX   ".gz"
#define GZIP_PATH_MAX (HTTP_PATH_MAX + 16)

static void gzip_path(const char *path, char to[GZIP_PATH_MAX])
{
    int size = snprintf(to, GZIP_PATH_MAX, "%s" GZIP_SUFFIX, path);

    assert(size > 0 && size < GZIP_PATH_MAX);
    (void)size;
}

/* Whether a compressed one lies beside `path`, which was modified at `modified`. It may turn out to be
 * one that cannot be opened. */
static bool gzip_is_there(const struct file_cache *cache, const char *path,
                          const struct timespec *modified)
{
    char compressed[GZIP_PATH_MAX];
    struct stat status;

    gzip_path(path, compressed);
    return fstatat(cache->root, compressed, &status, 0) == 0 && S_ISREG(status.st_mode) &&
           (status.st_mtim.tv_sec > modified->tv_sec ||
            (status.st_mtim.tv_sec == modified->tv_sec &&
             status.st_mtim.tv_nsec >= modified->tv_nsec));
}

static int read_file(const struct file_cache *cache, int fd, struct file *file)
{
    struct stat status;
    int error = -EAGAIN;

    for (int attempt = 0; attempt < READ_ATTEMPTS && error == -EAGAIN; attempt++) {
        if (fstat(fd, &status) != 0)
            return -errno;
        if (S_ISDIR(status.st_mode))
            return -EISDIR;
        if (!S_ISREG(status.st_mode))
            return -EACCES;
        file->has_gzip = !file->is_gzip && gzip_is_there(cache, file->path, &status.st_mtim);
        describe(file, &status);
        if (file->size > FILE_MEMORY_MAX) {
            file->fd = fd;
            return 0;
        }
        error = read_whole(fd, file);
    }
    /* Somebody writes to it all the time. */
    return error == -EAGAIN ? -EBUSY : error;
}

/* Not in the cache yet. `path` names a file, not a folder. */
static int load(struct file_cache *cache, const char *path, size_t size, bool is_gzip,
                struct file **loaded)
{
    char compressed[GZIP_PATH_MAX];
    struct file *file;
    int fd, error;

    if (is_gzip)
        gzip_path(path, compressed);
    fd = open_beneath(cache, is_gzip ? compressed : path);
    if (fd < 0)
        return public_error(errno);
    file = calloc(1, sizeof(*file) + size + 1);
    if (!file) {
        close(fd);
        return -ENOMEM;
    }
    file->fd = -1;
    file->references = 1;
    file->path_size = (uint16_t)size;
    memcpy(file->path, path, size + 1);
    file->is_gzip = is_gzip;
    error = read_file(cache, fd, file);
    if (file->fd < 0)
        close(fd);
    if (error) {
        free_file(file);
        return error;
    }
    *loaded = file;
    return 0;
}

/* ── Entry points ────────────────────────────────────────────────────────────────────────────── */

struct file_cache *file_cache_open(const char *root)
{
    struct file_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return NULL;
    cache->has_openat2 = true;
    cache->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (cache->root < 0 || faccessat(cache->root, ".", X_OK, AT_EACCESS) != 0) {
        int error = errno;

        file_cache_close(cache);
        errno = error;
        return NULL;
    }
    return cache;
}

void file_cache_close(struct file_cache *cache)
{
    while (cache->oldest)
        drop(cache, cache->oldest);
    if (cache->root >= 0)
        close(cache->root);
    free(cache);
}

/* Whether what lies there is still what the entry has. That the same file lies there is all that is
 * asked: whether it lies beneath the root was seen when it was opened. */
static bool is_current(const struct file_cache *cache, const struct file *file)
{
    char compressed[GZIP_PATH_MAX];
    struct stat status;

    if (file->is_gzip) {
        gzip_path(file->path, compressed);
        return fstatat(cache->root, compressed, &status, 0) == 0 && same_file(file, &status);
    }
    return fstatat(cache->root, file->path, &status, 0) == 0 && same_file(file, &status) &&
           gzip_is_there(cache, file->path, &file->mtime) == file->has_gzip;
}

static int get(struct file_cache *cache, const char *path, size_t size, bool is_gzip, uint64_t now,
               struct file **file)
{
    uint32_t hash = hash_of(path, size);
    struct file *found = find(cache, hash, path, size, is_gzip), *loaded = NULL;
    int error;

    if (found && now - found->checked >= CHECK_EVERY) {
        if (is_current(cache, found)) {
            found->checked = now;
        } else {
            drop(cache, found);
            found = NULL;
        }
    }
    if (found) {
        if (cache->newest != found) {
            unlink_use(cache, found);
            link_use(cache, found);
        }
        file_hold(found);
        *file = found;
        return 0;
    }
    error = load(cache, path, size, is_gzip, &loaded);
    if (error)
        return error;
    assert(loaded);
    loaded->hash = hash;
    loaded->checked = now;
    add(cache, loaded);
    *file = loaded;
    return 0;
}

int file_cache_get(struct file_cache *cache, const char *path, size_t size, bool gzip, uint64_t now,
                   struct file **file)
{
    static const char index[] = "index.html";
    char indexed[HTTP_PATH_MAX + sizeof(index)];
    struct file *compressed;
    int error;

    assert(size < HTTP_PATH_MAX);
    if (size == 0 || path[size - 1] == '/') {
        memcpy(indexed, path, size);
        memcpy(indexed + size, index, sizeof(index));
        path = indexed;
        size += sizeof(index) - 1;
    }
    error = get(cache, path, size, false, now, file);
    if (error)
        return error == -EISDIR && path == indexed ? -ENOENT : error;
    if (gzip && (*file)->has_gzip && get(cache, path, size, true, now, &compressed) == 0) {
        file_release(*file);
        *file = compressed;
    }
    return 0;
}
