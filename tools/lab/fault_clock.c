/* SPDX-License-Identifier: MIT */
/*
 * Preloaded: other clocks for one process, by the file that $EDGE_LAB_CLOCK names, read at
 * each call: "WALL SLEPT SYNCHRONISED", in seconds, seconds, and 0 or 1.
 *
 * WALL steps CLOCK_REALTIME, SLEPT moves CLOCK_BOOTTIME as a suspended machine does, the last
 * is what adjtimex says. CLOCK_MONOTONIC and all waiting stay as they are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  double wall_s, slept_s;
  int synchronised;
} clocks_t;

static clocks_t clocks(void) {
  clocks_t now = {0, 0, 0};
  char text[96] = "";
  const char *path = getenv("EDGE_LAB_CLOCK");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0)
    return now;
  ssize_t count = read(fd, text, sizeof text - 1);
  close(fd);
  if (count <= 0 || sscanf(text, "%lf %lf %d", &now.wall_s, &now.slept_s, &now.synchronised) != 3)
    return (clocks_t){0, 0, 0};
  return now;
}

static void move(struct timespec *time, double by_s) {
  long long ns = (long long)time->tv_nsec + (long long)(by_s * 1e9);
  long long seconds = ns / 1000000000LL, rest = ns % 1000000000LL;
  if (rest < 0) {
    rest += 1000000000LL;
    seconds -= 1;
  }
  time->tv_sec += (time_t)seconds;
  time->tv_nsec = (long)rest;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int error = (int)syscall(SYS_clock_gettime, clock, now);
  if (error)
    return error;
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
    move(now, clocks().wall_s);
  else if (clock == CLOCK_BOOTTIME)
    move(now, clocks().slept_s);
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out)
    *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

int adjtimex(struct timex *state) {
  int synchronised = clocks().synchronised;
  if (state->modes || synchronised < 0)
    return -1;
  return synchronised ? TIME_OK : TIME_ERROR;
}
