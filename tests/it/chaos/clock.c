/* A wall clock that is wrong by CLOCK_SKEW_MS milliseconds, loaded with LD_PRELOAD. Whatever counts the time that passes, and
 * is set by nobody, goes as it always does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static long long skew_ms(void) {
    static long long skew;
    static int known;
    if (!known) {
        const char *said = getenv("CLOCK_SKEW_MS");
        skew = said ? atoll(said) : 0;
        known = 1;
    }
    return skew;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int result = real(clock, at);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        long long ns = (long long)at->tv_sec * 1000000000LL + at->tv_nsec + skew_ms() * 1000000LL;
        at->tv_sec = (time_t)(ns / 1000000000LL);
        at->tv_nsec = (long)(ns % 1000000000LL);
    }
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
