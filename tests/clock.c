/* Preloaded: the wall clock jumps by up to a day, back and forth, every time it is asked. Clocks that only go on are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) { return random() % 172800 - 86400; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*own)(clockid_t, struct timespec *);
  int done;
  if (!own) own = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  done = own(clock, now);
  if (!done && clock == CLOCK_REALTIME) now->tv_sec += jump();
  return done;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec read;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &read)) return -1;
  now->tv_sec = read.tv_sec;
  now->tv_usec = read.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *kept) {
  struct timespec read;
  clock_gettime(CLOCK_REALTIME, &read);
  if (kept) *kept = read.tv_sec;
  return read.tv_sec;
}
