/* SPDX-License-Identifier: BSD-2-Clause */
/* From a target to a file: paths, dates, and a cache that notices changes and stays below its root. */
#include "file_cache.h"
#include "http_date.h"
#include "http_target.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ── Targets ──────────────────────────────────────────────────────────────────────────────────── */

static void takes_paths_to_one_form(void **state)
{
    static const struct {
        const char *target, *path;
    } cases[] = {
        {"/", ""},
        {"/a", "a"},
        {"/a/", "a/"},
        {"//a///b", "a/b"},
        {"/./a/./b/.", "a/b/"},
        {"/a?b=/../c", "a"},
        {"/?x", ""},
        {"/a%20b", "a b"},
        {"/%2e/a", "a"},
        {"/..a/b..", "..a/b.."},
        {"/...", "..."},
        {"http://example.org/a", "a"},
        {"HTTP://example.org", ""},
        {"http://example.org?q", ""},
        {"/a:b@c", "a:b@c"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char path[HTTP_PATH_MAX];
        size_t size;
        int status = http_target_path(cases[i].target, strlen(cases[i].target), path, &size);

        assert_int_equal(status, 0);
        assert_string_equal(path, cases[i].path);
        assert_int_equal(size, strlen(path));
    }
}

static void refuses_paths_that_lead_away(void **state)
{
    static const struct {
        const char *target;
        int status;
    } cases[] = {
        {"/..", 400},     {"/../a", 400},   {"/a/../b", 400},  {"/%2e%2e/a", 400},
        {"/.%2E/a", 400}, {"/a/%2e.", 400}, {"/a%00b", 400},   {"/a%2fb", 404},
        {"/..%2fa", 404}, {"/a%", 400},     {"/a%4", 400},     {"/a%zz", 400},
        {"a", 400},       {"*", 400},       {"a.org:80", 400}, {"https://a.org/", 400},
        {"http:/a", 400}, {"", 400},
    };
    char path[HTTP_PATH_MAX], target[HTTP_PATH_MAX + 10];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(http_target_path(cases[i].target, strlen(cases[i].target), path, &size),
                         cases[i].status);
    memset(target, 'a', sizeof(target));
    target[0] = '/';
    assert_int_equal(http_target_path(target, sizeof(target), path, &size), 414);
}

static void encodes_paths(void **state)
{
    static const char path[] = "a b/\xc3\r\n%", encoded[] = "/a%20b/%C3%0D%0A%25";
    char to[64];

    (void)state;
    assert_int_equal(http_path_encode(path, sizeof(path) - 1, to, sizeof(to)), sizeof(encoded) - 1);
    assert_memory_equal(to, encoded, sizeof(encoded) - 1);
    assert_int_equal(http_path_encode("aaaaaaaaaaaaaaaa", 16, to, 10), 0);
}

/* ── Dates ────────────────────────────────────────────────────────────────────────────────────── */

static void reads_and_writes_dates(void **state)
{
    static const char *const same[] = {
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    };
    static const char *const wrong[] = {
        "",
        "Sun",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "784111777",
    };
    char text[HTTP_DATE_SIZE];
    time_t when;

    (void)state;
    http_date_format(784111777, text);
    assert_memory_equal(text, same[0], HTTP_DATE_SIZE);
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        when = 0;
        assert_true(http_date_parse(same[i], strlen(same[i]), &when));
        assert_int_equal(when, 784111777);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_false(http_date_parse(wrong[i], strlen(wrong[i]), &when));
    http_date_format(-1, text);
    assert_memory_equal(text, "Wed, 31 Dec 1969 23:59:59 GMT", HTTP_DATE_SIZE);
    http_date_format((time_t)1 << 60, text); /* beyond what can be written */
}

/* ── The cache ────────────────────────────────────────────────────────────────────────────────── */

struct folder {
    char path[64];
    struct file_cache *cache;
    uint64_t now;
};

static void write_file(struct folder *folder, const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    char path[128];

    strcpy(folder->path, "/tmp/ms-test-http-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    write_file(folder, "outside", "secret");
    strcat(folder->path, "/root");
    assert_int_equal(mkdir(folder->path, 0755), 0);
    snprintf(path, sizeof(path), "%s/sub", folder->path);
    assert_int_equal(mkdir(path, 0755), 0);
    write_file(folder, "a.html", "one");
    write_file(folder, "sub/index.html", "index");
    folder->cache = file_cache_open(folder->path);
    assert_non_null(folder->cache);
    folder->now = 5000000;
    *state = folder;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *folder = *state;
    char command[128];

    file_cache_close(folder->cache);
    *strrchr(folder->path, '/') = '\0';
    snprintf(command, sizeof(command), "rm -r '%s'", folder->path);
    if (system(command) != 0)
        return -1;
    free(folder);
    return 0;
}

static int get(struct folder *folder, const char *path, struct file **file)
{
    return file_cache_get(folder->cache, path, strlen(path), false, folder->now, file);
}

/* The text of a small file. */
static void assert_serves(struct folder *folder, const char *path, const char *text)
{
    struct file *file;

    assert_int_equal(get(folder, path, &file), 0);
    assert_int_equal(file->size, strlen(text));
    assert_memory_equal(file->data, text, file->size);
    file_release(file);
}

static void link_to(struct folder *folder, const char *name, const char *target)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    assert_int_equal(symlink(target, path), 0);
}

static void serves_files_and_indexes(void **state)
{
    struct folder *folder = *state;
    struct file *file;

    assert_serves(folder, "a.html", "one");
    assert_serves(folder, "sub/", "index");
    assert_int_equal(get(folder, "", &file), -ENOENT);
    assert_int_equal(get(folder, "sub", &file), -EISDIR);
    assert_int_equal(get(folder, "none", &file), -ENOENT);
    assert_int_equal(get(folder, "a.html/", &file), -ENOENT);
    assert_int_equal(get(folder, "a.html/b", &file), -ENOENT);
}

static void keeps_one_copy(void **state)
{
    struct folder *folder = *state;
    struct file *first, *second;

    assert_int_equal(get(folder, "a.html", &first), 0);
    assert_int_equal(get(folder, "a.html", &second), 0);
    assert_ptr_equal(first, second);
    file_release(first);
    file_release(second);
}

static void notices_changes_after_a_second(void **state)
{
    struct folder *folder = *state;
    struct file *old;

    assert_int_equal(get(folder, "a.html", &old), 0);
    write_file(folder, "a.html", "another");
    assert_serves(folder, "a.html", "one");
    folder->now += 1000000;
    assert_serves(folder, "a.html", "another");
    /* who still sends the old one does so undisturbed */
    assert_memory_equal(old->data, "one", 3);
    file_release(old);
}

static void notices_that_a_file_is_gone(void **state)
{
    struct folder *folder = *state;
    char path[128];
    struct file *file;

    assert_serves(folder, "a.html", "one");
    snprintf(path, sizeof(path), "%s/a.html", folder->path);
    unlink(path);
    folder->now += 1000000;
    assert_int_equal(get(folder, "a.html", &file), -ENOENT);
}

static void holds_large_files_open(void **state)
{
    struct folder *folder = *state;
    char path[128];
    struct file *file;

    write_file(folder, "large", "");
    snprintf(path, sizeof(path), "%s/large", folder->path);
    assert_int_equal(truncate(path, FILE_MEMORY_MAX + 1), 0);
    assert_int_equal(get(folder, "large", &file), 0);
    assert_null(file->data);
    assert_true(file->fd >= 0);
    file_release(file);
    assert_int_equal(truncate(path, FILE_MEMORY_MAX), 0);
    folder->now += 1000000;
    assert_int_equal(get(folder, "large", &file), 0);
    assert_non_null(file->data);
    file_release(file);
}

static void follows_links_within_the_root_only(void **state)
{
    struct folder *folder = *state;
    char absolute[128];
    struct file *file;

    link_to(folder, "inside", "sub/index.html");
    link_to(folder, "escape", "../outside");
    snprintf(absolute, sizeof(absolute), "%s/a.html", folder->path);
    link_to(folder, "absolute", absolute);
    link_to(folder, "loop", "loop");
    link_to(folder, "up", "..");
    assert_serves(folder, "inside", "index");
    assert_int_equal(get(folder, "escape", &file), -EACCES);
    assert_int_equal(get(folder, "absolute", &file), -EACCES);
    assert_int_equal(get(folder, "loop", &file), -EACCES);
    assert_int_equal(get(folder, "up/outside", &file), -EACCES);
}

static void serves_plain_files_only(void **state)
{
    struct folder *folder = *state;
    char path[128];
    struct file *file;

    snprintf(path, sizeof(path), "%s/pipe", folder->path);
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_int_equal(get(folder, "pipe", &file), -EACCES);
}

static void lets_go_of_files_that_nobody_asks_for(void **state)
{
    struct folder *folder = *state;
    struct file *held, *file;

    assert_int_equal(get(folder, "a.html", &held), 0);
    for (unsigned i = 0; i < 2000; i++) {
        char name[32];

        snprintf(name, sizeof(name), "f%u", i);
        write_file(folder, name, "x");
        assert_serves(folder, name, "x");
    }
    assert_memory_equal(held->data, "one", 3);
    assert_int_equal(get(folder, "a.html", &file), 0);
    assert_ptr_not_equal(file, held);
    file_release(file);
    file_release(held);
}

static void describes_a_file(void **state)
{
    struct folder *folder = *state;
    struct file *file;

    assert_int_equal(get(folder, "a.html", &file), 0);
    assert_non_null(memmem(file->head, file->head_size, "Content-Length: 3\r\n", 19));
    assert_non_null(memmem(file->head, file->head_size, "Content-Type: text/html", 23));
    assert_non_null(memmem(file->head, file->validators_size, "Last-Modified: ", 15));
    assert_non_null(memmem(file->head, file->validators_size, file->etag, file->etag_size));
    file_release(file);
}

static int get_gzip(struct folder *folder, const char *path, struct file **file)
{
    return file_cache_get(folder->cache, path, strlen(path), true, folder->now, file);
}

static bool head_has(const struct file *file, const char *field)
{
    return memmem(file->head, file->head_size, field, strlen(field)) != NULL;
}

static void a_compressed_file_goes_to_who_takes_it(void **state)
{
    struct folder *folder = *state;
    struct file *plain, *compressed;

    assert_int_equal(get_gzip(folder, "a.html", &plain), 0);
    assert_false(head_has(plain, "Vary"));
    file_release(plain);
    write_file(folder, "a.html.gz", "gz");
    folder->now += 1000000; /* now it is noticed */
    assert_int_equal(get(folder, "a.html", &plain), 0);
    assert_int_equal(get_gzip(folder, "a.html", &compressed), 0);
    assert_memory_equal(plain->data, "one", 3);
    assert_true(head_has(plain, "Vary: Accept-Encoding\r\n"));
    assert_false(head_has(plain, "Content-Encoding"));
    assert_memory_equal(compressed->data, "gz", 2);
    assert_true(head_has(compressed, "Content-Encoding: gzip\r\n"));
    assert_true(head_has(compressed, "Content-Type: text/html"));
    assert_true(head_has(compressed, "Content-Length: 2\r\n"));
    assert_true(memmem(compressed->head, compressed->validators_size, "Vary", 4) != NULL);
    assert_string_not_equal(plain->etag, compressed->etag);
    file_release(plain);
    file_release(compressed);
}

static void a_compressed_file_that_is_older_or_gone_is_not_used(void **state)
{
    struct folder *folder = *state;
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char path[128];
    struct file *file;

    write_file(folder, "a.html.gz", "gz");
    snprintf(path, sizeof(path), "%s/a.html.gz", folder->path);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(get_gzip(folder, "a.html", &file), 0);
    assert_memory_equal(file->data, "one", 3);
    file_release(file);
    write_file(folder, "a.html.gz", "gz");
    folder->now += 1000000;
    assert_int_equal(get_gzip(folder, "a.html", &file), 0);
    assert_memory_equal(file->data, "gz", 2);
    file_release(file);
    unlink(path);
    link_to(folder, "a.html.gz", "../outside"); /* out of the root: as if it were not there */
    folder->now += 1000000;
    assert_int_equal(get_gzip(folder, "a.html", &file), 0);
    assert_memory_equal(file->data, "one", 3);
    file_release(file);
}

static void refuses_a_root_that_is_none(void **state)
{
    (void)state;
    assert_null(file_cache_open("/nonexistent"));
    assert_int_equal(errno, ENOENT);
    assert_null(file_cache_open("/dev/null"));
    assert_int_equal(errno, ENOTDIR);
}

#define CACHE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_paths_to_one_form),
        cmocka_unit_test(refuses_paths_that_lead_away),
        cmocka_unit_test(encodes_paths),
        cmocka_unit_test(reads_and_writes_dates),
        CACHE_TEST(serves_files_and_indexes),
        CACHE_TEST(keeps_one_copy),
        CACHE_TEST(notices_changes_after_a_second),
        CACHE_TEST(notices_that_a_file_is_gone),
        CACHE_TEST(holds_large_files_open),
        CACHE_TEST(follows_links_within_the_root_only),
        CACHE_TEST(serves_plain_files_only),
        CACHE_TEST(lets_go_of_files_that_nobody_asks_for),
        CACHE_TEST(describes_a_file),
        CACHE_TEST(a_compressed_file_goes_to_who_takes_it),
        CACHE_TEST(a_compressed_file_that_is_older_or_gone_is_not_used),
        cmocka_unit_test(refuses_a_root_that_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
