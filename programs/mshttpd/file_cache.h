/* SPDX-License-Identifier: BSD-2-Clause */
/* The files below the root, as they are served.
 *
 * A file up to FILE_MEMORY_MAX bytes is read into memory once and sent from there by reference. A
 * larger one is only held open, and read piece by piece as it is sent (transport_utcp.c), or handed
 * to sendfile(2). None is mapped: a file that is cut short while it is mapped kills its reader by
 * SIGBUS, and catching that would mean to send zeros under a length that was promised; with
 * pread(2) the same is an error like any other, and the connection can be ended so that the client
 * notices. The copy that this costs happens once for small files, and for large ones is small
 * against what a segment costs.
 *
 * An entry is counted: once for the cache, once for each response that still needs it. So a file
 * may change, and its entry be replaced, while the old bytes are on their way. Whether a file has
 * changed is looked at when it is asked for, at most once a second.
 *
 * Beside "page.css" may lie "page.css.gz", the same compressed: whoever takes gzip gets that, as
 * long as it is no older. It is an entry of its own.
 *
 * Nothing outside the root is ever opened: the kernel resolves paths beneath it (openat2), symbolic
 * links included; where there is no openat2 no symbolic link is followed at all. */
#ifndef FILE_CACHE_H
#define FILE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define FILE_MEMORY_MAX (1024 * 1024) /* bytes of a file that is kept in memory */

#define FILE_ETAG_MAX 40
#define FILE_HEAD_MAX 400

struct file_cache;

struct file {
    const uint8_t *data; /* all of it; NULL: too large, read it from fd */
    int fd;              /* or -1 */
    uint64_t size;
    time_t modified;
    uint8_t etag_size;
    char etag[FILE_ETAG_MAX]; /* with its quotes */
    /* The fields of a response that belong to the file, ready to be sent, each with its CRLF:
     * Last-Modified, ETag and Vary (validators_size bytes), then Content-Encoding and Content-Type
     * (up to type_size), then Accept-Ranges and Content-Length. */
    uint16_t validators_size;
    uint16_t type_size;
    uint16_t head_size;
    char head[FILE_HEAD_MAX];

    /* The cache's own. */
    struct file_cache *cache; /* NULL: no longer in it */
    unsigned references;
    struct file *chain;         /* in the hash table */
    struct file *newer, *older; /* by last use */
    uint64_t checked;           /* µs: when it was last seen to be unchanged */
    bool is_gzip;               /* the bytes are those of `path`.gz */
    bool has_gzip;              /* there is such a file beside this one, and it is no older */
    uint64_t device, inode;
    struct timespec mtime, ctime;
    uint32_t hash;
    uint16_t path_size;
    char path[]; /* as http_target_path() gives it */
};

/* Opens the root directory. Returns NULL and sets errno. */
struct file_cache *file_cache_open(const char *root);

/* All files must have been released, or be released later by file_release(), which is still
 * allowed. */
void file_cache_close(struct file_cache *cache);

/* Finds the file for a path; one that ends in a slash, or is empty, means the folder's index.html.
 * `path` must be terminated behind `size` bytes. `gzip`: where there is a compressed one, that is
 * wanted. `now` is in µs. Returns 0 and a reference in
 * *file, which is the caller's until file_release(), or -ENOENT, -EACCES (also for whatever is no
 * plain file, and links that lead out of the root), -EISDIR (it is a folder, and lacks the slash),
 * or another error of the file system. */
int file_cache_get(struct file_cache *cache, const char *path, size_t size, bool gzip, uint64_t now,
                   struct file **file);

static inline void file_hold(struct file *file)
{
    file->references++;
}

void file_release(struct file *file);

#endif
