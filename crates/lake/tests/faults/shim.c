/* A disk that fails, for tests: preloaded, it counts the calls that change files below PINTAIL_FAULT_ROOT, and lets
 * the one of a number fail, or that one and all after it. A write that fails writes half of its bytes before.
 *
 * It also keeps, in PINTAIL_FAULT_SHADOW, what a power cut would leave: the content that each file had when it was
 * last synced (i<inode>), and the names that each directory had (d<inode>). When the disk is cut off, that stays as it is.
 *
 * A test speaks to it by opening files: /pintail-faults/once/N, /pintail-faults/from/N, /pintail-faults/cut/N, and
 * /pintail-faults/off, which answers EACCES when nothing failed and ENOENT when something did. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { OFF, ONCE, FROM, CUT };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum mode mode = OFF;
static long at, calls;
static int has_failed;

#define MAX_KEPT 512
static int inodes[MAX_KEPT], kept;

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int below_root(const char *path) {
    const char *root = getenv("PINTAIL_FAULT_ROOT");
    return root && strncmp(path, root, strlen(root)) == 0;
}

static int fd_below_root(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    /* SQLite's shared memory lives as long as its processes. */
    return below_root(path) && !strstr(path, "-shm");
}

/* Whether the next call fails. The caller holds the lock. */
static int fails(void) {
    if (mode == OFF) return 0;
    calls++;
    int now = mode == ONCE ? calls == at : calls >= at;
    has_failed |= now;
    return now;
}

static int is_cut(void) { return mode == CUT && has_failed; }

static int open_really(const char *path, int flags) {
    REAL(open);
    return real(path, flags | O_CLOEXEC, 0600);
}

static ssize_t write_really(int fd, const void *bytes, size_t count) {
    REAL(write);
    return real(fd, bytes, count);
}

static void copy(int from, const char *to) {
    char path[64], buffer[65536];
    ssize_t length;
    snprintf(path, sizeof path, "/proc/self/fd/%d", from);
    int source = open_really(path, O_RDONLY);
    int target = open_really(to, O_WRONLY | O_CREAT | O_TRUNC);
    while ((length = read(source, buffer, sizeof buffer)) > 0)
        if (write_really(target, buffer, length) != length) abort();
    close(source);
    close(target);
}

/* Remembers what is durable now. The caller holds the lock. */
static void remember(int fd) {
    const char *shadow = getenv("PINTAIL_FAULT_SHADOW");
    struct stat is;
    char path[PATH_MAX];
    if (!shadow || mode != CUT || fstat(fd, &is) != 0) return;
    if (!S_ISDIR(is.st_mode)) {
        snprintf(path, sizeof path, "%s/i%lu", shadow, (unsigned long)is.st_ino);
        copy(fd, path);
        return;
    }
    snprintf(path, sizeof path, "%s/d%lu", shadow, (unsigned long)is.st_ino);
    FILE *names = fopen(path, "w");
    DIR *directory = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry;
    while (names && directory && (entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            fprintf(names, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
    if (directory) closedir(directory);
    if (names) fclose(names);
}

/* Keeps the inode of a file that goes from being given to another one. */
static void keep_inode(const char *path) {
    pthread_mutex_lock(&lock);
    if (mode == CUT && kept < MAX_KEPT) {
        inodes[kept] = open_really(path, O_PATH);
        kept += inodes[kept] >= 0;
    }
    pthread_mutex_unlock(&lock);
}

static int command(const char *path) {
    pthread_mutex_lock(&lock);
    if (strcmp(path, "off") == 0) {
        mode = OFF;
        while (kept > 0) close(inodes[--kept]);
        errno = has_failed ? ENOENT : EACCES;
    } else {
        mode = strncmp(path, "once/", 5) == 0 ? ONCE : strncmp(path, "from/", 5) == 0 ? FROM : CUT;
        at = atol(strchr(path, '/') + 1);
        calls = has_failed = 0;
        errno = EACCES;
    }
    pthread_mutex_unlock(&lock);
    return -1;
}

static int refuses(int yes, int error) {
    pthread_mutex_lock(&lock);
    int failing = yes && fails();
    pthread_mutex_unlock(&lock);
    if (failing) errno = error;
    return failing;
}

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...) {                            \
        REAL(name);                                                         \
        mode_t bits = 0;                                                    \
        if (flags & O_CREAT) {                                              \
            va_list list;                                                   \
            va_start(list, flags);                                          \
            bits = va_arg(list, mode_t);                                    \
            va_end(list);                                                   \
        }                                                                   \
        if (strncmp(path, "/pintail-faults/", 16) == 0) return command(path + 16); \
        int changes = (flags & (O_CREAT | O_TRUNC)) && below_root(path) && !strstr(path, "-shm"); \
        if (refuses(changes, ENOSPC)) return -1;                            \
        return real(path, flags, bits);                                     \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(write);
    if (refuses(fd_below_root(fd), ENOSPC)) {
        if (!is_cut() && count > 1) real(fd, bytes, count / 2);
        errno = ENOSPC;
        return -1;
    }
    return real(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    return refuses(fd_below_root(fd), ENOSPC) ? -1 : real(fd, parts, count);
}

#define PWRITE(name, offset_t)                                              \
    ssize_t name(int fd, const void *bytes, size_t count, offset_t offset) { \
        REAL(name);                                                         \
        if (refuses(fd_below_root(fd), ENOSPC)) {                           \
            if (!is_cut() && count > 1) real(fd, bytes, count / 2, offset); \
            errno = ENOSPC;                                                 \
            return -1;                                                      \
        }                                                                   \
        return real(fd, bytes, count, offset);                              \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define SYNC(name)                                                          \
    int name(int fd) {                                                      \
        if (!fd_below_root(fd)) {                                           \
            REAL(name);                                                     \
            return real(fd);                                                \
        }                                                                   \
        pthread_mutex_lock(&lock);                                          \
        int failing = fails();                                              \
        if (!failing) remember(fd);                                         \
        pthread_mutex_unlock(&lock);                                        \
        if (failing) errno = EIO;                                           \
        return failing ? -1 : 0;                                            \
    }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, offset_t)                                            \
    int name(int fd, offset_t length) {                                     \
        REAL(name);                                                         \
        return refuses(fd_below_root(fd), EIO) ? -1 : real(fd, length);     \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    REAL(rename);
    if (refuses(below_root(to), EIO)) return -1;
    if (below_root(to)) keep_inode(to);
    return real(from, to);
}

int unlink(const char *path) {
    REAL(unlink);
    if (refuses(below_root(path), EIO)) return -1;
    if (below_root(path)) keep_inode(path);
    return real(path);
}

int mkdir(const char *path, mode_t bits) {
    REAL(mkdir);
    return refuses(below_root(path), ENOSPC) ? -1 : real(path, bits);
}
