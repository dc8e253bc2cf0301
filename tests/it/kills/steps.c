/* Counts whatever a process does to the files below a folder, and kills it at one of these steps, as kill -9 would.
 *
 * Loaded with LD_PRELOAD. STEPS_FOLDER is the folder, STEPS_LOG the file that gets a line a step, and STEPS_ORDERS one
 * that says at which step to kill and how: "7 before", "7 half" (a write that stops in its middle), "7 after". Steps are
 * counted from the moment on at which that file is there, across all threads.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum how { GO, HALF, AFTER };

static atomic_int count;

static void die(void) { kill(getpid(), SIGKILL); pause(); }

static int below(const char *path) {
    const char *folder = getenv("STEPS_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static enum how at(const char *what, const char *path, size_t size) {
    const char *orders = getenv("STEPS_ORDERS"), *log = getenv("STEPS_LOG");
    char text[64] = {0}, how[16] = {0};
    int wanted = 0;
    if (!below(path)) return GO;
    int file = open(orders, O_RDONLY | O_CLOEXEC);
    if (file < 0) return GO;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return GO;
    sscanf(text, "%d %15s", &wanted, how);
    int step = ++count;
    char line[PATH_MAX + 64];
    const char *name = strrchr(path, '/');
    int long_ = snprintf(line, sizeof line, "%s %s %zu\n", what, name ? name + 1 : path, size);
    int to = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (to >= 0) { syscall(SYS_write, to, line, (size_t)long_); close(to); }
    if (step != wanted) return GO;
    if (strcmp(how, "half") == 0) return HALF;
    if (strcmp(how, "after") == 0) return AFTER;
    die();
    return GO;
}

static enum how at_fd(const char *what, int fd, size_t size) {
    char link[32], path[PATH_MAX] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) <= 0) return GO;
    return at(what, path, size);
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    enum how how = at_fd("write", fd, size);
    ssize_t written = real(fd, bytes, how == HALF ? size / 2 : size);
    if (how != GO) die();
    return written;
}

static ssize_t pwritten(int fd, const void *bytes, size_t size, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    enum how how = at_fd("pwrite", fd, size);
    ssize_t written = real(fd, bytes, how == HALF ? size / 2 : size, offset);
    if (how != GO) die();
    return written;
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { return pwritten(fd, bytes, size, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) { return pwritten(fd, bytes, size, offset); }

#define ON_A_FILE(name, symbol) \
    int symbol(int fd) { \
        REAL(int, name, int); \
        enum how how = at_fd(name, fd, 0); \
        int result = real(fd); \
        if (how != GO) die(); \
        return result; \
    }
ON_A_FILE("fsync", fsync)
ON_A_FILE("fdatasync", fdatasync)

static int cut(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    enum how how = at_fd("ftruncate", fd, (size_t)size);
    int result = real(fd, size);
    if (how != GO) die();
    return result;
}
int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off64_t size) { return cut(fd, size); }

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    enum how how = at("unlink", path, 0);
    int result = real(path);
    if (how != GO) die();
    return result;
}
